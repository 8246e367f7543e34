//! The control socket: messages from dcrun as they come, messages to it as it takes them. Its end is dcrun's end.

use super::haste::Haste;
use dc_model::codec::DecodeError;
use dc_model::wire::{FrameBuffer, FromStarter, ToStarter};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

const READ_BYTES: usize = 64 << 10;

/// Both directions of the control socket.
#[derive(Debug)]
pub struct Control {
    socket: UnixStream,
    frames: FrameBuffer,
    waiting: Vec<u8>,
    haste: Haste,
    scratch: Box<[u8]>,
}

/// dcrun is gone, or does not speak our language: everything ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone;

impl Control {
    /// Over this socket.
    #[must_use]
    pub fn new(socket: UnixStream) -> Self {
        let scratch = vec![0; READ_BYTES].into_boxed_slice();
        Self { socket, frames: FrameBuffer::default(), waiting: Vec::new(), haste: Haste::default(), scratch }
    }

    /// Reads what is there, once and without waiting.
    ///
    /// # Errors
    /// [`Gone`] at its end.
    pub fn receive(&mut self) -> Result<(), Gone> {
        match recv(self.socket.as_raw_fd(), &mut self.scratch, MsgFlags::MSG_DONTWAIT) {
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
        message.encode(&mut self.waiting);
        self.haste.add(!matches!(message, FromStarter::Started { .. }));
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
        let mut sent = 0;
        while sent < self.waiting.len() {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(self.socket.as_raw_fd(), &self.waiting[sent..], flags) {
                Ok(bytes) => sent += bytes,
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        self.waiting.drain(..sent);
        self.haste.clear();
    }

    /// The descriptor, for polling.
    #[must_use]
    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }
}
