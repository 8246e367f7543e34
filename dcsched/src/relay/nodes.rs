//! Where the nodes of this cluster are: the addresses that the scheduler tells, to the letter. It is asked when somebody
//! wants a node and what is known is old, or does not have it; while it does not answer, what it told last holds.

use dc_config::{Config, HostPort, Place};
use dc_link::{
    Admission, Conn, Endpoint, Event, KeyPair, LocalPolicy, Parties, Party, PeersFile, Role, Rule, Rules,
    Session, Settings, Socket, UnixSeconds, connect_tcp, dial_local,
};
use dc_model::cluster::client::TO_CLIENT;
use dc_model::cluster::{FromClient, ToClient, VERSION};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::User;
use std::collections::BTreeSet;
use std::net::ToSocketAddrs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::warn;

/// What is older is asked for anew, in ns: a node that has left is forgotten after that.
const OLD_NS: u64 = 10_000_000_000;
/// The scheduler is asked at most so often, in ns, however many want nodes that are none.
const AGAIN_NS: u64 = 500_000_000;
/// How long the scheduler may take, in ns.
const ASK_NS: u64 = 3_000_000_000;
/// The user that a system's daemons run as.
const DAEMON_USER: &str = "dc";

/// The nodes.
pub(super) struct Nodes {
    places: Vec<Place>,
    key: PathBuf,
    peers: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    addresses: BTreeSet<String>,
    /// When it was told so.
    told_ns: Option<u64>,
    asked_ns: Option<u64>,
}

impl Nodes {
    /// Those of which the scheduler of this configuration tells.
    pub fn of(config: &Config) -> Self {
        let client = &config.client;
        let (key, peers) = (client.key.clone(), client.peers.clone());
        Self { places: client.schedulers.clone(), key, peers, known: Mutex::default() }
    }

    /// Whether a node's peer port is there.
    ///
    /// # Errors
    /// One line: it is not.
    pub fn look_up(&self, address: &str) -> Result<(), String> {
        // One asks while the others wait for what it hears.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = crate::daemon::now();
        let is_old = |at: Option<u64>, after: u64| at.is_none_or(|at| now.saturating_sub(at) >= after);
        let wants = is_old(known.told_ns, OLD_NS) || !known.addresses.contains(address);
        if wants && is_old(known.asked_ns, AGAIN_NS) {
            match self.ask() {
                Ok(addresses) => (known.addresses, known.told_ns) = (addresses, Some(crate::daemon::now())),
                Err(why) => warn!("the scheduler does not tell where nodes are: {why}"),
            }
            known.asked_ns = Some(crate::daemon::now());
        }
        match (known.addresses.contains(address), known.told_ns) {
            (true, _) => Ok(()),
            (false, None) => {
                Err("the relay does not know the nodes yet: the scheduler does not tell it".to_owned())
            }
            (false, Some(_)) => Err("no node of this cluster has that address".to_owned()),
        }
    }

    fn ask(&self) -> Result<BTreeSet<String>, String> {
        let mut why = "no scheduler is named".to_owned();
        for place in &self.places {
            match self.ask_one(place) {
                Ok(addresses) => return Ok(addresses),
                Err(error) => why = format!("{place}: {error}"),
            }
        }
        Err(why)
    }

    fn ask_one(&self, place: &Place) -> Result<BTreeSet<String>, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let end_ns = crate::daemon::now().saturating_add(ASK_NS);
        let mut conn = self.dial(place)?;
        loop {
            match conn.next_event().map_err(|e| text(&e))? {
                Some(Event::Up(_)) => {
                    let message = FromClient::ListNodes { request: 1 };
                    conn.send(message.kind(), &message.body()).map_err(|e| text(&e))?;
                }
                Some(Event::Frame { kind, body }) => {
                    match ToClient::decode(kind, body).map_err(|e| text(&e))? {
                        ToClient::Nodes { request: 1, nodes } => {
                            conn.session().close("");
                            let _ = conn.on_writable(crate::daemon::now());
                            // A path is a socket of the node's host.
                            let tcp = nodes.into_iter().map(|node| node.address);
                            return Ok(tcp.filter(|at| HostPort::parse(at).is_ok()).collect());
                        }
                        ToClient::Refused { text, .. } => return Err(text),
                        _ => {}
                    }
                }
                Some(Event::Ended { text }) => return Err(text),
                Some(_) => {}
                None => {
                    let now = crate::daemon::now();
                    if now >= end_ns {
                        return Err("it does not answer".to_owned());
                    }
                    let mut flags = PollFlags::empty();
                    flags.set(PollFlags::POLLIN, conn.want_read());
                    flags.set(PollFlags::POLLOUT, conn.want_write());
                    let ms = end_ns.saturating_sub(now).div_ceil(1_000_000);
                    let timeout = PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX);
                    // Interrupted or not: what has come is looked for.
                    let _ = poll(&mut [PollFd::new(conn.as_fd(), flags)], timeout);
                    let now = crate::daemon::now();
                    let turned = conn.on_writable(now).and_then(|()| conn.on_readable(now));
                    turned.and_then(|()| conn.on_tick(now)).map_err(|e| text(&e))?;
                }
            }
        }
    }

    fn dial(&self, place: &Place) -> Result<Conn, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let from = Parties::of(&[Party::Scheduler, Party::Local]);
        let rules: Vec<Rule> = TO_CLIENT
            .iter()
            .map(|(kind, _, bytes)| Rule { kind: *kind, from, body_bytes_max: *bytes })
            .collect();
        let settings = Settings::new(VERSION, Arc::new(Rules::new(&rules).map_err(|e| text(&e))?));
        let now = crate::daemon::now();
        match place {
            Place::Unix(path) => {
                let policy = match User::from_name(DAEMON_USER) {
                    Ok(Some(user)) => LocalPolicy::Listed(vec![user.uid.as_raw()]),
                    _ => LocalPolicy::Own,
                };
                let (stream, credentials) = dial_local(path, &policy).map_err(|e| text(&e))?;
                Ok(Conn::new(Socket::Unix(stream), Session::local(credentials, settings, now)))
            }
            Place::Tcp(at) => {
                let pair = KeyPair::read(&self.key).map_err(|e| text(&e))?;
                let endpoint = Endpoint::new(&pair).map_err(|e| text(&e))?;
                let peers = PeersFile::open(&self.peers).map_err(|e| text(&e))?.peers();
                let mut found = (at.host.as_str(), at.port).to_socket_addrs().map_err(|e| text(&e))?;
                let address = found.next().ok_or_else(|| format!("{} has no address", at.host))?;
                let admission = Admission::of(peers, &[Role::Scheduler]);
                let session = Session::dial(&endpoint, admission, settings, now, UnixSeconds::now());
                let socket = connect_tcp(address).map_err(|e| text(&e))?;
                Ok(Conn::new(Socket::Tcp(socket), session.map_err(|e| text(&e))?))
            }
        }
    }
}
