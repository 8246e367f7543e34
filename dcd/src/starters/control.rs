//! Commands to a starter, and its reports.

use super::connect::{ConnectError, Lost, Wire};
use dc_model::wire::{FromStarter, Opening, StarterState, ToStarter};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// What the owner has taken of a starter's reports, to be kept from one connection to the next (and by whoever stores what
/// was told, over a restart).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// Which starter's. Another starter's numbers begin anew.
    pub starter_inc: u64,
    /// All its reports up to this number were taken.
    pub seq: u64,
}

/// What comes from a starter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// What it has: first of all, once a connection.
    State(Box<StarterState>),
    /// A report. It comes once, even over several connections, as long as [`Told`] is kept; the starter keeps it until
    /// [`Control::ack`].
    Report {
        /// Its number.
        seq: u64,
        /// Started, Ended, Rebound, Grouped or Notice.
        report: FromStarter,
    },
    /// A report that came before, told again because a launch of its attempt came again.
    Again {
        /// Its number.
        seq: u64,
        /// The attempt's end.
        report: FromStarter,
    },
    /// What counts for this connection only: Ready, or WantInput, which is told again on the next.
    Said(FromStarter),
}

/// The control connection. There is one a starter: a second takes the place of the first.
#[derive(Debug)]
pub struct Control {
    wire: Wire,
    told: Option<Told>,
    /// The highest number on this connection; none before the state.
    seen_seq: Option<u64>,
}

impl Control {
    /// Connects to the starter of this directory. `told`: what was taken of its reports before.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(dir: &Path, told: Option<Told>) -> Result<Self, ConnectError> {
        let wire = Wire::connect(dir, &ToStarter::Open(Opening::Control))?;
        Ok(Self { wire, told, seen_seq: None })
    }

    /// Over a connection that somebody else has made, who has looked at who is at its other end.
    #[must_use]
    pub fn over(socket: OwnedFd, told: Option<Told>) -> Self {
        let wire = Wire::over(socket, &ToStarter::Open(Opening::Control));
        Self { wire, told, seen_seq: None }
    }

    /// To be polled.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }

    /// Whether it is to be polled for reading.
    #[must_use]
    pub fn want_read(&self) -> bool {
        self.wire.lost().is_none()
    }

    /// Whether it is to be polled for writing.
    #[must_use]
    pub fn want_write(&self) -> bool {
        self.wire.waiting_bytes() > 0
    }

    /// Bytes that the starter has not taken yet: to be looked at before input is sent on.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.wire.waiting_bytes()
    }

    /// It is readable, or its other end is gone.
    pub fn on_readable(&mut self) {
        self.wire.on_readable();
    }

    /// It is writable.
    pub fn on_writable(&mut self) {
        self.wire.on_writable();
    }

    /// Puts a message at the end of what is to be sent, and sends what goes.
    pub fn send(&mut self, message: &ToStarter) {
        self.wire.send(message);
        self.wire.on_writable();
    }

    /// The reports up to this number need not be told again, by this starter to anybody: what they say is safe elsewhere.
    pub fn ack(&mut self, seq: u64) {
        self.send(&ToStarter::Ack { seq });
    }

    /// The next that has come, and is news.
    ///
    /// # Errors
    /// [`Lost`], when all that came before is taken: it is to be dropped, and another may be made.
    pub fn next_event(&mut self) -> Result<Option<Event>, Lost> {
        loop {
            let message = match self.wire.frames.next_frame() {
                Ok(Some((kind, body))) => FromStarter::decode(kind, body),
                Ok(None) => return self.wire.lost().map_or(Ok(None), Err),
                Err(e) => Err(e),
            };
            let message = message.map_err(|e| self.wire.end(Lost::Unreadable(e)))?;
            match message {
                FromStarter::State(state) => {
                    let same = self.told.filter(|told| told.starter_inc == state.starter_inc);
                    let seq = same.map_or(state.acked_seq, |told| told.seq.max(state.acked_seq));
                    self.told = Some(Told { starter_inc: state.starter_inc, seq });
                    self.seen_seq = Some(0);
                    return Ok(Some(Event::State(state)));
                }
                FromStarter::Refused { text } => return Err(self.wire.end(Lost::Refused(text))),
                FromStarter::Numbered { seq, report } => {
                    let (Some(told), Some(seen_seq)) = (&mut self.told, &mut self.seen_seq) else {
                        let why = dc_model::codec::DecodeError::Impossible("report before its state");
                        return Err(self.wire.end(Lost::Unreadable(why)));
                    };
                    if seq <= *seen_seq {
                        return Ok(Some(Event::Again { seq, report: *report }));
                    }
                    *seen_seq = seq;
                    // Else it was told before, on another connection.
                    if seq > told.seq {
                        told.seq = seq;
                        return Ok(Some(Event::Report { seq, report: *report }));
                    }
                }
                other => return Ok(Some(Event::Said(other))),
            }
        }
    }

    /// What was taken so far: for the next connection.
    #[must_use]
    pub fn told(&self) -> Option<Told> {
        self.told
    }

    /// The memory file in which ranks say how far they are (`dc_spool::progress`): it comes with the state, and has its
    /// length once the starter knows the job.
    pub fn take_progress(&mut self) -> Option<OwnedFd> {
        self.wire.came.take()
    }
}
