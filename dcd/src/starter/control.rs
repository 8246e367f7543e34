//! The control socket: messages from whoever leads the job as they come, messages to it as it takes them. Of a starter with
//! one socket its end is dcrun's end. One that serves has a socket now and then, and keeps its reports.

use super::haste::Haste;
use super::serve::ledger::{Ledger, NeverTold};
use dc_model::codec::DecodeError;
use dc_model::wire::{FrameBuffer, FromStarter, Known, StarterState, ToStarter};
use dc_model::{Attempt, SubtaskId};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, recv, send, sendmsg};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

const READ_BYTES: usize = 64 << 10;

/// Both directions of the control socket.
#[derive(Debug)]
pub struct Control {
    socket: Option<UnixStream>,
    frames: FrameBuffer,
    waiting: Vec<u8>,
    haste: Haste,
    scratch: Box<[u8]>,
    /// Of one that serves.
    ledger: Option<Ledger>,
    /// Goes along with what is sent next.
    owed: Option<OwnedFd>,
}

/// dcrun is gone, or does not speak our language: everything ends. Of one that serves only this connection does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone;

impl Control {
    /// Over this socket.
    #[must_use]
    pub fn new(socket: UnixStream) -> Self {
        Self { socket: Some(socket), ..Self::with(None) }
    }

    /// Of one that serves: over the sockets that will come.
    #[must_use]
    pub fn serving() -> Self {
        Self::with(Some(Ledger::default()))
    }

    fn with(ledger: Option<Ledger>) -> Self {
        Self {
            socket: None,
            frames: FrameBuffer::default(),
            waiting: Vec::new(),
            haste: Haste::default(),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            ledger,
            owed: None,
        }
    }

    /// Reads what is there, once and without waiting.
    ///
    /// # Errors
    /// [`Gone`] at its end.
    pub fn receive(&mut self) -> Result<(), Gone> {
        let Some(socket) = &self.socket else { return Ok(()) };
        match recv(socket.as_raw_fd(), &mut self.scratch, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => Err(Gone),
            Ok(bytes) => {
                self.frames.push(&self.scratch[..bytes]);
                Ok(())
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(_) => Err(Gone),
        }
    }

    /// The next message, if a whole one has come.
    ///
    /// # Errors
    /// When what has come is no message: nothing after it can be read.
    pub fn next(&mut self) -> Result<Option<ToStarter>, DecodeError> {
        self.frames.next_frame()?.map(|(kind, body)| ToStarter::decode(kind, body)).transpose()
    }

    /// Puts a message at the end of what is to be sent.
    pub fn tell(&mut self, message: &FromStarter) {
        self.put(message, None);
    }

    /// The same for an attempt's end; whose it is, is asked for where ends are kept.
    pub fn tell_end(&mut self, message: &FromStarter, whose: impl FnOnce() -> Known) {
        let whose = self.ledger.is_some().then(whose);
        self.put(message, whose);
    }

    fn put(&mut self, message: &FromStarter, ended: Option<Known>) {
        match &mut self.ledger {
            Some(ledger) if Ledger::keeps(message) => {
                let frame = ledger.keep(message, ended);
                if let (Some(frame), true) = (frame, self.socket.is_some()) {
                    self.waiting.extend_from_slice(frame);
                }
            }
            Some(_) if self.socket.is_none() => return,
            _ => message.encode(&mut self.waiting),
        }
        if self.socket.is_some() {
            self.haste.add(!matches!(message, FromStarter::Started { .. }));
        }
    }

    /// Puts a line for the user at the end of what is to be sent.
    pub fn notice(&mut self, text: impl Into<String>) {
        self.tell(&FromStarter::Notice { text: text.into() });
    }

    /// How what waits is to be sent.
    #[must_use]
    pub fn haste(&self) -> Haste {
        self.haste
    }

    /// Whether something is still to be sent.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends what the socket takes, without waiting. A socket that takes nothing any more is seen by its reader's end.
    pub fn flush(&mut self) {
        let Some(socket) = &self.socket else { return };
        let mut sent = 0;
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        while sent < self.waiting.len() {
            let rest = &self.waiting[sent..];
            let result = match &self.owed {
                None => send(socket.as_raw_fd(), rest, flags),
                Some(fd) => {
                    let fds = [fd.as_raw_fd()];
                    let along = [ControlMessage::ScmRights(&fds)];
                    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(rest)], &along, flags, None)
                }
            };
            match result {
                Ok(bytes) => {
                    sent += bytes;
                    self.owed = None;
                }
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        self.waiting.drain(..sent);
        self.haste.clear();
    }

    /// The descriptor, for polling; none where nobody is there.
    #[must_use]
    pub fn socket(&self) -> Option<&UnixStream> {
        self.socket.as_ref()
    }

    /// Somebody has come, and is told what is here.
    pub fn join(&mut self, socket: UnixStream, frames: FrameBuffer, mut state: StarterState) {
        self.socket = Some(socket);
        self.frames = frames;
        if let Some(ledger) = &self.ledger {
            state.attempts.extend(ledger.ended().cloned());
            (state.acked_seq, state.next_seq) = (ledger.acked_seq(), ledger.next_seq());
        }
        state.attempts.sort_by_key(|known| (known.subtask, known.attempt));
        FromStarter::State(Box::new(state)).encode(&mut self.waiting);
        self.haste.add(true);
    }

    /// All that is kept is sent again.
    pub fn repeat(&mut self) {
        let (Some(ledger), Some(_)) = (&self.ledger, &self.socket) else { return };
        for frame in ledger.frames() {
            self.waiting.extend_from_slice(frame);
        }
        self.haste.add(true);
    }

    /// The end of this attempt is sent again, if it is kept.
    pub fn repeat_end(&mut self, subtask: SubtaskId, attempt: Attempt) {
        let (Some(ledger), Some(_)) = (&self.ledger, &self.socket) else { return };
        if let Some(frame) = ledger.end_of(subtask, attempt) {
            self.waiting.extend_from_slice(frame);
            self.haste.add(true);
        }
    }

    /// Nobody is there any more; what came and was not taken is void.
    pub fn leave(&mut self) {
        self.socket = None;
        self.frames = FrameBuffer::default();
        self.waiting = Vec::new();
        self.owed = None;
        self.haste.clear();
    }

    /// This descriptor goes along with what is sent next.
    pub fn owe(&mut self, fd: OwnedFd) {
        self.owed = self.socket.is_some().then_some(fd);
    }

    /// Reports up to this number are safe elsewhere.
    ///
    /// # Errors
    /// When there was none of that number.
    pub fn on_ack(&mut self, seq: u64) -> Result<(), NeverTold> {
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        if let Some(lost) = ledger.ack(seq)? {
            self.notice(format!("{lost} lines of this node were lost: nobody took them for too long"));
        }
        Ok(())
    }

    /// Whether nothing more is to be launched until reports are acknowledged.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.ledger.as_ref().is_some_and(Ledger::is_full)
    }

    /// Whether all that was told has come to where it is safe, as far as one can know.
    #[must_use]
    pub fn is_all_taken(&self) -> bool {
        self.waiting.is_empty() && self.ledger.as_ref().is_none_or(Ledger::is_empty)
    }
}
