//! What dcd is told at its start; from dc.toml's part for a node.

use dc_config::{Checkpoints, HostPort, Keep, Kill, Node, Partner, Place};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where dcsched is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SchedulerAt {
    /// On this host; `users` are those as whom it may run, beside this process's own and root.
    Local {
        /// Its socket.
        path: PathBuf,
        /// User numbers.
        users: Vec<u32>,
    },
    /// Over TLS: the key and the peers file say who is who.
    Tcp {
        /// A host's name or address.
        host: String,
        /// Its port.
        port: u16,
    },
}

/// The port on which other nodes and commands reach this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerPort {
    /// Where to listen: the first of these that goes; port 0: any.
    pub listen: Vec<SocketAddr>,
    /// The host that others are told.
    pub told_host: String,
    /// The port that others are told, where it is not the one that is listened at.
    pub told_port: Option<u16>,
}

/// All of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The node's name in the cluster.
    pub name: String,
    /// Its state directory, made when missing.
    pub state_dir: PathBuf,
    /// Where the jobs' directories are.
    pub jobs_dir: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The cluster's peers file.
    pub peers: PathBuf,
    /// Where dcsched is.
    pub scheduler: SchedulerAt,
    /// The peer port; none: commands get no streams from here.
    pub peer: Option<PeerPort>,
    /// The machine is described, not this one: bindings are recorded and not applied.
    pub synthetic: bool,
    /// Speed in thousandths of a usual node's; 0: to be measured.
    pub speed_permille: u32,
    /// Memory that ranks may have together, in bytes; 0: all.
    pub memory_max_bytes: u64,
    /// How ranks are to be killed.
    pub kill: Kill,
    /// Where checkpoints are.
    pub keep: Keep,
    /// The directory that all nodes see, where they are there.
    pub shared_dir: Option<PathBuf>,
    /// Who has copies of them.
    pub partner: Partner,
    /// Files by their content are kept up to this, in bytes.
    pub blobs_bytes_max: u64,
    /// dc-exec's file, where dcd runs as a user of its own and jobs as theirs.
    pub exec: Option<PathBuf>,
    /// The starter's program; none: looked for.
    pub starter: Option<PathBuf>,
    /// The longest wait before dcsched is dialled again.
    pub retry_max: Duration,
    /// How long a starter that was told to end waits for its output to be taken.
    pub close_wait: Duration,
}

impl Settings {
    /// With defaults for all that need not be said.
    #[must_use]
    pub fn new(name: &str, state_dir: PathBuf, scheduler: SchedulerAt) -> Self {
        Self {
            name: name.to_owned(),
            jobs_dir: state_dir.join("jobs"),
            key: state_dir.join("key"),
            peers: state_dir.join("peers"),
            state_dir,
            scheduler,
            peer: None,
            synthetic: false,
            speed_permille: 0,
            memory_max_bytes: 0,
            kill: Kill::Auto,
            keep: Keep::Local,
            shared_dir: None,
            partner: Partner::Auto,
            blobs_bytes_max: 16 << 30,
            exec: None,
            starter: None,
            retry_max: Duration::from_secs(5),
            close_wait: Duration::from_secs(10),
        }
    }

    /// As a node's part of dc.toml says.
    #[must_use]
    pub fn of_node(node: &Node, is_synthetic: bool) -> Self {
        let scheduler = match &node.scheduler {
            Place::Tcp(HostPort { host, port }) => SchedulerAt::Tcp { host: host.clone(), port: *port },
            Place::Unix(path) => SchedulerAt::Local { path: path.clone(), users: Vec::new() },
        };
        let peer = PeerPort {
            listen: node.listen.addresses(),
            told_host: node.told_host.clone(),
            told_port: node.told_port,
        };
        Self {
            jobs_dir: node.spool.clone(),
            key: node.key.clone(),
            peers: node.peers.clone(),
            // Without a key nobody could be sure of this node.
            peer: node.key.exists().then_some(peer),
            synthetic: is_synthetic,
            speed_permille: node.speed_permille,
            memory_max_bytes: node.memory_bytes.unwrap_or(0),
            kill: node.kill,
            partner: node.partner.clone(),
            exec: node.exec.clone(),
            retry_max: node.retry_max,
            ..Self::new(node.name.as_str(), node.state.clone(), scheduler)
        }
    }

    /// With what dc.toml says of checkpoints.
    #[must_use]
    pub fn with_checkpoints(self, checkpoints: &Checkpoints) -> Self {
        Self { keep: checkpoints.keep, shared_dir: checkpoints.shared_dir.clone(), ..self }
    }
}
