//! The connection to dcsched: dialled, kept, dialled again. What comes is decoded; what it means is the daemon's.

use super::backoff::Backoff;
use super::settings::{SchedulerAt, Settings};
use dc_link::{
    Admission, Conn, Endpoint, Event, Identity, KeyError, KeyPair, LocalPolicy, Parties, Party, PeersError,
    PeersFile, Role, Rule, Rules, Session, Socket, UnixSeconds, connect_tcp, dial_local,
};
use dc_model::cluster::node::{FromNode, TO_NODE, ToNode};
use nix::poll::PollFlags;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

/// What may wait to be sent, in bytes. The longest message fits twice.
const OUTBOX_BYTES_MAX: usize = 32 << 20;
/// The longest silence before dcsched said how long a lease is, in ns.
const IDLE_NS: u64 = 60_000_000_000;

/// Why dcd cannot begin to dial.
#[derive(Debug, Error)]
pub enum UplinkError {
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No peers file.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// The TLS library refuses the key.
    #[error("the key in {path} cannot be used for TLS: {why}")]
    Tls {
        /// Its file.
        path: String,
        /// Why.
        why: String,
    },
    /// A mistake of the program's.
    #[error("the table of messages contradicts itself: {0}")]
    Rules(#[from] dc_link::BadRule),
}

/// Who this node is, and who others are, for TLS.
#[derive(Debug)]
pub struct Identities {
    /// This node.
    pub endpoint: Endpoint,
    /// The cluster.
    pub peers: PeersFile,
}

impl Identities {
    /// From their files.
    ///
    /// # Errors
    /// [`UplinkError`].
    pub fn read(key: &Path, peers: &Path) -> Result<Self, UplinkError> {
        let pair = KeyPair::read(key)?;
        let endpoint = Endpoint::new(&pair).map_err(|error| UplinkError::Tls {
            path: key.to_string_lossy().escape_debug().to_string(),
            why: error.to_string(),
        })?;
        Ok(Self { endpoint, peers: PeersFile::open(peers)? })
    }
}

enum State {
    /// To be dialled then.
    Waiting { again_ns: u64 },
    /// The host's addresses are looked up.
    Looking,
    /// There is a connection; `is_up`: the other side is known.
    Connected { conn: Box<Conn>, is_up: bool },
}

impl std::fmt::Debug for Uplink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uplink").field("at", &self.at).finish_non_exhaustive()
    }
}

/// What happened.
#[derive(Debug)]
pub enum UpEvent {
    /// It is up: who the other side is, for people.
    Up(String),
    /// A message.
    Message(ToNode),
    /// It is over, and why. It is dialled again by itself.
    Lost(String),
}

/// See the module.
pub struct Uplink {
    at: SchedulerAt,
    state: State,
    backoff: Backoff,
    rules: Arc<Rules>,
    idle_ns: u64,
    addresses: VecDeque<SocketAddr>,
}

/// What is to be done to dial.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WantDial {
    /// Look up this host, beside the loop, and tell [`Uplink::on_looked_up`].
    LookUp(String, u16),
}

impl Uplink {
    /// Not dialled yet.
    ///
    /// # Errors
    /// [`UplinkError`].
    pub fn new(settings: &Settings, seed: u64) -> Result<Self, UplinkError> {
        let from = Parties::of(&[Party::Scheduler, Party::Local]);
        let rules: Vec<Rule> = TO_NODE
            .iter()
            .map(|(kind, _, bytes)| Rule { kind: *kind, from, body_bytes_max: *bytes })
            .collect();
        Ok(Self {
            at: settings.scheduler.clone(),
            state: State::Waiting { again_ns: 0 },
            backoff: Backoff::new(seed, u64::try_from(settings.retry_max.as_nanos()).unwrap_or(u64::MAX)),
            rules: Arc::new(Rules::new(&rules)?),
            idle_ns: IDLE_NS,
            addresses: VecDeque::new(),
        })
    }

    /// How long silence may last from the next connection on.
    pub fn set_lease_ns(&mut self, lease_ns: u64) {
        self.idle_ns = lease_ns.clamp(1_000_000_000, IDLE_NS);
    }

