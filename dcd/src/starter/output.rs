//! The output socket: frames wait here until dcrun reads them. When too many wait, pipes are left unread, so that
//! memory stays bounded and ranks feel it; nothing else waits for a reader.

use super::haste::Haste;
use dc_model::wire::Output;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// Bytes that may wait before pipes are left unread.
const WAITING_BYTES_MAX: usize = 256 << 10;

/// Frames on their way to dcrun.
#[derive(Debug)]
pub struct OutputSocket {
    socket: UnixStream,
    waiting: Vec<u8>,
    sent: usize,
    haste: Haste,
    reader_gone: bool,
}

impl OutputSocket {
    /// Over this socket.
    #[must_use]
    pub fn new(socket: UnixStream) -> Self {
        Self { socket, waiting: Vec::new(), sent: 0, haste: Haste::default(), reader_gone: false }
    }

    /// Puts one frame at the end. Where nobody will read it, it is dropped: ranks must not hang on that.
    pub fn push(&mut self, frame: &Output) {
        if !self.reader_gone {
            frame.encode(&mut self.waiting);
            // That a stream has ended without another word is news for nobody.
            self.haste.add(!frame.bytes.is_empty());
        }
    }

    /// Whether pipes are to be left unread for now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting.len() - self.sent >= WAITING_BYTES_MAX
    }

    /// Whether all has been sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent == self.waiting.len()
    }

    /// How what waits is to be sent.
    #[must_use]
    pub fn haste(&self) -> Haste {
        self.haste
    }

    /// Sends what the socket takes, without waiting.
    pub fn flush(&mut self) {
        self.haste.clear();
        while !self.is_empty() {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(self.socket.as_raw_fd(), &self.waiting[self.sent..], flags) {
                Ok(bytes) => self.sent += bytes,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => break,
                Err(_) => return self.on_reader_gone(),
            }
        }
        if self.is_empty() {
            self.waiting.clear();
            self.sent = 0;
        } else if self.sent >= WAITING_BYTES_MAX {
            self.waiting.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Nobody will read any more: what waits is dropped, and what comes.
    pub fn on_reader_gone(&mut self) {
        self.reader_gone = true;
        self.waiting = Vec::new();
        self.sent = 0;
    }

    /// Whether nobody will read any more.
    #[must_use]
    pub fn is_reader_gone(&self) -> bool {
        self.reader_gone
    }

    /// The descriptor, for polling.
    #[must_use]
    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }
}
