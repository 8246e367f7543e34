//! dcrun's own standard input on its way to ranks: read only when a rank has taken what there was, kept so that another
//! attempt gets it from the beginning, up to a cap. Beyond that what all have taken is dropped, and who would need it
//! again fails.

use dc_model::wire::{INPUT_BYTES_MAX, InputThen, Source, ToStarter};
use dc_model::{Attempt, SubtaskId};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{getpgrp, isatty, read, tcgetpgrp};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// How long a terminal is left alone before it is looked at again whether it is ours.
const AWAY_MS: u16 = 200;

/// Who is told what was read; nothing is the end. Called from another thread.
pub type Told = Arc<dyn Fn(io::Result<Vec<u8>>) + Send + Sync>;

/// A rank that takes input.
#[derive(Debug)]
struct Taker {
    attempt: Attempt,
    /// What it has taken, or was sent.
    at: u64,
    /// How much more it takes now.
    room: u32,
    /// Whether it was told that nothing more comes.
    ended: bool,
}

/// How the input has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    End,
    Failed,
}

/// The input, as far as it is read.
pub struct Input {
    source: Source,
    kept_bytes_max: u64,
    pieces: VecDeque<(u64, Vec<u8>)>,
    /// Where the first kept piece begins, and the last one ends.
    from: u64,
    to: u64,
    ended: Option<Ended>,
    takers: BTreeMap<SubtaskId, Taker>,
    asks: Option<Sender<usize>>,
    asked: bool,
    told: Told,
}

impl Input {
    /// None where nobody is sent any.
    #[must_use]
    pub fn new(source: &Source, kept_bytes_max: u64, told: Told) -> Option<Self> {
        matches!(source, Source::Relay { .. }).then(|| Self {
            source: source.clone(),
            kept_bytes_max,
            pieces: VecDeque::new(),
            from: 0,
            to: 0,
            ended: None,
            takers: BTreeMap::new(),
            asks: None,
            asked: false,
            told,
        })
    }

    /// Whether this subtask's beginning is dropped already: another attempt would be given another input.
    #[must_use]
    pub fn is_lost_for(&self, subtask: SubtaskId) -> bool {
        self.from > 0 && self.source.relays(subtask)
    }

    /// How much is kept at most.
    #[must_use]
    pub fn kept_bytes_max(&self) -> u64 {
        self.kept_bytes_max
    }

    /// A rank takes more.
    pub fn on_want(&mut self, subtask: SubtaskId, attempt: Attempt, at: u64, room: u32) {
        let room = room.min(INPUT_BYTES_MAX);
        self.takers.insert(subtask, Taker { attempt, at, room, ended: false });
    }

    /// A rank has ended, or all have.
    pub fn on_ended(&mut self, subtask: Option<SubtaskId>) {
        match subtask {
            Some(subtask) => drop(self.takers.remove(&subtask)),
            None => self.takers.clear(),
        }
    }

    /// Something was read; nothing is the end.
    pub fn on_read(&mut self, read: io::Result<Vec<u8>>) -> Option<String> {
        self.asked = false;
        match read {
            Ok(bytes) if bytes.is_empty() => self.ended = Some(Ended::End),
            Ok(bytes) => {
                let start = self.to;
                self.to += bytes.len() as u64;
                self.pieces.push_back((start, bytes));
            }
            Err(error) => {
                self.ended = Some(Ended::Failed);
                return Some(format!("cannot read standard input: {error}; ranks that read it fail"));
            }
        }
        None
    }

