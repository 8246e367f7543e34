//! The relay: a process of its own, on a host that reaches commands and nodes. A command that cannot connect to a node says
//! which one it wants; then bytes are moved both ways and not looked at. What they are is TLS between the command and the
//! node, so that the relay is trusted with nothing.
//!
//! - `nodes`: where the cluster's nodes are; nothing else is connected to.
//! - `greet`: one connection from its handshake until it is through to its node, in a thread of its own.
//! - `pump`, `pair`: all that are through, in one loop.

mod greet;
mod nodes;
mod pair;
mod pump;

use crate::daemon::{Signals, Wish};
use dc_config::{Config, HostPort, Relay};
use dc_link::{Acceptor, Admission, Caps, Endpoint, Gate, KeyPair, PeersFile, Role, UnixSeconds};
use greet::Greeting;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nodes::Nodes;
use pump::Pump;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use thiserror::Error;
use tracing::{debug, info, warn};

/// Connections in all, where descriptors suffice: each has two, and up to 32 KiB of what is on its way.
const CONNECTIONS_MAX: usize = 8192;
/// From one address: a login host has many users, and each job a connection for each of its nodes.
const FROM_ONE_MAX: usize = CONNECTIONS_MAX / 4 * 3;
/// Of these, such that are not through yet: each has a thread.
const GREETINGS_MAX: usize = 256;
/// And from one address, before it is proved who is there.
const UNPROVED_FROM_ONE_MAX: usize = 64;
/// Descriptors besides connections: files that are read, the scheduler, listeners.
const DESCRIPTORS_BESIDE: u64 = 64;
/// Connections that are taken from one address of the relay in a turn.
const ACCEPTS_MAX: usize = 64;
/// How long a wait lasts at most, in ms: the peers file may have changed, threads may have ended.
const LOOK_AGAIN_MS: u16 = 200;

/// What a relay is started with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// The configuration file, where one was named.
    pub config: Option<PathBuf>,
    /// Where to listen, in the place of `streams.relay`.
    pub listen: Option<String>,
}

/// Why there is no relay: one line.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0}")]
pub struct Failed(String);

fn failed(error: impl std::fmt::Display) -> Failed {
    Failed(error.to_string())
}

/// A relay that listens.
pub struct Server {
    acceptors: Vec<Acceptor>,
    endpoint: Endpoint,
    peers: PeersFile,
    nodes: Arc<Nodes>,
    pump: Arc<Pump>,
    signals: Signals,
    greetings: Arc<AtomicUsize>,
}

fn configuration(options: &Options) -> Result<Config, Failed> {
    let surroundings = dc_config::Surroundings::of_environment();
    match &options.config {
        Some(path) => dc_config::read(path, &surroundings),
        None => dc_config::load(&surroundings),
    }
    .map_err(failed)
}

fn addresses(options: &Options, config: &Config) -> Result<Vec<SocketAddr>, Failed> {
    let at = match (&options.listen, &config.streams.relay) {
        (Some(given), _) => {
            HostPort::parse(given).map_err(|why| Failed(format!("--listen {given}: {why}")))?
        }
        (None, Relay::At(at)) => at.clone(),
        (None, Relay::None) => {
            return Err(Failed(
                "dc.toml names no relay: say relay = \"HOST:PORT\" in [streams], which commands connect to"
                    .to_owned(),
            ));
        }
    };
    let numeric = at.addresses();
    if !numeric.is_empty() {
        return Ok(numeric);
    }
    let found = (at.host.as_str(), at.port).to_socket_addrs();
    found.map(Iterator::collect).map_err(|error| Failed(format!("{} has no address: {error}", at.host)))
}

fn listen(at: &[SocketAddr], gate: &Gate) -> Result<Vec<Acceptor>, Failed> {
    let (mut acceptors, mut last) = (Vec::new(), None);
    for address in at {
        match TcpListener::bind(address).and_then(|listener| Acceptor::new(listener, gate.clone())) {
            Ok(acceptor) => acceptors.push(acceptor),
            // Of `*` the second is part of the first, or the host has one family alone; of a name with several addresses
            // one may be another network's.
            Err(error) => {
                last = Some(Failed(format!("cannot listen at {address}: {error}; say where by --listen")))
            }
        }
    }
    match last {
        Some(failed) if acceptors.is_empty() => Err(failed),
        _ => Ok(acceptors),
    }
}

