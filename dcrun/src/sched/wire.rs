//! A connection to the scheduler: dialled and proved first, then messages both ways without waiting.

use super::{ClusterError, Target};
use dc_config::{HostPort, Place};
use dc_link::{
    Admission, Conn, Endpoint, Event, KeyPair, LocalPolicy, Parties, Party, PeersFile, Role, Rule, Rules,
    Session, Settings, Socket, UnixSeconds, connect_tcp, dial_local,
};
use dc_model::cluster::client::TO_CLIENT;
use dc_model::cluster::{FromClient, SUBMIT_BYTES_MAX, ToClient, VERSION};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::User;
use std::io;
use std::net::ToSocketAddrs;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What may wait to be sent: a submission, and whatever is said beside it.
const OUTBOX_BYTES_MAX: usize = SUBMIT_BYTES_MAX + (1 << 20);
/// The user that a system's daemons run as.
const DAEMON_USER: &str = "dc";

/// A connection that is up.
pub struct Wire {
    conn: Conn,
    place: String,
    began: Instant,
    /// What came beside an answer that was waited for.
    early: Vec<ToClient>,
}

impl Wire {
    /// Dials, and waits until the scheduler is known and has greeted.
    ///
    /// # Errors
    /// Why none of its places is reached: of the last one.
    pub fn dial(target: &Target) -> Result<Self, ClusterError> {
        let mut last = None;
        for place in &target.places {
            match Self::dial_one(target, place) {
                Ok(wire) => return Ok(wire),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(ClusterError::Silent { place: String::new() }))
    }

    fn dial_one(target: &Target, place: &Place) -> Result<Self, ClusterError> {
        let settings = settings()?;
        let began = Instant::now();
        let conn = match place {
            Place::Unix(path) => {
                let (stream, credentials) = dial_local(path, &policy())?;
                Conn::new(Socket::Unix(stream), Session::local(credentials, settings, 0))
            }
            Place::Tcp(at) => dial_tcp(target, at, settings)?,
        };
        let mut wire = Self { conn, place: place.to_string(), began, early: Vec::new() };
        wire.wait_up(target.timeout)?;
        Ok(wire)
    }

    fn wait_up(&mut self, timeout: Duration) -> Result<(), ClusterError> {
        while !self.conn.session().is_up() {
            if self.began.elapsed() >= timeout {
                return Err(ClusterError::Silent { place: self.place.clone() });
            }
            self.wait(timeout.saturating_sub(self.began.elapsed()));
            let now_ns = self.now_ns();
            let turned = self.conn.on_writable(now_ns).and_then(|()| self.conn.on_readable(now_ns));
            turned.and_then(|()| self.conn.on_tick(now_ns)).map_err(|source| self.lost(source))?;
        }
        Ok(())
    }

    /// Waits until there is something to read, or to write that waits; at most so long.
    pub fn wait(&self, timeout: Duration) {
        let timeout = PollTimeout::try_from(timeout.min(Duration::from_secs(1))).unwrap_or(PollTimeout::ZERO);
        // Interrupted or not: the caller looks.
        let _ = poll(&mut [PollFd::new(self.conn.as_fd(), self.flags())], timeout);
    }

    /// What to poll it for.
    #[must_use]
    pub fn flags(&self) -> PollFlags {
        let read = if self.conn.want_read() { PollFlags::POLLIN } else { PollFlags::empty() };
        if self.conn.want_write() { read | PollFlags::POLLOUT } else { read }
    }

    /// Where it leads, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Puts a message among those to be sent.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn send(&mut self, message: &FromClient) -> Result<(), ClusterError> {
        let sent = self.conn.send(message.kind(), &message.body());
        sent.map_err(|source| ClusterError::Send { place: self.place.clone(), source })
    }

