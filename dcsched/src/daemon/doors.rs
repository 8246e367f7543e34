//! Where connections come in: the Unix socket and the TLS port, whose keys are trusted, and what a frame may be before
//! anything of it is decoded.

use super::poller::{Interest, Poller};
use super::settings::{self, Settings};
use dc_link::{
    Acceptor, Admission, ClusterId, Endpoint, Gate, JoinError, JoinRequest, Joined, KeyPair, LocalListener,
    Name, Parties, Party, PeersError, PeersFile, Role, Rule, Rules, TokenRecord, TokenState, TokensFile,
    UnixSeconds,
};
use dc_model::cluster::{Kind, VERSION, client::FROM_CLIENT, node::FROM_NODE};
use nix::errno::Errno;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// The most that may wait for one connection: the longest message, and room for answers behind it.
pub const OUTBOX_BYTES_MAX: usize = 20 << 20;

/// A command may be silent for as long as its job runs, or be stopped by its user; whether its host is there TCP asks.
const IDLE_NS: u64 = 24 * 3600 * 1_000_000_000;

/// What may come in, and from whom.
///
/// # Errors
/// One line, when the tables contradict each other: a mistake of the program.
pub fn rules() -> Result<Rules, String> {
    let of = |table: &[Kind], from: Parties| {
        let rule = move |kind: &Kind| Rule { kind: kind.0, from, body_bytes_max: kind.2 };
        table.iter().map(rule).collect::<Vec<_>>()
    };
    let nodes = of(FROM_NODE, Parties::of(&[Party::Node, Party::Local]));
    let clients = of(FROM_CLIENT, Parties::of(&[Party::Client, Party::Local]));
    Rules::new(&[nodes, clients].concat()).map_err(|error| error.to_string())
}

/// The number of the Unix socket among the loop's descriptors.
pub const LOCAL: u64 = 2;
/// That of the first TLS port; the others follow.
pub const PORTS: u64 = 3;
/// More ports than there are numbers for.
const PORTS_MAX: usize = 32;

/// After descriptors ran out, or while all places are taken, nothing is accepted for so long.
const PAUSE_NS: u64 = 100_000_000;
/// Peers and tokens may be changed by other processes: at most so often it is looked.
const LOOK_NS: u64 = 1_000_000_000;

/// Which door.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// The Unix socket.
    Local,
    /// All ports.
    Tls,
}

/// The TLS side.
pub struct TlsDoor {
    endpoint: Endpoint,
    /// The peers file.
    pub peers: PeersFile,
    tokens: TokensFile,
    admission: Admission,
    /// The ports.
    pub acceptors: Vec<Acceptor>,
    looked_ns: u64,
}

/// All doors.
pub struct Doors {
    /// The Unix socket.
    pub local: LocalListener,
    /// TLS, where it is wanted.
    pub tls: Option<TlsDoor>,
    /// What every session is told.
    pub session: dc_link::Settings,
    /// Until when the socket and the ports are not waited for.
    paused: [Option<u64>; 2],
}

impl Doors {
    /// Listens.
    ///
    /// # Errors
    /// One line: what cannot be opened, and why.
    pub fn open(settings: &Settings, cluster: ClusterId) -> Result<Self, String> {
        let session = dc_link::Settings {
            idle_ns: IDLE_NS,
            outbox_bytes_max: OUTBOX_BYTES_MAX,
            ..dc_link::Settings::new(VERSION, Arc::new(rules()?))
        };
        let tls = if settings.listen.is_empty() { None } else { Some(TlsDoor::open(settings, cluster)?) };
        if let Some(dir) = settings.socket.parent()
            && settings.one_user
        {
            // Where it is not there: the user's own, in a place that is theirs.
            let _ = std::fs::create_dir_all(dir);
        }
        let local =
            LocalListener::bind(&settings.socket, settings.policy()).map_err(|error| error.to_string())?;
        Ok(Self { local, tls, session, paused: [None; 2] })
    }

    fn fds(&self, door: Door) -> Vec<(BorrowedFd<'_>, u64)> {
        match door {
            Door::Local => vec![(self.local.as_fd(), LOCAL)],
            Door::Tls => {
                let ports = self.tls.iter().flat_map(|tls| &tls.acceptors).enumerate();
                ports.map(|(i, acceptor)| (acceptor.as_fd(), PORTS + i as u64)).collect()
            }
        }
    }

    /// Has the poller wait for whoever wants to come in.
    ///
    /// # Errors
    /// The system's.
    pub fn wait_for(&self, poller: &Poller) -> Result<(), Errno> {
        let all = [self.fds(Door::Local), self.fds(Door::Tls)].concat();
        all.into_iter().try_for_each(|(fd, token)| poller.add(fd, token, Interest::READ))
    }