/// Two descriptors each.
fn connections_max() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return CONNECTIONS_MAX };
    let has = match soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        true => hard,
        false => soft,
    };
    let room = usize::try_from(has.saturating_sub(DESCRIPTORS_BESIDE) / 2).unwrap_or(usize::MAX);
    if room < CONNECTIONS_MAX {
        warn!("{has} descriptors are all this process may have: {room} connections at most (ulimit -n)");
    }
    room.clamp(1, CONNECTIONS_MAX)
}

/// Reads the configuration, listens, and finds out who is who.
///
/// # Errors
/// [`Failed`].
pub fn open(options: &Options) -> Result<Server, Failed> {
    let signals = Signals::take().map_err(failed)?;
    let config = configuration(options)?;
    // On the scheduler's host its key; elsewhere the one that commands of this user have.
    let (key, peers) = match config.scheduler.key.exists() {
        true => (&config.scheduler.key, &config.scheduler.peers),
        false => (&config.client.key, &config.client.peers),
    };
    let endpoint = Endpoint::new(&KeyPair::read(key).map_err(failed)?).map_err(failed)?;
    let peers = PeersFile::open(peers).map_err(failed)?;
    let connections_max = connections_max();
    let gate = Gate::new(Caps {
        connections_max,
        unproved_max: GREETINGS_MAX,
        per_address_max: FROM_ONE_MAX.min(connections_max),
        unproved_per_address_max: UNPROVED_FROM_ONE_MAX,
    });
    let acceptors = listen(&addresses(options, &config)?, &gate)?;
    let pump = Arc::new(Pump::start().map_err(|error| failed(format!("no loop can be started: {error}")))?);
    let nodes = Arc::new(Nodes::of(&config));
    Ok(Server { acceptors, endpoint, peers, nodes, pump, signals, greetings: Arc::default() })
}

impl Server {
    /// Relays until it is asked to end. What it carries then is cut; commands and nodes go on over a new connection from
    /// where they were.
    ///
    /// # Errors
    /// [`Failed`].
    pub fn run(mut self) -> Result<(), Failed> {
        for acceptor in &self.acceptors {
            let at = acceptor.local_addr().map_err(failed)?;
            info!("listens at {at} as a relay, key {}", self.endpoint.fingerprint());
        }
        loop {
            while let Some(wish) = self.signals.next_wish() {
                match wish {
                    Wish::End => {
                        info!("ends");
                        return Ok(());
                    }
                    Wish::Reload => debug!("its configuration is read at the next start"),
                }
            }
            let now = crate::daemon::now();
            let has_room = self.greetings.load(Ordering::Relaxed) < GREETINGS_MAX;
            let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            for acceptor in &self.acceptors {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::POLLIN, has_room && acceptor.want_accept(now));
                fds.push(PollFd::new(acceptor.as_fd(), flags));
            }
            // Interrupted or not: what is there is looked for.
            let _ = poll(&mut fds, PollTimeout::from(LOOK_AGAIN_MS));
            if has_room {
                self.accept();
            }
        }
    }

    fn accept(&mut self) {
        if let Err(error) = self.peers.maybe_reload() {
            warn!("the peers file stays as it was: {error}");
        }
        let admission = Admission::of(self.peers.peers(), &[Role::Client, Role::Submit, Role::Node]);
        let Ok(settings) = greet::settings() else { return };
        for acceptor in &mut self.acceptors {
            // The kernel's queue is short: what does not fit into it is tried again after seconds.
            for _ in 0..ACCEPTS_MAX {
                if self.greetings.load(Ordering::Relaxed) >= GREETINGS_MAX {
                    return;
                }
                let now = crate::daemon::now();
                match acceptor.accept(&self.endpoint, &admission, &settings, now, UnixSeconds::now()) {
                    Ok(Some((conn, from))) => {
                        let (nodes, pump) = (Arc::clone(&self.nodes), Arc::clone(&self.pump));
                        Greeting { conn, from, nodes, pump }.spawn(&self.greetings);
                    }
                    Ok(None) => break,
                    Err(error) => debug!("{error}"),
                }
            }
        }
    }
}
