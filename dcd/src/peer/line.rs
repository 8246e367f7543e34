//! A connection for who has a thread for it: what is said waits until there is room, what is waited for has a deadline, and
//! both sides say that they live. What waits to be sent is bounded by the link, what has come and is not taken by what it
//! reads ahead.

use super::{ALIVE_NS, clock};
use dc_link::{Conn, Event, LinkError, SendError};
use dc_model::cluster::data::{FromData, ToData};
use dc_model::codec::DecodeError;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::os::fd::AsFd;
use thiserror::Error;

/// Frames that came while something was said: who sends more without waiting for an answer is no side of this.
const AHEAD_MAX: usize = 64;
/// That the dialling side lives, and that the dialled side does: as streams have it.
const ALIVE: [u8; 2] = [0x8f, 0x9f];

/// Why a connection is of no more use.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LineError {
    /// The link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// What was to be sent does not go.
    #[error(transparent)]
    Send(#[from] SendError),
    /// What came is no message, or none that may come now.
    #[error("it sent a message that {0}")]
    Message(#[from] DecodeError),
    /// Nothing came in time.
    #[error("nothing came of it for {0} s")]
    Late(u64),
    /// It has ended the connection.
    #[error("it has ended the connection: {0}")]
    Ended(String),
    /// It is told so.
    #[error("it was refused: {0}")]
    Refused(String),
}

/// A message of data: what one side sends and the other takes.
pub(crate) trait Message: Sized {
    /// Kind and body.
    fn parts(&self) -> (u8, Vec<u8>);
    /// Reads one.
    fn read(kind: u8, body: &[u8]) -> Result<Self, DecodeError>;
}

impl Message for FromData {
    fn parts(&self) -> (u8, Vec<u8>) {
        (self.kind(), self.body())
    }
    fn read(kind: u8, body: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(kind, body)
    }
}

impl Message for ToData {
    fn parts(&self) -> (u8, Vec<u8>) {
        (self.kind(), self.body())
    }
    fn read(kind: u8, body: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(kind, body)
    }
}

/// One end.
pub(crate) struct Line<'a> {
    conn: &'a mut Conn,
    /// The kind by which this end says that it lives.
    alive: u8,
    ahead: VecDeque<(u8, Vec<u8>)>,
    said_ns: u64,
    is_up: bool,
}

impl<'a> Line<'a> {
    /// The end that has dialled; it waits for the other one to be there.
    pub fn dialled(conn: &'a mut Conn, within_ns: u64) -> Result<Self, LineError> {
        let mut line = Self { conn, alive: ALIVE[0], ahead: VecDeque::new(), said_ns: 0, is_up: false };
        let end = clock::boottime_ns().saturating_add(within_ns);
        while !line.is_up {
            line.take_events()?;
            if line.is_up {
                break;
            }
            let now = clock::boottime_ns();
            if now >= end {
                return Err(LineError::Late(within_ns / 1_000_000_000));
            }
            line.pump(PollFlags::POLLIN, end)?;
        }
        Ok(line)
    }

    /// The end that was dialled; the other side is known.
    pub fn accepted(conn: &'a mut Conn, first: (u8, Vec<u8>)) -> Self {
        let said_ns = clock::boottime_ns();
        Self { conn, alive: ALIVE[1], ahead: VecDeque::from([first]), said_ns, is_up: true }
    }

    /// Says this, once there is room for it.
    pub fn say(&mut self, message: &impl Message) -> Result<(), LineError> {
        let (kind, body) = message.parts();
        self.say_raw(kind, &body)
    }

    fn say_raw(&mut self, kind: u8, body: &[u8]) -> Result<(), LineError> {
        while self.conn.session().is_congested() {
            // The link's own deadline for what nobody takes ends this.
            self.pump(PollFlags::POLLOUT, u64::MAX)?;
            self.take_events()?;
        }
        self.conn.send(kind, body)?;
        let now = clock::boottime_ns();
        self.said_ns = now;
        Ok(self.conn.on_writable(now)?)
    }

