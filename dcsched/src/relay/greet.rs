//! One connection until it is through: who it is, which node it wants, and that node connected. A thread each, because
//! names are looked up and the scheduler is asked on the way; how many there are is bounded by who starts them.

use super::nodes::Nodes;
use super::pair::Pair;
use super::pump::Pump;
use dc_link::{
    BadRule, Conn, Event, Identity, LinkError, Parties, Party, Rule, Rules, Settings, Socket, connect_tcp,
};
use dc_model::cluster::VERSION;
use dc_model::cluster::relay::{FROM_RELAYED, FromRelayed, ToRelayed};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tracing::{debug, warn};

/// From its beginning until the node is named, in ns.
const HANDSHAKE_NS: u64 = 5_000_000_000;
/// How long the node may take, in ns.
const CONNECT_NS: u64 = 5_000_000_000;
/// How long the answer may take to be sent, in ns.
const ANSWER_NS: u64 = 2_000_000_000;
/// Nothing of this needs more.
const STACK_BYTES: usize = 512 << 10;

/// What a session may take: one message, before anything is known.
pub(super) fn settings() -> Result<Settings, BadRule> {
    let from = Parties::of(&[Party::Client, Party::Submit, Party::Node]);
    let rules: Vec<Rule> = FROM_RELAYED
        .iter()
        .map(|(kind, _, bytes)| Rule { kind: *kind, from, body_bytes_max: *bytes })
        .collect();
    let mut settings = Settings::new(VERSION, Arc::new(Rules::new(&rules)?));
    settings.handshake_ns = HANDSHAKE_NS;
    settings.outbox_bytes_max = 64 << 10;
    Ok(settings)
}

/// A connection that has just come.
pub(super) struct Greeting {
    pub conn: Conn,
    pub from: SocketAddr,
    pub nodes: Arc<Nodes>,
    pub pump: Arc<Pump>,
}

/// A thread's place, given back when it ends, however it ends.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Greeting {
    /// Begins, in a thread that is counted.
    pub fn spawn(self, count: &Arc<AtomicUsize>) {
        count.fetch_add(1, Ordering::Relaxed);
        let count = Counted(Arc::clone(count));
        let thread = std::thread::Builder::new().name("greet".to_owned()).stack_size(STACK_BYTES);
        let spawned = thread.spawn(move || {
            let _count = count;
            let from = self.from;
            if let Err(why) = self.greet() {
                debug!("{from}: {why}");
            }
        });
        if let Err(error) = spawned {
            warn!("a connection is dropped: no thread for it: {error}");
        }
    }

    fn greet(mut self) -> Result<(), String> {
        let (who, wanted) = self.asked()?;
        let connected = self.nodes.look_up(&wanted).and_then(|()| {
            let end_ns = crate::daemon::now().saturating_add(CONNECT_NS);
            connect(&wanted, end_ns)
                .map_err(|error| format!("{wanted} cannot be reached from the relay: {error}"))
        });
        let (answer, node) = match connected {
            Ok(node) => (ToRelayed::Opened, node),
            Err(text) => {
                let refused = ToRelayed::Refused { text: text.clone() };
                self.answer(&refused, true)?;
                return Err(format!("{who} is refused: {text}"));
            }
        };
        self.answer(&answer, false)?;
        match self.conn.into_plain() {
            Some((Socket::Tcp(client), place)) => {
                let what = format!("{} ({who}) to {wanted}", self.from);
                self.pump.take(Pair::new([client, node], place, what));
                Ok(())
            }
            _ => Err(format!("{who} sent more than it may before its node was connected")),
        }
    }

    /// Who it is, and what it asks for.
    fn asked(&mut self) -> Result<(String, String), String> {
        let end_ns = crate::daemon::now().saturating_add(HANDSHAKE_NS);
        let mut who = String::new();
        loop {
            match self.conn.next_event().map_err(|error| error.to_string())? {
                Some(Event::Up(Identity::Peer(peer))) => who = format!("{} {}", peer.role, peer.name),
                Some(Event::Frame { kind, body }) => {
                    let FromRelayed::Connect { address } =
                        FromRelayed::decode(kind, body).map_err(|error| format!("a message that {error}"))?;
                    return Ok((who, address));
                }
                Some(Event::Ended { text }) => return Err(format!("it has left: {text}")),
                Some(_) => return Err("it is not one of the cluster".to_owned()),
                None => self.turn(end_ns).map_err(|error| error.to_string())?,
            }
        }
    }

    fn turn(&mut self, end_ns: u64) -> Result<(), LinkError> {
        let now = crate::daemon::now();
        if now >= end_ns {
            return Err(LinkError::HandshakeTimeout);
        }
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.conn.want_read());
        flags.set(PollFlags::POLLOUT, self.conn.want_write());
        let until_ns = self.conn.deadline_ns().map_or(end_ns, |at| at.min(end_ns));
        let ready = wait(self.conn.as_fd(), flags, until_ns);
        let now = crate::daemon::now();
        if ready.intersects(PollFlags::POLLOUT | PollFlags::POLLERR) {
            self.conn.on_writable(now)?;
        }
        if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            self.conn.on_readable(now)?;
        }
        self.conn.on_tick(now)
    }

    /// Sends it, whole; `last`: and says farewell. Nothing more is read.
    fn answer(&mut self, message: &ToRelayed, last: bool) -> Result<(), String> {
        let end_ns = crate::daemon::now().saturating_add(ANSWER_NS);
        self.conn.send(message.kind(), &message.body()).map_err(|error| error.to_string())?;
        if last {
            self.conn.session().close("");
        }
        loop {
            let now = crate::daemon::now();
            self.conn.on_writable(now).map_err(|error| error.to_string())?;
            if !self.conn.want_write() {
                return Ok(());
            }
            if now >= end_ns {
                return Err("it does not take its answer".to_owned());
            }
            wait(self.conn.as_fd(), PollFlags::POLLOUT, end_ns);
        }
    }
}

fn wait(fd: BorrowedFd<'_>, flags: PollFlags, until_ns: u64) -> PollFlags {
    let ms = until_ns.saturating_sub(crate::daemon::now()).div_ceil(1_000_000);
    let mut fds = [PollFd::new(fd, flags)];
    // Interrupted or not: the caller looks at the time.
    let _ = poll(&mut fds, PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX));
    fds[0].revents().unwrap_or(PollFlags::empty())
}

/// Connects to the first of a node's addresses that answers, at the latest then.
fn connect(to: &str, end_ns: u64) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in to.to_socket_addrs()? {
        match connect_one(address, end_ns) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn connect_one(to: SocketAddr, end_ns: u64) -> io::Result<TcpStream> {
    let socket = connect_tcp(to)?;
    while wait(socket.as_fd(), PollFlags::POLLOUT, end_ns).is_empty() {
        if crate::daemon::now() >= end_ns {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    socket.take_error()?.map_or(Ok(socket), Err)
}
