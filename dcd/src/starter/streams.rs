//! The pipes of the ranks: read as they fill, cut into lines, framed for dcrun. A stream outlives its rank until it
//! has ended, or until those who still hold it have had their time.

use super::lines::Lines;
use super::output::OutputSocket;
use super::timers::{Timer, Timers};
use crate::process::calls::bytes_readable;
use dc_model::wire::{LINE_BYTES_MAX, Launch, Output};
use dc_model::{Attempt, Rank, SubtaskId};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::{pipe2, read};
use slotmap::{Key, KeyData, SlotMap, new_key_type};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long a stream may be held open by others after its rank has ended.
pub const DRAIN_MAX: Duration = Duration::from_secs(1);
const READ_BYTES: usize = 64 << 10;
const EVENTS_MAX: usize = 64;

new_key_type! {
    /// Names a stream for good.
    pub struct StreamKey;
}

/// How much longer a stream is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Its process is held before its exec, and may never come to it: its end is nobody's yet.
    Held,
    /// The same, and it has come to its end.
    HeldOver,
    /// As long as its rank runs.
    Open,
    /// Its rank has ended: until its end, or the timer.
    Draining,
    /// The timer has fired: only what was in the pipe when the rank ended.
    Owed,
}

#[derive(Debug)]
struct Stream {
    pipe: OwnedFd,
    subtask: SubtaskId,
    attempt: Attempt,
    rank: Rank,
    stderr: bool,
    lines: Lines,
    phase: Phase,
    /// Bytes in the pipe when the rank ended, less what was read since.
    owed_bytes: usize,
}

/// All streams.
#[derive(Debug)]
pub struct Streams {
    epoll: Epoll,
    streams: SlotMap<StreamKey, Stream>,
    scratch: Box<[u8]>,
    /// Pieces go on as they were read.
    unbuffered: bool,
}