    fn set(&self, poller: &Poller, door: Door, interest: Interest) -> bool {
        self.fds(door).into_iter().all(|(fd, token)| poller.change(fd, token, interest).is_ok())
    }

    /// Nothing is accepted there for a moment.
    pub fn pause(&mut self, poller: &Poller, door: Door, now_ns: u64) {
        if self.set(poller, door, Interest::default()) {
            self.paused[door as usize] = Some(now_ns.saturating_add(PAUSE_NS));
        }
    }

    /// Opens what was paused for long enough.
    pub fn open_paused(&mut self, poller: &Poller, now_ns: u64) {
        for door in [Door::Local, Door::Tls] {
            let is_over = self.paused[door as usize].is_some_and(|until| now_ns >= until);
            if is_over && self.set(poller, door, Interest::READ) {
                self.paused[door as usize] = None;
            }
        }
    }

    /// When that is to be called.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        self.paused.into_iter().flatten().min()
    }
}

impl TlsDoor {
    fn open(settings: &Settings, cluster: ClusterId) -> Result<Self, String> {
        let pair = KeyPair::read_or_make(&settings.key).map_err(|error| error.to_string())?;
        let endpoint = Endpoint::new(&pair).map_err(|error| error.to_string())?;
        let peers = match PeersFile::open(&settings.peers) {
            // A new cluster's, with the scheduler's own line.
            Err(PeersError::Missing(path)) => {
                let name = Name::parse("scheduler").map_err(|error| error.to_string())?;
                let found = dc_link::found(cluster, &name, &settings.key, &path);
                found.map_err(|error| error.to_string())?.1
            }
            other => other.map_err(|error| error.to_string())?,
        };
        settings::check_cluster(&peers, settings, cluster)?;
        let tokens = TokensFile::open(&settings.tokens, &peers).map_err(|error| error.to_string())?;
        let gate = Gate::new(settings.caps);
        let mut acceptors = Vec::new();
        for (i, address) in settings.listen.iter().take(PORTS_MAX).enumerate() {
            let bound = TcpListener::bind(address).and_then(|listener| Acceptor::new(listener, gate.clone()));
            match bound {
                Ok(acceptor) => acceptors.push(acceptor),
                // `*` is two addresses, and where the first takes both the second is in use by ourselves.
                Err(error) if i > 0 && error.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(format!("cannot listen at {address}: {error}")),
            }
        }
        let mut door = Self {
            endpoint,
            admission: Admission::of(peers.peers(), &[]),
            peers,
            tokens,
            acceptors,
            looked_ns: 0,
        };
        door.admit();
        Ok(door)
    }

    /// This side's key.
    #[must_use]
    pub fn fingerprint(&self) -> dc_link::Fingerprint {
        self.endpoint.fingerprint()
    }

    /// Takes over what the peers file says now. Unknown keys may ask to join while there is a token that can be used.
    pub fn admit(&mut self) {
        let now = UnixSeconds::now();
        let usable = |token: &TokenRecord| {
            matches!(token.state, TokenState::Fresh | TokenState::Taken(_)) && now < token.expires
        };
        let joiners = self.tokens.list().is_ok_and(|tokens| tokens.iter().any(usable));
        self.admission = Admission::of(self.peers.peers(), &[Role::Node, Role::Client]).or_joiners(joiners);
    }

    /// Looks, now and then, whether peers or tokens were changed by another process; whether the peers were.
    ///
    /// # Errors
    /// One line; what was read before stays in force.
    pub fn look_again(&mut self, now_ns: u64) -> Result<bool, String> {
        if now_ns < self.looked_ns.saturating_add(LOOK_NS) {
            return Ok(false);
        }
        self.looked_ns = now_ns;
        let changed = self.peers.maybe_reload();
        self.admit();
        changed.map_err(|error| format!("the peers file stays as it was read: {error}"))
    }

    /// Takes a connection of one of the ports.
    ///
    /// # Errors
    /// As [`Acceptor::accept`].
    pub fn accept(
        &mut self,
        port: usize,
        session: &dc_link::Settings,
        now_ns: u64,
    ) -> Result<Option<(dc_link::Conn, std::net::SocketAddr)>, dc_link::AcceptError> {
        let Some(acceptor) = self.acceptors.get_mut(port) else { return Ok(None) };
        acceptor.accept(&self.endpoint, &self.admission, session, now_ns, UnixSeconds::now())
    }

    /// Whether a request to join is accepted.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn try_join(&mut self, request: &JoinRequest) -> Result<Joined, JoinError> {
        let joined = self.tokens.try_join(request, &mut self.peers, UnixSeconds::now())?;
        self.admit();
        Ok(joined)
    }
}
