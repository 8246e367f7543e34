//! The listening: a thread that takes connections, waits until each has proved who it is, and gives it a thread of its own.
//! Nothing of a connection is decoded before that.

use super::serve::{Serving, serve};
use super::{DIALLERS, clock, settings};
use dc_link::{
    AcceptError, Acceptor, Admission, BadRule, Caps, Conn, Endpoint, Event, Gate, LocalError, LocalListener,
    LocalPolicy, PeersFile, Role, Session, Settings, Socket, UnixSeconds,
};
use dc_model::cluster::Kind;
use dc_model::cluster::data::FROM_DATA;
use dc_model::cluster::peer::FROM_PEER;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use thiserror::Error;
use tracing::{debug, warn};

/// Connections in all: each has a thread, and up to 2 MiB.
const CONNECTIONS_MAX: usize = 512;
/// How long a wait lasts at most, in ms: the peers file may have changed.
const LOOK_AGAIN_MS: u16 = 1000;

/// Why there is no port.
#[derive(Debug, Error)]
pub enum PortError {
    /// No address can be listened at.
    #[error("cannot listen at {at}: {source}; choose another node.listen, or stop who has it")]
    Listen {
        /// Where.
        at: String,
        /// Why not.
        source: io::Error,
    },
    /// The socket on this host.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// No peers file.
    #[error(transparent)]
    Peers(dc_link::PeersError),
    /// No thread.
    #[error("cannot start a thread for the peer port: {0}")]
    Thread(io::Error),
    /// A mistake of the program's.
    #[error("the table of messages contradicts itself: {0}")]
    Rules(#[from] BadRule),
}

/// Where to listen.
#[derive(Debug)]
pub enum Listen {
    /// TLS: at the first of these that goes.
    Tls {
        /// Addresses.
        at: Vec<SocketAddr>,
        /// This node's key.
        endpoint: Endpoint,
        /// Who may come in.
        peers: PeersFile,
    },
    /// A Unix socket, and whose processes may connect.
    Local(PathBuf, LocalPolicy),
}

enum Door {
    Tls { acceptor: Acceptor, endpoint: Endpoint, peers: PeersFile },
    Local(LocalListener),
}

/// The port. It serves as long as the process.
#[derive(Debug)]
pub struct Port {
    /// Where it listens; none: on this host alone.
    pub at: Option<SocketAddr>,
}

impl Port {
    /// Listens, and serves in threads of its own.
    ///
    /// # Errors
    /// [`PortError`].
    pub fn open(listen: Listen, serving: Serving) -> Result<Self, PortError> {
        let kinds: Vec<Kind> = FROM_PEER.iter().chain(FROM_DATA).copied().collect();
        let settings = settings(DIALLERS, &kinds)?;
        let (door, at) = match listen {
            Listen::Tls { at, endpoint, peers } => {
                let failed = |source| {
                    let at = at.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ");
                    PortError::Listen { at, source }
                };
                let listener = TcpListener::bind(&at[..]).map_err(failed)?;
                let caps = Caps {
                    connections_max: CONNECTIONS_MAX,
                    unproved_max: 64,
                    per_address_max: CONNECTIONS_MAX / 2,
                    unproved_per_address_max: 16,
                };
                let acceptor = Acceptor::new(listener, Gate::new(caps)).map_err(failed)?;
                let bound = acceptor.local_addr().map_err(failed)?;
                (Door::Tls { acceptor, endpoint, peers }, Some(bound))
            }
            Listen::Local(path, policy) => (Door::Local(LocalListener::bind(&path, policy)?), None),
        };
        let keeper = Keeper { door, settings, unproved: Vec::new(), serving, threads: Arc::default() };
        let spawned = std::thread::Builder::new().name("peer port".to_owned()).spawn(move || keeper.keep());
        spawned.map_err(PortError::Thread)?;
        Ok(Self { at })
    }
}

struct Keeper {
    door: Door,
    settings: Settings,
    unproved: Vec<Conn>,
    serving: Serving,
    threads: Arc<AtomicUsize>,
}

impl Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tls { acceptor, .. } => acceptor.as_fd(),
            Self::Local(listener) => listener.as_fd(),
        }
    }
}