    /// Sends what ranks take, as long as `send` says that the way to them is not full; asks for more where one has taken
    /// all. Whether somebody waits for the way.
    pub fn serve(&mut self, mut send: impl FnMut(&ToStarter) -> bool) -> bool {
        let mut hungry = None;
        let mut goes = true;
        for (subtask, taker) in &mut self.takers {
            while goes && taker.room > 0 && !taker.ended {
                let (subtask, attempt) = (*subtask, taker.attempt);
                let at = taker.at;
                let message = |bytes, then| ToStarter::Input { subtask, attempt, at, bytes, then };
                let then = match self.ended {
                    _ if taker.at < self.from => InputThen::Lost,
                    Some(Ended::End) if taker.at >= self.to => InputThen::End,
                    Some(Ended::Failed) if taker.at >= self.to => InputThen::Lost,
                    _ => InputThen::More,
                };
                if then != InputThen::More {
                    taker.ended = true;
                    goes = send(&message(Vec::new(), then));
                    continue;
                }
                let next = self.pieces.partition_point(|(start, _)| *start <= taker.at).checked_sub(1);
                let piece = next.and_then(|i| self.pieces.get(i));
                let rest = piece.and_then(|(start, bytes)| bytes.get((taker.at - start) as usize..));
                let rest = rest.unwrap_or_default();
                if rest.is_empty() {
                    hungry = hungry.max(Some(taker.room));
                    break;
                }
                let bytes = rest[..rest.len().min(taker.room as usize)].to_vec();
                taker.at += bytes.len() as u64;
                // The rest of its room comes back when it has taken this.
                taker.room = 0;
                goes = send(&message(bytes, InputThen::More));
            }
        }
        self.trim();
        if let (Some(room), false, None) = (hungry, self.asked, self.ended) {
            self.ask(room);
        }
        !goes
    }

    /// Drops what is beyond the cap. Who waits to be sent something is not overtaken; who is behind otherwise is lost.
    fn trim(&mut self) {
        let waits = |taker: &&Taker| taker.room > 0 && !taker.ended;
        let held = self.takers.values().filter(waits).map(|taker| taker.at).min().unwrap_or(self.to);
        while self.to - self.from > self.kept_bytes_max || self.from > 0 {
            let Some((start, bytes)) = self.pieces.front() else { break };
            let end = start + bytes.len() as u64;
            // Once something is dropped the rest is of use to those alone who have not taken it.
            let behind = self.takers.values().map(|taker| taker.at).min().unwrap_or(end);
            let beyond = self.to - self.from > self.kept_bytes_max;
            if end > held || (!beyond && end > behind) {
                break;
            }
            self.from = end;
            self.pieces.pop_front();
        }
    }

    fn ask(&mut self, room: u32) {
        if self.asks.is_none() {
            let (sender, asks) = channel();
            let told = Arc::clone(&self.told);
            let thread = std::thread::Builder::new().name("stdin".to_owned());
            if let Err(error) = thread.spawn(move || read_all(&asks, told.as_ref())) {
                (self.told)(Err(error));
            }
            self.asks = Some(sender);
        }
        self.asked = true;
        if let Some(asks) = &self.asks {
            // The thread ends at the end of the input only, which is told.
            let _ = asks.send(room as usize);
        }
    }
}

/// The thread: reads once for each time it is asked.
fn read_all(asks: &Receiver<usize>, told: &dyn Fn(io::Result<Vec<u8>>)) {
    // A terminal would stop all of dcrun for reading in the background.
    let _ = SigSet::from_iter([Signal::SIGTTIN]).thread_block();
    for room in asks {
        let read = read_once(room);
        let is_end = read.as_ref().map_or(true, Vec::is_empty);
        told(read);
        if is_end {
            return;
        }
    }
}

fn read_once(room: usize) -> io::Result<Vec<u8>> {
    let stdin = io::stdin();
    let is_terminal = isatty(&stdin).unwrap_or(false);
    let mut bytes = vec![0; room];
    loop {
        if is_terminal && tcgetpgrp(&stdin).is_ok_and(|group| group != getpgrp()) {
            // What is typed now is for whoever has the terminal.
            let _ = poll(&mut [], AWAY_MS);
            continue;
        }
        // Looked at again before each read: the terminal may be another's by then.
        let timeout = if is_terminal { PollTimeout::from(AWAY_MS) } else { PollTimeout::NONE };
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR | Errno::EAGAIN) => continue,
            Ok(_) | Err(_) => {}
        }
        match read(&stdin, &mut bytes) {
            Ok(count) => {
                bytes.truncate(count);
                return Ok(bytes);
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(Errno::EIO) if is_terminal => {
                // In the background after all, or the terminal is gone: the latter is its end.
                let gone = fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP));
                if gone || tcgetpgrp(&stdin).is_err() {
                    return Ok(Vec::new());
                }
                let _ = poll(&mut [], AWAY_MS);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
