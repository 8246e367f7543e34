//! The other side of a node's port, for commands: a job's streams on that node. It is asked what it waits for and told what
//! came, by whoever has a loop; [`Stream::wait`] is such a loop for who has none.
//!
//! A connection that is lost is the caller's to make again, with [`Stream::have`]: nothing is lost or doubled over that.

use super::dial::{DialError, dial_for};
use super::relay::{Relay, Unreachable};
use super::{ALIVE_NS, clock};
use dc_link::{BadRule, Conn, Endpoint, Event, Fingerprint, LinkError, LocalError, Peers, SendError};
use dc_model::JobUuid;
use dc_model::cluster::peer::{FromPeer, TO_PEER, ToPeer};
use dc_model::codec::DecodeError;
use dc_model::wire::{FromStarter, Output, OutputAt, ToStarter};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Bytes of output that may be taken before the node is told.
const TELL_BYTES: u64 = 64 << 10;

/// How a node is reached, and who it must be.
#[derive(Clone, Debug)]
pub enum NodeAt {
    /// By TLS.
    Tls {
        /// Its port.
        to: SocketAddr,
        /// This command's key.
        endpoint: Endpoint,
        /// The cluster.
        peers: Arc<Peers>,
        /// The node's key, as the scheduler told it.
        key: Option<Fingerprint>,
    },
    /// By TLS, straight or through a relay where that does not go.
    Relayed {
        /// Its port, as the scheduler tells it.
        to: String,
        /// The relay.
        by: Arc<Relay>,
        /// This command's key.
        endpoint: Endpoint,
        /// The cluster.
        peers: Arc<Peers>,
        /// The node's key, as the scheduler told it.
        key: Option<Fingerprint>,
    },
    /// On this host; these users' process may listen there beside this user's own and root's.
    Local(PathBuf, Vec<u32>),
}

/// Why there is no stream, or no more of it.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The connection.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The socket on this host.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The system's.
    #[error("the node cannot be reached at {to}: {source}")]
    Connect {
        /// Where.
        to: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The node sends nothing more, and why: another try goes no better.
    #[error("the node refuses: {0}")]
    Refused(String),
    /// Neither straight nor by the relay.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// What came is no message.
    #[error("the node sent a message that {0}")]
    Message(#[from] DecodeError),
    /// What was to be sent does not go.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A mistake of the program's.
    #[error("the table of messages contradicts itself: {0}")]
    Rules(#[from] BadRule),
    /// It has ended the connection.
    #[error("the node has ended the connection: {0}")]
    Ended(String),
}

impl From<DialError> for StreamError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Link(error) => Self::Link(error),
            DialError::Local(error) => Self::Local(error),
            DialError::Connect { to, source } => Self::Connect { to, source },
            DialError::Unreachable(error) => Self::Unreachable(error),
            DialError::Rules(error) => Self::Rules(error),
        }
    }
}

/// What comes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamEvent {
    /// The output of a starter begins here: first of all, and again for another starter.
    From(OutputAt),
    /// A piece of output. Say [`Stream::taken`] when it is where it belongs.
    Output {
        /// It.
        frame: Output,
        /// Behind it.
        at: OutputAt,
    },
    /// A rank wants input: answer with [`Stream::input`]. The same wish may come again.
    WantInput(FromStarter),
    /// That starter has ended, and all its output was here.
    Ended,
}

/// A job's streams on one node.
pub struct Stream {
    conn: Conn,
    job: JobUuid,
    is_up: bool,
    starter_inc: Option<u64>,
    have: Option<OutputAt>,
    /// What was taken that the node was not told of begins here.
    told: Option<OutputAt>,
    said_ns: u64,
}