impl Keeper {
    fn keep(mut self) {
        loop {
            let now = clock::boottime_ns();
            let may_accept = self.threads.load(Ordering::Relaxed) + self.unproved.len() < CONNECTIONS_MAX
                && match &self.door {
                    Door::Tls { acceptor, .. } => acceptor.want_accept(now),
                    Door::Local(_) => true,
                };
            let mut door = PollFlags::empty();
            door.set(PollFlags::POLLIN, may_accept);
            let mut fds = vec![PollFd::new(self.door.as_fd(), door)];
            for conn in &self.unproved {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::POLLIN, conn.want_read());
                flags.set(PollFlags::POLLOUT, conn.want_write());
                fds.push(PollFd::new(conn.as_fd(), flags));
            }
            // Handshakes have deadlines of some seconds, and are looked at as often as the peers file.
            let polled = poll(&mut fds, PollTimeout::from(LOOK_AGAIN_MS));
            let ready: Vec<PollFlags> = match polled {
                Ok(_) => fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty())).collect(),
                Err(_) => vec![PollFlags::empty(); fds.len()],
            };
            let now = clock::boottime_ns();
            self.on_unproved(&ready[1..], now);
            if ready[0].contains(PollFlags::POLLIN) {
                self.accept(now);
            }
        }
    }

    fn accept(&mut self, now: u64) {
        match &mut self.door {
            Door::Tls { acceptor, endpoint, peers } => {
                if let Err(error) = peers.maybe_reload() {
                    warn!("the peers file stays as it was: {error}");
                }
                let admission = Admission::of(peers.peers(), &[Role::Client, Role::Submit, Role::Node]);
                match acceptor.accept(endpoint, &admission, &self.settings, now, UnixSeconds::now()) {
                    Ok(Some((conn, _))) => self.unproved.push(conn),
                    Ok(None) => {}
                    Err(AcceptError::TurnedAway { from, why }) => debug!("{from} was turned away: {why}"),
                    Err(error) => warn!("peer port: {error}"),
                }
            }
            Door::Local(listener) => match listener.accept() {
                Ok(Some((stream, who))) => {
                    let session = Session::local(who, self.settings.clone(), now);
                    self.unproved.push(Conn::new(Socket::Unix(stream), session));
                }
                Ok(None) => {}
                Err(error) => warn!("peer port: {error}"),
            },
        }
    }

    fn on_unproved(&mut self, ready: &[PollFlags], now: u64) {
        let mut kept = Vec::new();
        let flags = ready.iter().copied().chain(std::iter::repeat(PollFlags::empty()));
        for (mut conn, flags) in std::mem::take(&mut self.unproved).into_iter().zip(flags) {
            match try_prove(&mut conn, flags, now) {
                Ok(false) => kept.push(conn),
                Ok(true) => self.hand_over(conn),
                Err(error) => debug!("peer port: {error}"),
            }
        }
        self.unproved = kept;
    }

    fn hand_over(&self, conn: Conn) {
        let (serving, threads) = (self.serving.clone(), Arc::clone(&self.threads));
        threads.fetch_add(1, Ordering::Relaxed);
        let count = Counted(threads);
        let spawned = std::thread::Builder::new().name("peer".to_owned()).spawn(move || {
            let _count = count;
            serve(conn, &serving);
        });
        if let Err(error) = spawned {
            warn!("a connection is dropped: no thread for it: {error}");
        }
    }
}

/// A thread's place, given back when it ends, however it ends.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn try_prove(conn: &mut Conn, flags: PollFlags, now: u64) -> Result<bool, dc_link::LinkError> {
    conn.on_tick(now)?;
    if flags.intersects(PollFlags::POLLOUT | PollFlags::POLLERR) {
        conn.on_writable(now)?;
    }
    if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
        conn.on_readable(now)?;
    }
    // Its first event; frames behind it stay for who takes it over.
    Ok(matches!(conn.next_event()?, Some(Event::Up(_))))
}
