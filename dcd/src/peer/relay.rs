//! The way to a node that cannot be connected to from here: by a relay, which moves bytes and is trusted with nothing. What
//! is made here is a socket to the node, whichever way it goes; who is there is proved over it as ever.

use super::clock;
use dc_link::{
    Admission, BadRule, Conn, Endpoint, Event, LinkError, Parties, Party, Peers, Role, Rule, Rules,
    SendError, Session, Settings, Socket, UnixSeconds, connect_tcp,
};
use dc_model::cluster::relay::{FromRelayed, TO_RELAYED, ToRelayed};
use dc_model::codec::DecodeError;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use thiserror::Error;

/// How long a node may take to be connected to before the relay is asked, in ns.
const DIRECT_NS: u64 = 1_500_000_000;
/// How long the relay may take for all of it: its own connecting to the node takes up to 5 s, in ns.
const RELAY_NS: u64 = 12_000_000_000;
/// Where one node was reached by the relay alone, others are asked for there first, for so long, in ns.
const REMEMBERED_NS: u64 = 60_000_000_000;

/// Why the relay does not help.
#[derive(Debug, Error)]
pub enum RelayError {
    /// The system's.
    #[error("it cannot be reached: {0}")]
    Connect(#[from] io::Error),
    /// The connection.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It says no.
    #[error("it refuses: {0}")]
    Refused(String),
    /// What came is no message.
    #[error("it sent a message that {0}")]
    Message(#[from] DecodeError),
    /// What was to be sent does not go.
    #[error(transparent)]
    Send(#[from] SendError),
    /// A mistake of the program's.
    #[error("the table of messages contradicts itself: {0}")]
    Rules(#[from] BadRule),
}

/// Neither way goes.
#[derive(Debug, Error)]
#[error("the node cannot be reached at {to}: {direct}; and not by the relay {at}: {relay}")]
pub struct Unreachable {
    /// The node's address.
    to: String,
    direct: io::Error,
    /// The relay's.
    at: String,
    relay: Box<RelayError>,
}

/// A relay, and what was learnt of it. All that dial nodes share one.
pub struct Relay {
    /// Its address.
    at: String,
    endpoint: Endpoint,
    peers: Arc<Peers>,
    /// Until when it is asked first.
    first_until_ns: AtomicU64,
    was_used: AtomicBool,
    told: Box<dyn Fn(&str) + Send + Sync>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Relay {
    /// The one at this address, as `HOST:PORT`. `told` is called once, with the address, when a node was reached by it.
    pub fn new(
        at: String,
        endpoint: Endpoint,
        peers: Arc<Peers>,
        told: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let (first_until_ns, was_used) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { at, endpoint, peers, first_until_ns, was_used, told: Box::new(told) }
    }

    /// A socket to the node at this address, non-blocking: of its own where that goes, else by the relay. Waits for it.
    ///
    /// # Errors
    /// [`Unreachable`].
    pub fn socket(&self, to: &str) -> Result<TcpStream, Unreachable> {
        let tries_first = self.first_until_ns.load(Ordering::Relaxed) > clock::boottime_ns();
        if tries_first && let Ok(socket) = self.relayed(to) {
            return Ok(socket);
        }
        let direct = match connected(to, clock::boottime_ns().saturating_add(DIRECT_NS)) {
            Ok(socket) => {
                self.first_until_ns.store(0, Ordering::Relaxed);
                return Ok(socket);
            }
            Err(error) => error,
        };
        match self.relayed(to) {
            Ok(socket) => {
                let until_ns = clock::boottime_ns().saturating_add(REMEMBERED_NS);
                self.first_until_ns.store(until_ns, Ordering::Relaxed);
                if !self.was_used.swap(true, Ordering::Relaxed) {
                    (self.told)(&self.at);
                }
                Ok(socket)
            }
            Err(relay) => {
                let (at, relay) = (self.at.clone(), Box::new(relay));
                Err(Unreachable { to: to.to_owned(), direct, at, relay })
            }
        }
    }

    /// A socket to the node at this address, by the relay, non-blocking. Waits for it.
    ///
    /// # Errors
    /// [`RelayError`].
    pub fn relayed(&self, to: &str) -> Result<TcpStream, RelayError> {
        let end_ns = clock::boottime_ns().saturating_add(RELAY_NS);
        let socket = connected(&self.at, end_ns)?;
        let from = Parties::of(&[Party::Scheduler, Party::Node, Party::Client, Party::Submit]);
        let rules: Vec<Rule> = TO_RELAYED
            .iter()
            .map(|(kind, _, bytes)| Rule { kind: *kind, from, body_bytes_max: *bytes })
            .collect();
        let settings = Settings::new(dc_model::cluster::VERSION, Arc::new(Rules::new(&rules)?));
        // Any of the cluster: it learns nothing, and changes nothing unseen.
        let roles = [Role::Scheduler, Role::Node, Role::Client, Role::Submit];
        let admission = Admission::of(Arc::clone(&self.peers), &roles);
        let now = clock::boottime_ns();
        let session = Session::dial(&self.endpoint, admission, settings, now, UnixSeconds::now())?;
        let mut conn = Conn::new(Socket::Tcp(socket), session);
        loop {
            let answer = match conn.next_event()? {
                Some(Event::Frame { kind, body }) => Some(ToRelayed::decode(kind, body)?),
                Some(Event::Up(_)) => {
                    let connect = FromRelayed::Connect { address: to.to_owned() };
                    conn.send(connect.kind(), &connect.body())?;
                    continue;
                }
                Some(Event::Ended { text }) => return Err(RelayError::Refused(text)),
                Some(_) => continue,
                None => None,
            };
            match answer {
                Some(ToRelayed::Refused { text }) => return Err(RelayError::Refused(text)),
                Some(ToRelayed::Opened) => {
                    return match conn.into_plain() {
                        Some((Socket::Tcp(socket), _)) => Ok(socket),
                        _ => Err(LinkError::Lost { partial: true }.into()),
                    };
                }
                None => {}
            }
            let now = clock::boottime_ns();
            if now >= end_ns {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, conn.want_read());
            flags.set(PollFlags::POLLOUT, conn.want_write());
            let until_ns = conn.deadline_ns().map_or(end_ns, |at| at.min(end_ns));
            let ready = wait(conn.as_fd(), flags, until_ns);
            let now = clock::boottime_ns();
            if ready.intersects(PollFlags::POLLOUT | PollFlags::POLLERR) {
                conn.on_writable(now)?;
            }
            if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
                conn.on_readable(now)?;
            }
            conn.on_tick(now)?;
        }
    }
}

fn wait(fd: std::os::fd::BorrowedFd<'_>, flags: PollFlags, until_ns: u64) -> PollFlags {
    let ms = until_ns.saturating_sub(clock::boottime_ns()).div_ceil(1_000_000);
    let mut fds = [PollFd::new(fd, flags)];
    // Interrupted or not: the caller looks at the time.
    let _ = poll(&mut fds, PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX));
    fds[0].revents().unwrap_or(PollFlags::empty())
}

/// Connects to the first address of a `HOST:PORT` that answers, at the latest then.
///
/// # Errors
/// The last one's, or that the time is over.
pub fn connected(to: &str, end_ns: u64) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in to.to_socket_addrs()? {
        let tried = connect_tcp(address).and_then(|socket| {
            loop {
                let ready = wait(socket.as_fd(), PollFlags::POLLOUT, end_ns);
                if !ready.is_empty() {
                    return socket.take_error()?.map_or(Ok(socket), Err);
                }
                if clock::boottime_ns() >= end_ns {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        });
        match tried {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}