    /// Sends and receives as far as it goes without waiting; what came is appended.
    ///
    /// # Errors
    /// When nothing more will come; what came before is in `messages`.
    pub fn turn(&mut self, messages: &mut Vec<ToClient>) -> Result<(), ClusterError> {
        messages.append(&mut self.early);
        let now_ns = self.now_ns();
        let read = self.conn.on_readable(now_ns);
        let taken = self.take(messages);
        read.map_err(|source| self.lost(source))?;
        taken?;
        let written = self.conn.on_writable(now_ns).and_then(|()| self.conn.on_tick(now_ns));
        written.map_err(|source| self.lost(source))
    }

    /// Sends as far as it goes without waiting.
    ///
    /// # Errors
    /// When nothing more can be sent.
    pub fn flush(&mut self) -> Result<(), ClusterError> {
        let now_ns = self.now_ns();
        self.conn.on_writable(now_ns).map_err(|source| self.lost(source))
    }

    /// Keeps a message for who asks next.
    pub fn put_back(&mut self, message: ToClient) {
        self.early.insert(0, message);
    }

    fn take(&mut self, messages: &mut Vec<ToClient>) -> Result<(), ClusterError> {
        loop {
            match self.conn.next_event() {
                Ok(None) => return Ok(()),
                Ok(Some(Event::Frame { kind, body })) => {
                    let message = ToClient::decode(kind, body)
                        .map_err(|source| ClusterError::Foreign { place: self.place.clone(), source })?;
                    messages.push(message);
                }
                Ok(Some(Event::Ended { text })) => {
                    return Err(ClusterError::Ended { place: self.place.clone(), text });
                }
                Ok(Some(_)) => {}
                Err(source) => return Err(self.lost(source)),
            }
        }
    }

    /// Says farewell; what waits is sent as far as it goes.
    pub fn close(mut self) {
        self.conn.session().close("");
        let now_ns = self.now_ns();
        let _ = self.conn.on_writable(now_ns); // It goes either way.
    }

    fn lost(&self, source: dc_link::LinkError) -> ClusterError {
        ClusterError::Link { place: self.place.clone(), source }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.conn.as_fd()
    }
}

/// A scheduler of this host runs as this user, as root, or as the system's own user for it.
fn policy() -> LocalPolicy {
    match User::from_name(DAEMON_USER) {
        Ok(Some(user)) => LocalPolicy::Listed(vec![user.uid.as_raw()]),
        _ => LocalPolicy::Own,
    }
}

fn settings() -> Result<Settings, ClusterError> {
    let from = Parties::of(&[Party::Scheduler, Party::Local]);
    let rules: Vec<Rule> =
        TO_CLIENT.iter().map(|(kind, _, bytes)| Rule { kind: *kind, from, body_bytes_max: *bytes }).collect();
    let rules = Rules::new(&rules).map_err(|bad| ClusterError::System {
        what: "set the table of messages up",
        source: io::Error::other(bad),
    })?;
    Ok(Settings { outbox_bytes_max: OUTBOX_BYTES_MAX, ..Settings::new(VERSION, Arc::new(rules)) })
}

fn dial_tcp(target: &Target, at: &HostPort, settings: Settings) -> Result<Conn, ClusterError> {
    let failed = |source| ClusterError::Dial { place: at.to_string(), source };
    let pair = KeyPair::read(&target.key)?;
    let peers = PeersFile::open(&target.peers)?.peers();
    let link = |source| ClusterError::Link { place: at.to_string(), source };
    let endpoint = Endpoint::new(&pair).map_err(|error| link(dc_link::LinkError::Tls(error.to_string())))?;
    let addresses = (at.host.as_str(), at.port).to_socket_addrs().map_err(failed)?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match connect(address, target.timeout) {
            Ok(stream) => {
                let admission = Admission::of(peers, &[Role::Scheduler]);
                let session =
                    Session::dial(&endpoint, admission, settings, 0, UnixSeconds::now()).map_err(link)?;
                return Ok(Conn::new(Socket::Tcp(stream), session));
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// Connects, and waits for it: a name may have several addresses, and one of them may not answer.
fn connect(address: std::net::SocketAddr, timeout: Duration) -> io::Result<std::net::TcpStream> {
    let stream = connect_tcp(address)?;
    let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
    if poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)], timeout)? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}