impl Streams {
    /// None yet.
    ///
    /// # Errors
    /// When no epoll descriptor is to be had.
    pub fn new() -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let scratch = vec![0; READ_BYTES].into_boxed_slice();
        Ok(Self { epoll, streams: SlotMap::with_key(), scratch, unbuffered: false })
    }

    /// From now on pieces go on as they are read, not line by line.
    pub fn pass_on_at_once(&mut self) {
        self.unbuffered = true;
    }

    /// A pipe for a stream of an attempt: the rank's end, and the name of ours.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn open(&mut self, launch: &Launch, stderr: bool) -> nix::Result<(OwnedFd, StreamKey)> {
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
        Ok((theirs, self.add(ours, launch, stderr)?))
    }

    fn add(&mut self, pipe: OwnedFd, launch: &Launch, stderr: bool) -> nix::Result<StreamKey> {
        // Only our end: the rank's end is another file description, and blocks as programs expect.
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let key = self.streams.insert(Stream {
            pipe,
            subtask: launch.subtask,
            attempt: launch.attempt,
            rank: launch.rank,
            stderr,
            lines: Lines::default(),
            phase: Phase::Open,
            owed_bytes: 0,
        });
        let event = EpollEvent::new(EpollFlags::EPOLLIN, key.data().as_ffi());
        if let Err(errno) = self.epoll.add(&self.streams[key].pipe, event) {
            self.streams.remove(key);
            return Err(errno);
        }
        Ok(key)
    }

    /// Forgets streams of a rank that never ran.
    pub fn discard(&mut self, keys: [Option<StreamKey>; 2]) {
        keys.into_iter().flatten().for_each(|key| drop(self.take(key)));
    }

    /// Their process is held: until it has executed their end is not told, since another process may be made in its place.
    pub fn hold(&mut self, keys: [Option<StreamKey>; 2]) {
        for key in keys.into_iter().flatten() {
            if let Some(stream) = self.streams.get_mut(key) {
                stream.phase = Phase::Held;
            }
        }
    }

    /// Their process has executed: they are a rank's from now on.
    pub fn let_go(&mut self, keys: [Option<StreamKey>; 2], out: &mut OutputSocket) {
        for key in keys.into_iter().flatten() {
            let Some(stream) = self.streams.get_mut(key) else { continue };
            match stream.phase {
                Phase::Held => stream.phase = Phase::Open,
                Phase::HeldOver => self.close(key, out),
                Phase::Open | Phase::Draining | Phase::Owed => {}
            }
        }
    }

    /// At its end. Of one that is held nothing is told yet, nor does epoll tell it again.
    fn on_end(&mut self, key: StreamKey, out: &mut OutputSocket) {
        match self.streams.get_mut(key) {
            Some(stream) if matches!(stream.phase, Phase::Held | Phase::HeldOver) => {
                stream.phase = Phase::HeldOver;
                let _ = self.epoll.delete(&stream.pipe);
            }
            _ => self.close(key, out),
        }
    }

    /// Takes one out. A child that is held has a copy of its pipe until it comes to close that: without a word to epoll
    /// its end would be told all the while.
    fn take(&mut self, key: StreamKey) -> Option<Stream> {
        let stream = self.streams.remove(key)?;
        let _ = self.epoll.delete(&stream.pipe);
        Some(stream)
    }

    /// The descriptor that is readable when a pipe is.
    #[must_use]
    pub fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    /// Whether all streams have ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Reads what pipes hold, each once, until the output is full.
    pub fn on_readable(&mut self, out: &mut OutputSocket) {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let ready = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        for event in &events[..ready] {
            if out.is_full() {
                break;
            }
            self.read(StreamKey::from(KeyData::from_ffi(event.data())), out);
        }
    }

    /// Its rank has ended: what is in the pipe now is still delivered, and what comes for a while.
    pub fn on_rank_ended(
        &mut self,
        key: StreamKey,
        now: Instant,
        out: &mut OutputSocket,
        timers: &mut Timers,
    ) {
        self.let_go([Some(key), None], out);
        // Mostly its end is there already, behind what it last said.
        for _ in 0..2 {
            if !out.is_full() {
                self.read(key, out);
            }
        }
        if let Some(stream) = self.streams.get_mut(key) {
            stream.phase = Phase::Draining;
            stream.owed_bytes = bytes_readable(&stream.pipe).unwrap_or(0);
            timers.set(now + DRAIN_MAX, Timer::Drain(key));
        }
    }

    /// Those who hold it have had their time: it is closed once what was owed is delivered.
    pub fn on_drain_over(&mut self, key: StreamKey, out: &mut OutputSocket) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.phase = Phase::Owed;
        if stream.owed_bytes == 0 {
            self.close(key, out);
        }
    }

    /// One read, so that no rank keeps the loop from the others.
    fn read(&mut self, key: StreamKey, out: &mut OutputSocket) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let room = match stream.phase {
            Phase::Owed => stream.owed_bytes.min(READ_BYTES),
            Phase::Held | Phase::HeldOver | Phase::Open | Phase::Draining => READ_BYTES,
        };
        let bytes = match read(&stream.pipe, &mut self.scratch[..room]) {
            Ok(0) => return self.on_end(key, out),
            Ok(bytes) => bytes,
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            Err(_) => return self.on_end(key, out),
        };
        let Stream { subtask, attempt, rank, stderr, .. } = *stream;
        let mut pass_on = |piece: &[u8]| {
            out.push(&Output { subtask, attempt, rank, stderr, last: false, bytes: piece.to_vec() });
        };
        match self.unbuffered {
            true => self.scratch[..bytes].chunks(LINE_BYTES_MAX).for_each(pass_on),
            false => stream.lines.push(&self.scratch[..bytes], &mut pass_on),
        }
        stream.owed_bytes = stream.owed_bytes.saturating_sub(bytes);
        if stream.phase == Phase::Owed && stream.owed_bytes == 0 {
            self.close(key, out);
        }
    }

    /// Each stream ends with exactly one last frame, empty where its last line was whole.
    fn close(&mut self, key: StreamKey, out: &mut OutputSocket) {
        let Some(mut stream) = self.take(key) else { return };
        let bytes = stream.lines.finish();
        let Stream { subtask, attempt, rank, stderr, .. } = stream;
        out.push(&Output { subtask, attempt, rank, stderr, last: true, bytes });
    }
}

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