    /// The longest wait before it is dialled again.
    pub fn set_retry_max(&mut self, longest: std::time::Duration) {
        self.backoff.set_longest_ns(u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The connection is of use.
    pub fn on_success(&mut self) {
        self.backoff.on_success();
    }

    /// The connection, for poll.
    #[must_use]
    pub fn wants(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let State::Connected { conn, .. } = &self.state else { return None };
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, conn.want_read());
        flags.set(PollFlags::POLLOUT, conn.want_write());
        Some((conn.as_fd(), flags))
    }

    /// When [`Uplink::on_time`] is to be called at the latest, in ns.
    #[must_use]
    pub fn deadline_ns(&self) -> Option<u64> {
        match &self.state {
            State::Waiting { again_ns } => Some(*again_ns),
            State::Looking => None,
            State::Connected { conn, .. } => conn.deadline_ns(),
        }
    }

    /// Whether nothing more is to be produced for it that can wait.
    #[must_use]
    pub fn is_congested(&mut self) -> bool {
        match &mut self.state {
            State::Connected { conn, .. } => conn.session().is_congested(),
            _ => false,
        }
    }

    /// Dials when it is time; ends what has waited too long.
    pub fn on_time(
        &mut self,
        identities: Option<&Identities>,
        now_ns: u64,
        events: &mut Vec<UpEvent>,
    ) -> Option<WantDial> {
        match &mut self.state {
            State::Waiting { again_ns } if *again_ns <= now_ns => self.dial(identities, now_ns, events),
            State::Connected { conn, .. } => {
                if let Err(error) = conn.on_tick(now_ns) {
                    self.lose(error.to_string(), now_ns, events);
                }
                None
            }
            _ => None,
        }
    }

    fn dial(
        &mut self,
        identities: Option<&Identities>,
        now_ns: u64,
        events: &mut Vec<UpEvent>,
    ) -> Option<WantDial> {
        match self.at.clone() {
            SchedulerAt::Local { path, users } => {
                match dial_local(&path, &LocalPolicy::Listed(users)) {
                    Ok((stream, credentials)) => {
                        let session = Session::local(credentials, self.settings(), now_ns);
                        self.connected(Conn::new(Socket::Unix(stream), session));
                    }
                    Err(error) => self.lose(error.to_string(), now_ns, events),
                }
                None
            }
            SchedulerAt::Tcp { host, port } => {
                if let Some(address) = self.addresses.pop_front() {
                    self.dial_tcp(address, identities, now_ns, events);
                    return None;
                }
                match host.parse() {
                    Ok(ip) => {
                        self.dial_tcp(SocketAddr::new(ip, port), identities, now_ns, events);
                        None
                    }
                    Err(_) => {
                        self.state = State::Looking;
                        Some(WantDial::LookUp(host, port))
                    }
                }
            }
        }
    }

    /// What a look-up gave.
    pub fn on_looked_up(
        &mut self,
        found: Result<Vec<SocketAddr>, String>,
        identities: Option<&Identities>,
        now_ns: u64,
        events: &mut Vec<UpEvent>,
    ) {
        match found {
            Ok(addresses) => {
                self.addresses = addresses.into();
                match self.addresses.pop_front() {
                    Some(address) => self.dial_tcp(address, identities, now_ns, events),
                    None => self.lose("its host has no address".to_owned(), now_ns, events),
                }
            }
            Err(why) => self.lose(why, now_ns, events),
        }
    }

    fn dial_tcp(
        &mut self,
        to: SocketAddr,
        identities: Option<&Identities>,
        now_ns: u64,
        events: &mut Vec<UpEvent>,
    ) {
        let Some(ids) = identities else {
            return self.lose("this node has no key".to_owned(), now_ns, events);
        };
        let admission = Admission::of(ids.peers.peers(), &[Role::Scheduler]);
        let session = Session::dial(&ids.endpoint, admission, self.settings(), now_ns, UnixSeconds::now());
        match (connect_tcp(to), session) {
            (Ok(stream), Ok(session)) => self.connected(Conn::new(Socket::Tcp(stream), session)),
            (Err(error), _) => self.lose(format!("{to}: {error}"), now_ns, events),
            (_, Err(error)) => self.lose(format!("{to}: {error}"), now_ns, events),
        }
    }

    fn settings(&self) -> dc_link::Settings {
        let mut settings = dc_link::Settings::new(dc_model::cluster::VERSION, Arc::clone(&self.rules));
        settings.outbox_bytes_max = OUTBOX_BYTES_MAX;
        settings.idle_ns = self.idle_ns;
        settings
    }

    fn connected(&mut self, conn: Conn) {
        self.state = State::Connected { conn: Box::new(conn), is_up: false };
    }

    /// Ends the connection; it is dialled again after a while, or at once at the host's next address.
    pub fn lose(&mut self, why: String, now_ns: u64, events: &mut Vec<UpEvent>) {
        let wait_ns = if self.addresses.is_empty() { self.backoff.wait_ns() } else { 0 };
        self.state = State::Waiting { again_ns: now_ns.saturating_add(wait_ns) };
        events.push(UpEvent::Lost(why));
    }

    /// Tells the other side why, then ends it.
    pub fn refuse(&mut self, why: &str, now_ns: u64, events: &mut Vec<UpEvent>) {
        if let State::Connected { conn, .. } = &mut self.state {
            conn.session().close(why);
            let _ = conn.on_writable(now_ns);
        }
        self.lose(why.to_owned(), now_ns, events);
    }

    /// The socket is ready.
    pub fn on_ready(&mut self, flags: PollFlags, now_ns: u64, events: &mut Vec<UpEvent>) {
        if let Err(why) = self.try_ready(flags, now_ns, events) {
            self.lose(why, now_ns, events);
        }
    }

    fn try_ready(&mut self, flags: PollFlags, now_ns: u64, events: &mut Vec<UpEvent>) -> Result<(), String> {
        let State::Connected { conn, is_up } = &mut self.state else { return Ok(()) };
        let said = |error: dc_link::LinkError| error.to_string();
        if flags.intersects(PollFlags::POLLOUT | PollFlags::POLLERR) {
            conn.on_writable(now_ns).map_err(said)?;
        }
        if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            conn.on_readable(now_ns).map_err(said)?;
        }
        loop {
            match conn.next_event().map_err(said)? {
                None => return Ok(()),
                Some(Event::Up(identity)) => {
                    *is_up = true;
                    self.addresses.clear();
                    events.push(UpEvent::Up(shown(identity)));
                }
                Some(Event::Frame { kind, body }) => {
                    let message = ToNode::decode(kind, body)
                        .map_err(|error| format!("it sent a message that {error}"))?;
                    events.push(UpEvent::Message(message));
                }
                Some(Event::Ended { text }) => return Err(format!("it said: {text}")),
                Some(Event::Join(_) | Event::Joined(_)) => return Err("it wants to join".to_owned()),
            }
        }
    }

