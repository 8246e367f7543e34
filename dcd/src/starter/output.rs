//! The output socket: frames wait here until they are read. When too many wait, pipes are left unread, so that
//! memory stays bounded and ranks feel it; nothing else waits for a reader. A starter that serves keeps frames until they
//! are acknowledged: what a reader had and lost is sent to the next one.

use super::haste::Haste;
use dc_model::wire::{FrameBuffer, FromStarter, Output, OutputAt, ToStarter};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// Bytes that may wait before pipes are left unread.
const WAITING_BYTES_MAX: usize = 256 << 10;
const READ_BYTES: usize = 4096;
/// A frame's length, in bytes.
const LEN_BYTES: usize = 4;

/// Frames on their way to their reader.
#[derive(Debug)]
pub struct OutputSocket {
    socket: Option<UnixStream>,
    waiting: Vec<u8>,
    /// What is before this is taken: it was sent, or acknowledged where that counts.
    taken: usize,
    sent: usize,
    haste: Haste,
    reader_gone: bool,
    serving: Option<Serving>,
}

/// Of one that serves.
#[derive(Debug)]
struct Serving {
    starter_inc: u64,
    /// The offset of the first byte that waits.
    base: u64,
    /// Goes before the frames of a new connection.
    head: Vec<u8>,
    frames: FrameBuffer,
}

/// What a reader says makes no sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Nonsense(&'static str);

impl OutputSocket {
    /// Over this socket.
    #[must_use]
    pub fn new(socket: UnixStream) -> Self {
        Self { socket: Some(socket), ..Self::with(None) }
    }

    /// Of one that serves: over the sockets that will come.
    #[must_use]
    pub fn serving(starter_inc: u64) -> Self {
        Self::with(Some(Serving { starter_inc, base: 0, head: Vec::new(), frames: FrameBuffer::default() }))
    }

    fn with(serving: Option<Serving>) -> Self {
        let haste = Haste::default();
        Self { socket: None, waiting: Vec::new(), taken: 0, sent: 0, haste, reader_gone: false, serving }
    }

    /// Puts one frame at the end. Where nobody will read it, it is dropped: ranks must not hang on that.
    pub fn push(&mut self, frame: &Output) {
        if !self.reader_gone {
            frame.encode(&mut self.waiting);
            if self.socket.is_some() {
                // That a stream has ended without another word is news for nobody.
                self.haste.add(!frame.bytes.is_empty());
            }
        }
    }