    /// The next message, within this time.
    pub fn hear<M: Message>(&mut self, within_ns: u64) -> Result<M, LineError> {
        let end = clock::boottime_ns().saturating_add(within_ns);
        loop {
            if self.ahead.is_empty() {
                self.take_one()?;
            }
            if let Some((kind, body)) = self.ahead.pop_front() {
                return Ok(M::read(kind, &body)?);
            }
            let now = clock::boottime_ns();
            if now >= end {
                return Err(LineError::Late(within_ns / 1_000_000_000));
            }
            self.maybe_say_alive(now)?;
            self.pump(PollFlags::POLLIN, end)?;
        }
    }

    /// Says that this end lives, where it has said nothing for a while: for who is busy otherwise.
    pub fn maybe_say_alive(&mut self, now: u64) -> Result<(), LineError> {
        if now.saturating_sub(self.said_ns) >= ALIVE_NS {
            self.say_raw(self.alive, &[])?;
        }
        Ok(())
    }

    /// Sends what waits, and ends in peace.
    pub fn close(self) {
        self.conn.session().close("");
        let end = clock::boottime_ns().saturating_add(1_000_000_000);
        while !self.conn.is_finished() && clock::boottime_ns() < end {
            if self.conn.on_writable(clock::boottime_ns()).is_err() {
                return;
            }
            let mut fds = [PollFd::new(self.conn.as_fd(), PollFlags::POLLOUT)];
            let _ = poll(&mut fds, PollTimeout::from(100u8));
        }
    }

    fn take_events(&mut self) -> Result<(), LineError> {
        while self.ahead.len() < AHEAD_MAX && self.take_one()? {}
        if self.ahead.len() >= AHEAD_MAX {
            return Err(LineError::Refused("it sends without waiting for answers".to_owned()));
        }
        Ok(())
    }

    /// Takes one event, where there is one.
    fn take_one(&mut self) -> Result<bool, LineError> {
        match self.conn.next_event()? {
            None => return Ok(false),
            Some(Event::Up(_)) => {
                self.is_up = true;
                self.said_ns = clock::boottime_ns();
            }
            Some(Event::Frame { kind, .. }) if ALIVE.contains(&kind) => {}
            // Refused, in the words of streams.
            Some(Event::Frame { kind: 0x94, body }) => {
                return Err(LineError::Ended(String::from_utf8_lossy(body).escape_debug().to_string()));
            }
            Some(Event::Frame { kind, body }) => self.ahead.push_back((kind, body.to_vec())),
            Some(Event::Ended { text }) => return Err(LineError::Ended(text)),
            Some(Event::Join(_) | Event::Joined(_)) => {
                return Err(LineError::Refused("nobody joins here".to_owned()));
            }
        }
        Ok(true)
    }

    /// Waits until the socket is ready or it is time, and does what the connection needs.
    fn pump(&mut self, _for: PollFlags, until_ns: u64) -> Result<(), LineError> {
        let now = clock::boottime_ns();
        let alive = self.said_ns.saturating_add(ALIVE_NS);
        let deadline = [self.conn.deadline_ns(), Some(until_ns), Some(alive.max(now + 1_000_000))];
        let at = deadline.into_iter().flatten().min().unwrap_or(until_ns);
        let ms = at.saturating_sub(now).div_ceil(1_000_000).min(ALIVE_NS / 1_000_000);
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.conn.want_read());
        flags.set(PollFlags::POLLOUT, self.conn.want_write());
        let ready = {
            let mut fds = [PollFd::new(self.conn.as_fd(), flags)];
            let count = poll(&mut fds, PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)).unwrap_or(0);
            fds[0].revents().filter(|_| count > 0).unwrap_or(PollFlags::empty())
        };
        let now = clock::boottime_ns();
        self.conn.on_tick(now)?;
        if ready.intersects(PollFlags::POLLOUT | PollFlags::POLLERR) {
            self.conn.on_writable(now)?;
        }
        if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            self.conn.on_readable(now)?;
        }
        Ok(())
    }
}