impl Stream {
    /// Begins to connect; nothing waits but for a relay. `have`: up to where everything was taken on an earlier connection.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn dial(node: &NodeAt, job: JobUuid, have: Option<OutputAt>) -> Result<Self, StreamError> {
        let conn = dial_for(node, TO_PEER)?;
        let now = clock::boottime_ns();
        Ok(Self { conn, job, is_up: false, starter_inc: None, have, told: have, said_ns: now })
    }

    /// To be polled, and for what; `is_full`: the caller takes no more output at the moment.
    #[must_use]
    pub fn wants(&self, is_full: bool) -> (BorrowedFd<'_>, PollFlags) {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.conn.want_read() && !is_full);
        flags.set(PollFlags::POLLOUT, self.conn.want_write());
        (self.conn.as_fd(), flags)
    }

    /// When [`Stream::on_ready`] is to be called at the latest, in ns of CLOCK_BOOTTIME.
    #[must_use]
    pub fn deadline_ns(&self) -> u64 {
        let alive = self.said_ns.saturating_add(ALIVE_NS);
        self.conn.deadline_ns().map_or(alive, |at| at.min(alive))
    }

    /// It is ready, or its deadline has come. Then take [`Stream::next_event`] until there is none.
    ///
    /// # Errors
    /// [`StreamError`]: what came before it is lost with it, and was not taken.
    pub fn on_ready(&mut self, flags: PollFlags) -> Result<(), StreamError> {
        let now = clock::boottime_ns();
        if flags.intersects(PollFlags::POLLOUT | PollFlags::POLLERR) {
            self.conn.on_writable(now)?;
        }
        if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            self.conn.on_readable(now)?;
        }
        self.conn.on_tick(now)?;
        if self.is_up && now.saturating_sub(self.said_ns) >= ALIVE_NS {
            self.say(&FromPeer::Alive)?;
        }
        Ok(())
    }

    fn say(&mut self, message: &FromPeer) -> Result<(), StreamError> {
        let now = clock::boottime_ns();
        self.said_ns = now;
        self.conn.send(message.kind(), &message.body())?;
        Ok(self.conn.on_writable(now)?)
    }

    /// The next that has come.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn next_event(&mut self) -> Result<Option<StreamEvent>, StreamError> {
        loop {
            let message = match self.conn.next_event()? {
                None => {
                    self.tell_taken()?;
                    return Ok(None);
                }
                Some(Event::Up(_)) => {
                    self.is_up = true;
                    self.say(&FromPeer::Attach { job: self.job, have: self.have })?;
                    continue;
                }
                Some(Event::Frame { kind, body }) => ToPeer::decode(kind, body)?,
                Some(Event::Ended { text }) => return Err(StreamError::Ended(text)),
                Some(Event::Join(_) | Event::Joined(_)) => continue,
            };
            return Ok(Some(match message {
                ToPeer::From(at) => {
                    self.starter_inc = Some(at.starter_inc);
                    StreamEvent::From(at)
                }
                ToPeer::Output { end, frame } => {
                    let starter_inc = self.starter_inc.ok_or(DecodeError::Impossible("output of nobody"))?;
                    StreamEvent::Output { frame, at: OutputAt { starter_inc, offset: end } }
                }
                ToPeer::WantInput(want) => StreamEvent::WantInput(want),
                ToPeer::Ended { .. } => StreamEvent::Ended,
                ToPeer::Refused { text } => return Err(StreamError::Refused(text)),
                ToPeer::Alive => continue,
            }));
        }
    }

    /// All output up to here is where it belongs: the node need not keep it. It is told when that is worth a message, and
    /// when [`Stream::next_event`] has no more.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn taken(&mut self, at: OutputAt) -> Result<(), StreamError> {
        self.have = Some(at);
        let told = self.told.filter(|told| told.starter_inc == at.starter_inc).map_or(0, |told| told.offset);
        if at.offset.saturating_sub(told) >= TELL_BYTES { self.tell_taken() } else { Ok(()) }
    }

    fn tell_taken(&mut self) -> Result<(), StreamError> {
        match self.have.filter(|have| self.told != Some(*have)) {
            Some(at) => {
                self.told = Some(at);
                self.say(&FromPeer::Taken { at })
            }
            None => Ok(()),
        }
    }

    /// Up to where everything was taken: for the next connection.
    #[must_use]
    pub fn have(&self) -> Option<OutputAt> {
        self.have
    }

    /// Input for a rank that wants it ([`ToStarter::Input`]).
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn input(&mut self, input: ToStarter) -> Result<(), StreamError> {
        self.say(&FromPeer::Input(Box::new(input)))
    }

    /// Ends the connection in peace, as far as that goes at once.
    pub fn close(mut self) {
        let _ = self.tell_taken();
        self.conn.session().close("");
        let _ = self.conn.on_writable(clock::boottime_ns());
    }

    /// Waits for the next event, at most so long.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn wait(&mut self, at_most: Duration) -> Result<Option<StreamEvent>, StreamError> {
        let end = clock::boottime_ns().saturating_add(u64::try_from(at_most.as_nanos()).unwrap_or(u64::MAX));
        loop {
            if let Some(event) = self.next_event()? {
                return Ok(Some(event));
            }
            let now = clock::boottime_ns();
            if now >= end {
                return Ok(None);
            }
            let ms = self.deadline_ns().min(end).saturating_sub(now).div_ceil(1_000_000);
            let (fd, flags) = self.wants(false);
            let mut fds = [PollFd::new(fd, flags)];
            let _ = poll(&mut fds, PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX));
            let ready = fds[0].revents().unwrap_or(PollFlags::empty());
            self.on_ready(ready)?;
        }
    }
}
