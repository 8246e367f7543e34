//! `dcd join`: into a cluster by a token.

use super::node::NodeArgs;
use super::{Failed, say};
use dc_config::{HostPort, Place};
use dc_link::{
    Conn, Endpoint, Event, JoinRefused, Joined, LinkError, Name, Role, Rules, Session, Settings, Socket,
    Token, UnixSeconds, connect_tcp, key_or_make, peers_or_make, trust_once,
};
use dc_model::{cluster, exit};
use dc_spool::files::shown;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{BufRead, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// The longest token that is read, in bytes.
const TOKEN_BYTES_MAX: u64 = 1024;

/// Raw arguments.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    node: NodeArgs,
    /// Join as a client: for this user's dcrun on a host without a scheduler
    #[arg(long)]
    client: bool,
    /// Where the scheduler is [default: as dc.toml says]
    #[arg(long, value_name = "HOST:PORT")]
    scheduler: Option<String>,
    /// The token, as dcsched token has printed it; - reads it from standard input, where no other user sees it
    #[arg(value_name = "TOKEN")]
    token: String,
}

/// The files of who joins.
struct Joiner {
    name: Name,
    key: PathBuf,
    peers: PathBuf,
    scheduler: Place,
}

/// Joins, and writes the peers file.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<u8, Failed> {
    let token = read_token(&args.token)?;
    let joiner = joiner(args)?;
    let Place::Tcp(address) = &joiner.scheduler else {
        return Err(Failed::Own(
            "a token is used over the network, and no file says where the scheduler is: say --scheduler HOST:PORT".to_owned(),
        ));
    };
    let key = key_or_make(&joiner.key)?;
    let endpoint =
        Endpoint::new(&key).map_err(|error| Failed::Own(format!("the key cannot be used: {error}")))?;
    let (cluster, scheduler) = (token.cluster(), token.scheduler());
    // Before the token is spent: that the file can be written.
    let mut peers = peers_or_make(&joiner.peers, cluster)?;
    let name = Name::parse("scheduler").map_err(|error| Failed::Own(error.to_string()))?;
    trust_once(&mut peers, Role::Scheduler, &name, scheduler)?;

    let ask = || {
        dial(address, |today| {
            // A session takes its token, and there may be several addresses.
            let token = Token::parse(&token.reveal())?;
            Session::join(&endpoint, token, joiner.name.clone(), settings()?, 0, today).map_err(Ended::Link)
        })
    };
    let mut joined = ask();
    if matches!(&joined, Err(Ended::Link(LinkError::Lost { .. }))) {
        // The answer may be what was lost: the same key may ask again.
        joined = ask();
    }
    let joined = match joined {
        Ok(joined) => Some(joined),
        Err(Ended::Link(LinkError::JoinRefused(JoinRefused::KeyTaken))) => None,
        Err(error) => return Err(Failed::Own(format!("{address}: {}", error.told()))),
    };
    let role = if args.client { Role::Client } else { Role::Node };
    match &joined {
        Some(joined) => writeln!(out, "joined cluster {cluster} as {} {}", joined.role, joined.name)?,
        None => writeln!(out, "this key is in cluster {cluster} already")?,
    }
    out.flush()?;
    say(&format!("the scheduler's key is in {}", shown(&joiner.peers)));
    if let Some(joined) = joined.filter(|joined| joined.role != role) {
        return Err(Failed::Own(format!(
            "the token was a {}'s, and so is the key {} now: as a {role} it is of no use; ask for another token",
            joined.role,
            shown(&joiner.key)
        )));
    }
    Ok(exit::OK)
}

fn joiner(args: &Args) -> Result<Joiner, Failed> {
    let config = args.node.load()?;
    let said = args.scheduler.as_deref().map(|text| {
        HostPort::parse(text)
            .map(Place::Tcp)
            .map_err(|_| Failed::Own(format!("--scheduler {}: wanted HOST:PORT", shown(text))))
    });
    let said = said.transpose()?;
    if args.client {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        let user = user.map_or_else(String::new, |user| user.name);
        let name = Name::parse(args.node.name.as_deref().unwrap_or(&user));
        let name =
            name.map_err(|error| Failed::Own(format!("{} is {error}; say --name NAME", shown(&user))))?;
        let client = config.client;
        let tcp = client.schedulers.iter().find(|place| matches!(place, Place::Tcp(_)));
        let scheduler = said.or(tcp.cloned()).unwrap_or(Place::Unix(PathBuf::new()));
        return Ok(Joiner { name, key: client.key, peers: client.peers, scheduler });
    }
    let node = args.node.of(&config)?;
    Ok(Joiner {
        name: node.name,
        key: node.key,
        peers: node.peers,
        scheduler: said.unwrap_or(node.scheduler),
    })
}

