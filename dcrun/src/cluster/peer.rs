//! Nodes, by their peer ports: a thread for each carries frames between the port and a socket that the streams' thread
//! reads, so that one that does not answer holds up nobody else.

use super::reach::{Reach, Unreached};
use super::{ClusterError, Target};
use dc_config::{HostPort, Place};
use dc_link::{Endpoint, Fingerprint, KeyPair, LinkError, Peers, PeersFile};
use dc_model::JobUuid;
use dc_model::cluster::NodeRow;
use dc_model::wire::{FrameBuffer, FromStarter, OutputAt, ToStarter};
use dcd::peer::client::{NodeAt, Stream, StreamError, StreamEvent};
use dcd::peer::relay::Relay;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::User;
use std::io::{ErrorKind, Read, Write};
use std::net::ToSocketAddrs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

const READ_BYTES: usize = 64 << 10;

/// The way to nodes, with this side's key where it has one. `told` is called once, with the relay's address, when a node is
/// reached by that alone.
///
/// # Errors
/// When the scheduler is spoken to by TLS, and there is no key to be had.
pub fn reach(
    target: &Arc<Target>,
    told: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Arc<dyn Reach>, ClusterError> {
    Ok(Arc::new(Nodes::of(target, told)?))
}

fn own(target: &Target) -> Result<(Endpoint, Arc<Peers>), ClusterError> {
    let pair = KeyPair::read(&target.key)?;
    let peers = PeersFile::open(&target.peers)?.peers();
    let endpoint = Endpoint::new(&pair).map_err(|error| ClusterError::Link {
        place: target.shown(),
        source: LinkError::Tls(error.to_string()),
    })?;
    Ok((endpoint, peers))
}

/// How nodes are dialled from here.
pub(super) struct Nodes {
    own: Option<(Endpoint, Arc<Peers>)>,
    relay: Option<Arc<Relay>>,
    users: Vec<u32>,
}

impl Nodes {
    /// With this side's key where it has one; `told` as for [`reach`].
    pub(super) fn of(
        target: &Target,
        told: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, ClusterError> {
        let needs_key = target.places.iter().any(|place| matches!(place, Place::Tcp(_)));
        let own = match own(target) {
            Ok(own) => Some(own),
            Err(error) if needs_key => return Err(error),
            // Nodes of this host have sockets.
            Err(_) => None,
        };
        let users = User::from_name("dc").ok().flatten().map(|user| user.uid.as_raw());
        let relay = target.relay.as_ref().zip(own.as_ref()).map(|(at, (endpoint, peers))| {
            Arc::new(Relay::new(at.to_string(), endpoint.clone(), Arc::clone(peers), told))
        });
        Ok(Self { own, relay, users: users.into_iter().collect() })
    }

    pub(super) fn at(&self, node: &NodeRow) -> Result<NodeAt, Unreached> {
        let failed = |text: String| Unreached::Failed(text);
        if node.address.is_empty() {
            return Err(Unreached::Gone);
        }
        let place = Place::parse(&node.address, Path::new("/"));
        match place.map_err(|_| failed("it has no peer port".to_owned()))? {
            Place::Unix(path) => Ok(NodeAt::Local(path, self.users.clone())),
            Place::Tcp(HostPort { host, port }) => {
                let (endpoint, peers) =
                    self.own.clone().ok_or_else(|| failed("this side has no key to show it".to_owned()))?;
                let key = match node.fingerprint.as_str() {
                    "" => None,
                    text => Some(Fingerprint::parse(text).map_err(|error| failed(error.to_string()))?),
                };
                if let Some(by) = self.relay.clone() {
                    return Ok(NodeAt::Relayed { to: node.address.clone(), by, endpoint, peers, key });
                }
                let found =
                    (host.as_str(), port).to_socket_addrs().map_err(|error| failed(error.to_string()))?;
                let to = found.into_iter().next().ok_or_else(|| failed(format!("{host} has no address")))?;
                Ok(NodeAt::Tls { to, endpoint, peers, key })
            }
        }
    }
}

impl Reach for Nodes {
    fn streams(&self, node: &NodeRow, job: JobUuid, have: Option<OutputAt>) -> Result<UnixStream, Unreached> {
        let failed = |error: &dyn std::fmt::Display| Unreached::Failed(error.to_string());
        let stream = Stream::dial(&self.at(node)?, job, have).map_err(|error| failed(&error))?;
        let (ours, theirs) = UnixStream::pair().map_err(|error| failed(&error))?;
        let thread = std::thread::Builder::new().name("node".to_owned());
        let carry = move || {
            // How it ended shows by the end of the socket; asking again tells whether it goes on.
            let _ = carry(stream, ours);
        };
        thread.spawn(carry).map_err(|error| failed(&error))?;
        Ok(theirs)
    }

    fn at(&self, node: &NodeRow) -> Result<NodeAt, Unreached> {
        self.at(node)
    }
}

fn boottime_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap_or_else(|_| nix::sys::time::TimeSpec::new(0, 0));
    u64::try_from(now.tv_sec())
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec() as u64)
}

/// Carries frames both ways until one side ends.
fn carry(mut node: Stream, mut local: UnixStream) -> Result<(), StreamError> {
    let (mut frames, mut buffer) = (FrameBuffer::default(), vec![0; READ_BYTES]);
    let mut starter_inc = 0;
    loop {
        let mut out = Vec::new();
        while let Some(event) = node.next_event()? {
            match event {
                StreamEvent::From(at) => {
                    starter_inc = at.starter_inc;
                    FromStarter::OutputFrom(at).encode(&mut out);
                }
                StreamEvent::Output { frame, .. } => frame.encode(&mut out),
                StreamEvent::WantInput(want) => want.encode(&mut out),
                StreamEvent::Ended => FromStarter::Refused { text: String::new() }.encode(&mut out),
            }
            // Who does not read holds this up, then the node, then its ranks.
            if out.len() >= READ_BYTES {
                break;
            }
        }
        if local.write_all(&out).is_err() {
            node.close();
            return Ok(());
        }
        let now_ns = boottime_ns();
        let ready = {
            let (fd, flags) = node.wants(false);
            let left_ms = node.deadline_ns().saturating_sub(now_ns).div_ceil(1_000_000);
            let timeout = if out.is_empty() {
                PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX)
            } else {
                PollTimeout::ZERO
            };
            let mut fds = [PollFd::new(fd, flags), PollFd::new(local.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, timeout); // Interrupted or not: what has come is looked for.
            fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()))
        };
        if ready[1].intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            match local.read(&mut buffer) {
                Ok(0) => {
                    node.close();
                    return Ok(());
                }
                Ok(n) => frames.push(&buffer[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(_) => return Ok(()),
            }
            while let Some((kind, body)) = frames.next_frame()? {
                match ToStarter::decode(kind, body)? {
                    ToStarter::AckOutput { offset } => node.taken(OutputAt { starter_inc, offset })?,
                    input @ ToStarter::Input { .. } => node.input(input)?,
                    _ => {}
                }
            }
        }
        node.on_ready(ready[0])?;
    }
}