    /// Whether pipes are to be left unread for now.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting.len() - self.taken >= WAITING_BYTES_MAX
    }

    /// Whether all is taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken == self.waiting.len()
    }

    /// Whether there is something to be sent, and somebody to send it to.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        let has_head = self.serving.as_ref().is_some_and(|serving| !serving.head.is_empty());
        self.socket.is_some() && (has_head || self.sent < self.waiting.len())
    }

    /// How what waits is to be sent.
    #[must_use]
    pub fn haste(&self) -> Haste {
        self.haste
    }

    /// Sends what the socket takes, without waiting.
    pub fn flush(&mut self) {
        self.haste.clear();
        while self.is_waiting() {
            let Some(socket) = &self.socket else { return };
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            let head = self.serving.as_mut().map(|serving| &mut serving.head).filter(|head| !head.is_empty());
            let (result, head) = match head {
                Some(head) => (send(socket.as_raw_fd(), head, flags), Some(head)),
                None => (send(socket.as_raw_fd(), &self.waiting[self.sent..], flags), None),
            };
            match (result, head) {
                (Ok(bytes), Some(head)) => drop(head.drain(..bytes)),
                (Ok(bytes), None) => self.sent += bytes,
                (Err(Errno::EINTR), _) => {}
                (Err(Errno::EAGAIN | Errno::ENOBUFS), _) => break,
                (Err(_), _) => return self.on_reader_gone(),
            }
        }
        if self.serving.is_none() {
            self.taken = self.sent;
        }
        self.forget_taken();
    }

    /// Lets go of the bytes that are taken, now and then.
    fn forget_taken(&mut self) {
        if self.taken < self.waiting.len() && self.taken < WAITING_BYTES_MAX {
            return;
        }
        self.waiting.drain(..self.taken);
        self.sent -= self.taken;
        if let Some(serving) = &mut self.serving {
            serving.base += self.taken as u64;
        }
        self.taken = 0;
    }

    /// Nobody will read any more: what waits is dropped, and what comes. Of one that serves: until the next one.
    pub fn on_reader_gone(&mut self) {
        if let Some(serving) = &mut self.serving {
            self.socket = None;
            serving.head.clear();
            serving.frames = FrameBuffer::default();
            self.haste.clear();
            return;
        }
        self.reader_gone = true;
        self.waiting = Vec::new();
        (self.taken, self.sent) = (0, 0);
    }

    /// The descriptor, for polling; none where nobody reads.
    #[must_use]
    pub fn socket(&self) -> Option<&UnixStream> {
        self.socket.as_ref().filter(|_| !self.reader_gone)
    }

    /// Whether its reader says what it has.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.serving.is_some()
    }

    /// A reader has come, and takes the place of the one before.
    pub fn join(&mut self, socket: UnixStream, frames: FrameBuffer, have: Option<OutputAt>) {
        self.on_reader_gone();
        let Some(serving) = &self.serving else { return };
        let here = have.filter(|have| have.starter_inc == serving.starter_inc);
        self.socket = Some(socket);
        if let Some(have) = here
            && let Err(Nonsense(why)) = self.take_up_to(have.offset, self.waiting.len())
        {
            return self.refuse(why);
        }
        self.sent = self.taken;
        let Some(serving) = &mut self.serving else { return };
        serving.frames = frames;
        let offset = serving.base + self.taken as u64;
        FromStarter::OutputFrom(OutputAt { starter_inc: serving.starter_inc, offset })
            .encode(&mut serving.head);
        self.haste.add(true);
        self.on_words();
    }

    /// Its reader has said something, or is gone.
    pub fn receive(&mut self) {
        let (Some(socket), Some(serving)) = (&self.socket, &mut self.serving) else { return };
        let mut bytes = [0; READ_BYTES];
        match recv(socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
            Ok(count) if count > 0 => serving.frames.push(&bytes[..count]),
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            _ => return self.on_reader_gone(),
        }
        self.on_words();
    }

    fn on_words(&mut self) {
        loop {
            let Some(serving) = &mut self.serving else { return };
            let word = match serving.frames.next_frame() {
                Ok(None) => break,
                Ok(Some((kind, body))) => ToStarter::decode(kind, body),
                Err(e) => Err(e),
            };
            let done = match word {
                Ok(ToStarter::AckOutput { offset }) => self.take_up_to(offset, self.sent),
                _ => Err(Nonsense("an output connection takes acknowledgements only")),
            };
            if let Err(Nonsense(why)) = done {
                return self.refuse(why);
            }
        }
        self.forget_taken();
    }

    /// Everything up to this offset is safe elsewhere. An older one changes nothing.
    fn take_up_to(&mut self, offset: u64, known: usize) -> Result<(), Nonsense> {
        let Some(serving) = &self.serving else { return Ok(()) };
        let Some(until) = offset.checked_sub(serving.base + self.taken as u64) else { return Ok(()) };
        let until = usize::try_from(until).ok().and_then(|until| until.checked_add(self.taken));
        let until = until.filter(|until| *until <= known).ok_or(Nonsense("there is no output so far"))?;
        let mut at = self.taken;
        while at < until {
            let len = self.waiting[at..].first_chunk::<LEN_BYTES>().map_or(0, |len| u32::from_le_bytes(*len));
            at += LEN_BYTES + len as usize;
        }
        if at != until {
            return Err(Nonsense("an offset within a frame"));
        }
        self.taken = until;
        self.sent = self.sent.max(until);
        Ok(())
    }

    fn refuse(&mut self, why: &str) {
        if let Some(socket) = &self.socket {
            let mut bytes = Vec::new();
            FromStarter::Refused { text: why.to_owned() }.encode(&mut bytes);
            let _ = send(socket.as_raw_fd(), &bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
        }
        self.on_reader_gone();
    }
}
