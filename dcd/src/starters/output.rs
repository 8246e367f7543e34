//! The output frames of a starter's ranks, with their offsets: nothing is lost or doubled over a reader's end, as long as
//! the next reader knows up to where everything was taken.

use super::connect::{ConnectError, Lost, Wire};
use dc_model::codec::DecodeError;
use dc_model::wire::{FromStarter, Opening, Output, OutputAt, ToStarter};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// A frame's length and kind, in bytes.
const HEAD_BYTES: u64 = 5;

/// What comes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OutputEvent {
    /// Where the frames begin that follow: first of all, once a connection. It is where the reader said, unless it said
    /// nothing, or was another starter's.
    From(OutputAt),
    /// A frame.
    Frame {
        /// It.
        frame: Output,
        /// The offset behind it: to be acknowledged when it is safe elsewhere.
        end: u64,
    },
}

/// The output connection. There is one a starter: a second takes the place of the first.
#[derive(Debug)]
pub struct OutputReader {
    wire: Wire,
    at: Option<u64>,
}

impl OutputReader {
    /// Connects to the starter of this directory. `have`: up to where everything is taken; none: it sends all that it
    /// keeps, which is what was not acknowledged.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(dir: &Path, have: Option<OutputAt>) -> Result<Self, ConnectError> {
        let wire = Wire::connect(dir, &ToStarter::Open(Opening::Output { have }))?;
        Ok(Self { wire, at: None })
    }

    /// Over a connection that somebody else has made, who has looked at who is at its other end.
    #[must_use]
    pub fn over(socket: OwnedFd, have: Option<OutputAt>) -> Self {
        Self { wire: Wire::over(socket, &ToStarter::Open(Opening::Output { have })), at: None }
    }

    /// To be polled.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }

    /// Whether it is to be polled for reading. Whoever does not read holds up the ranks, once their pipes and 256 KiB
    /// are full.
    #[must_use]
    pub fn want_read(&self) -> bool {
        self.wire.lost().is_none()
    }

    /// Whether it is to be polled for writing.
    #[must_use]
    pub fn want_write(&self) -> bool {
        self.wire.waiting_bytes() > 0
    }

    /// It is readable, or its other end is gone.
    pub fn on_readable(&mut self) {
        self.wire.on_readable();
    }

    /// It is writable.
    pub fn on_writable(&mut self) {
        self.wire.on_writable();
    }

    /// All frames up to this offset are taken: the starter makes room for others.
    pub fn ack(&mut self, offset: u64) {
        self.wire.send(&ToStarter::AckOutput { offset });
        self.wire.on_writable();
    }

    /// The next that has come.
    ///
    /// # Errors
    /// [`Lost`], when all that came before is taken: it is to be dropped, and another may be made.
    pub fn next_event(&mut self) -> Result<Option<OutputEvent>, Lost> {
        let next = match self.wire.frames.next_frame() {
            Ok(Some((kind, body))) => read(&mut self.at, kind, body),
            Ok(None) => return self.wire.lost().map_or(Ok(None), Err),
            Err(e) => Err(Lost::Unreadable(e)),
        };
        next.map(Some).map_err(|why| self.wire.end(why))
    }
}

fn read(at: &mut Option<u64>, kind: u8, body: &[u8]) -> Result<OutputEvent, Lost> {
    if let (Output::KIND, Some(offset)) = (kind, at.as_mut()) {
        let frame = Output::decode(kind, body).map_err(Lost::Unreadable)?;
        *offset = offset.saturating_add(HEAD_BYTES + body.len() as u64);
        return Ok(OutputEvent::Frame { frame, end: *offset });
    }
    match FromStarter::decode(kind, body).map_err(Lost::Unreadable)? {
        FromStarter::OutputFrom(from) if at.is_none() => {
            *at = Some(from.offset);
            Ok(OutputEvent::From(from))
        }
        FromStarter::Refused { text } => Err(Lost::Refused(text)),
        _ => Err(Lost::Unreadable(DecodeError::Unknown("message"))),
    }
}
