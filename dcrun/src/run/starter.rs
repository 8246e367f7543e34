//! The starter as dcrun has it: messages out in one write, messages in by the batch, and its death.

use dc_model::JobUuid;
use dc_model::codec::DecodeError;
use dc_model::wire::{FrameBuffer, FromStarter, Hello, ToStarter};
use dcd::process::calls::End;
use dcd::spawn::{SpawnError, Starter};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

const READ_BYTES: usize = 64 << 10;

/// A starter that runs, and what is on the way to and from it.
#[derive(Debug)]
pub struct Link {
    starter: Starter,
    out: Vec<u8>,
    sent: usize,
    frames: FrameBuffer,
    buffer: Box<[u8]>,
}

/// Why nothing more comes.
#[derive(Debug)]
pub enum Closed {
    /// It has ended, or is ending.
    Ended,
    /// What it says is not a starter's.
    Foreign(DecodeError),
}

impl Link {
    /// Starts one, and gives its output's socket.
    ///
    /// # Errors
    /// When its process cannot be made.
    pub fn start(
        exe: &Path,
        progress: BorrowedFd<'_>,
        job: JobUuid,
    ) -> Result<(Self, UnixStream), SpawnError> {
        let starter = Starter::spawn(exe, progress, job)?;
        let output = starter.output.try_clone().map_err(SpawnError::Sockets)?;
        starter.control.set_nonblocking(true).map_err(SpawnError::Sockets)?;
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        Ok((Self { starter, out: Vec::new(), sent: 0, frames: FrameBuffer::default(), buffer }, output))
    }

    /// Says who and what the job is; the first message.
    pub fn greet(&mut self, hello: Hello) {
        self.send(&ToStarter::Hello(Box::new(hello)));
    }

    /// Puts a message among those to be sent.
    pub fn send(&mut self, message: &ToStarter) {
        message.encode(&mut self.out);
    }

    /// Sends what waits, as far as the socket takes it.
    pub fn flush(&mut self) {
        while self.sent < self.out.len() {
            match self.starter.control.write(&self.out[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(_) => break, // It is gone; reading tells.
            }
        }
        self.out.clear();
        self.sent = 0;
    }

    /// How much waits to be sent.
    #[must_use]
    pub fn unsent_bytes(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Whether something waits to be sent.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        !self.out.is_empty()
    }

    /// Takes all that has come.
    ///
    /// # Errors
    /// When nothing more will come; what came before it is in `messages`.
    pub fn receive(&mut self, messages: &mut Vec<FromStarter>) -> Result<(), Closed> {
        loop {
            let n = match self.starter.control.read(&mut self.buffer) {
                Ok(0) => return Err(Closed::Ended),
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Closed::Ended),
            };
            self.frames.push(&self.buffer[..n]);
            while let Some((kind, body)) = self.frames.next_frame().map_err(Closed::Foreign)? {
                messages.push(FromStarter::decode(kind, body).map_err(Closed::Foreign)?);
            }
            if n < self.buffer.len() {
                return Ok(());
            }
        }
    }

    /// Makes sure that it has ended, and says how it did where that can still be told.
    pub fn bury(self) -> Option<End> {
        let ended = self.starter.peek();
        let _ = self.starter.kill();
        let _ = self.starter.wait();
        ended
    }

    /// Kills it; its ranks die with it.
    pub fn kill(&self) {
        let _ = self.starter.kill(); // Gone already: its socket tells.
    }

    /// Waits for the end it was asked for.
    pub fn wait(self) {
        let _ = self.starter.wait();
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.starter.pid.as_raw()
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.starter.control.as_fd()
    }
}