fn read_token(text: &str) -> Result<Token, Failed> {
    let mut line = text.to_owned();
    if text == "-" {
        line.clear();
        let mut input = std::io::Read::take(std::io::stdin().lock(), TOKEN_BYTES_MAX);
        input.read_line(&mut line).map_err(|error| Failed::Own(format!("standard input: {error}")))?;
    }
    Token::parse(line.trim()).map_err(|error| Failed::Own(error.to_string()))
}

/// Why a dial has not ended in what was wanted.
enum Ended {
    Link(LinkError),
    Own(String),
}

impl Ended {
    fn told(self) -> String {
        match self {
            Self::Link(error) => error.to_string(),
            Self::Own(text) => text,
        }
    }
}

impl From<dc_link::BadToken> for Ended {
    fn from(error: dc_link::BadToken) -> Self {
        Self::Own(error.to_string())
    }
}

fn settings() -> Result<Settings, Ended> {
    let rules = Rules::new(&[]).map_err(|error| Ended::Own(error.to_string()))?;
    Ok(Settings::new(cluster::VERSION, Arc::new(rules)))
}

/// Connects to the addresses of a host, one after another, until one answers.
fn dial(
    address: &HostPort,
    session: impl Fn(UnixSeconds) -> Result<Session, Ended>,
) -> Result<Joined, Ended> {
    let found = (address.host.as_str(), address.port).to_socket_addrs();
    let found: Vec<SocketAddr> =
        found.map_err(|error| Ended::Own(format!("no such host: {error}")))?.collect();
    let mut last = Ended::Own("the host has no address".to_owned());
    for to in found {
        let stream = match connect_tcp(to) {
            Ok(stream) => stream,
            Err(error) => {
                last = Ended::Own(error.to_string());
                continue;
            }
        };
        let conn = Conn::new(Socket::Tcp(stream), session(UnixSeconds::now())?);
        match serve(conn) {
            // Nobody listens at this address; perhaps at the next.
            Err(error @ (LinkError::Io(_) | LinkError::HandshakeTimeout)) => last = Ended::Link(error),
            Err(error) => return Err(Ended::Link(error)),
            Ok(joined) => return Ok(joined),
        }
    }
    Err(last)
}

fn serve(mut conn: Conn) -> Result<Joined, LinkError> {
    let begun = Instant::now();
    let now_ns = || u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
    loop {
        while let Some(event) = conn.next_event()? {
            match event {
                Event::Joined(joined) => return Ok(joined),
                Event::Ended { .. } => return Err(LinkError::Lost { partial: false }),
                _ => {}
            }
        }
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, conn.want_read());
        flags.set(PollFlags::POLLOUT, conn.want_write());
        let deadline_ns = conn.deadline_ns().unwrap_or(u64::MAX);
        let left_ms = deadline_ns.saturating_sub(now_ns()).div_ceil(1_000_000).min(60_000);
        let timeout = PollTimeout::from(u16::try_from(left_ms).unwrap_or(u16::MAX));
        let mut fds = [PollFd::new(conn.as_fd(), flags)];
        let ready = poll(&mut fds, timeout);
        let events = fds[0].revents().unwrap_or(PollFlags::empty());
        match ready {
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => {
                if events.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR)
                    && conn.want_read()
                {
                    conn.on_readable(now_ns())?;
                }
                if events.contains(PollFlags::POLLOUT) && conn.want_write() {
                    conn.on_writable(now_ns())?;
                }
            }
            Err(errno) => return Err(LinkError::Io(std::io::Error::from(errno).kind())),
        }
        conn.on_tick(now_ns())?;
    }
}