    /// Whether messages can be sent.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Connected { is_up: true, .. })
    }

    /// Queues a message, and sends what goes. Nothing when the connection is down: it is told anew on the next one.
    pub fn send(&mut self, message: &FromNode, now_ns: u64, events: &mut Vec<UpEvent>) {
        let State::Connected { conn, is_up: true } = &mut self.state else { return };
        let sent = conn.send(message.kind(), &message.body()).map_err(|error| error.to_string());
        let sent = sent.and_then(|()| conn.on_writable(now_ns).map_err(|error| error.to_string()));
        if let Err(why) = sent {
            self.lose(why, now_ns, events);
        }
    }

    /// After a change of the peers file: whether the scheduler would still be accepted.
    pub fn recheck(&mut self, identities: &Identities, now_ns: u64, events: &mut Vec<UpEvent>) {
        let State::Connected { conn, .. } = &mut self.state else { return };
        if let Err(error) = conn.session().recheck(&identities.peers.peers(), UnixSeconds::now()) {
            self.lose(error.to_string(), now_ns, events);
        }
    }
}

fn shown(identity: &Identity) -> String {
    match identity {
        Identity::Peer(peer) => format!("{} {}", peer.role.text(), peer.name.as_str()),
        Identity::Local(who) => format!("process {} of user {}", who.pid, who.uid),
        Identity::Joiner(_) => "a joiner".to_owned(),
    }
}
