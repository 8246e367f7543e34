//! What the daemon is told by dc.toml, as it uses it.

use dc_config::{Config, Users};
use dc_link::{Caps, LocalPolicy, PeersFile};
use dcsched_core::cluster;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

/// The longest submission of all: what a message holds.
pub const SUBMIT_BYTES_MAX: usize = dc_model::cluster::SUBMIT_BYTES_MAX;

/// All of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// The cluster's name, for people.
    pub name: String,
    /// Where it listens by TLS; empty: nowhere.
    pub listen: Vec<SocketAddr>,
    /// Its Unix socket.
    pub socket: PathBuf,
    /// One user runs all of the cluster, and all jobs are of that user.
    pub one_user: bool,
    /// Its state directory.
    pub state: PathBuf,
    /// Its key file.
    pub key: PathBuf,
    /// The peers file.
    pub peers: PathBuf,
    /// The tokens file.
    pub tokens: PathBuf,
    /// Times and limits of the core.
    pub core: cluster::Config,
    /// The longest submission, in bytes.
    pub submit_bytes_max: usize,
    /// Subtasks of all jobs that have not ended, at most.
    pub subtasks_max: u64,
    /// Connections.
    pub caps: Caps,
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn count(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

impl Settings {
    /// From dc.toml. A host's name to listen at is looked up here.
    ///
    /// # Errors
    /// One line, when that name has no address.
    pub fn of(config: &Config) -> Result<Self, String> {
        let it = &config.scheduler;
        let listen = match &it.listen {
            None => Vec::new(),
            Some(at) => {
                let numeric = at.addresses();
                if numeric.is_empty() {
                    let found = (at.host.as_str(), at.port).to_socket_addrs();
                    let found = found.map_err(|error| {
                        format!("scheduler.listen of dc.toml: {} has no address: {error}", at.host)
                    })?;
                    found.collect()
                } else {
                    numeric
                }
            }
        };
        let usual = Caps::default();
        Ok(Self {
            name: config.cluster.name.clone(),
            listen,
            socket: it.socket.clone(),
            one_user: it.users == Users::Own,
            state: it.state.clone(),
            key: it.key.clone(),
            peers: it.peers.clone(),
            tokens: it.tokens.clone(),
            core: cluster::Config {
                lease_ns: ns(it.lease),
                client_lost_ns: ns(it.client_lost),
                ended_max: count(it.ended_jobs_max),
                ended_ns: ns(it.ended_jobs_keep),
                jobs_max: count(it.jobs_max),
                ..cluster::Config::default()
            },
            submit_bytes_max: count(it.submit_bytes_max).min(SUBMIT_BYTES_MAX),
            subtasks_max: it.subtasks_max,
            caps: Caps {
                connections_max: count(it.connections_max),
                per_address_max: count(it.connections_from_one_max),
                unproved_max: usual.unproved_max.min(count(it.connections_max)),
                unproved_per_address_max: usual
                    .unproved_per_address_max
                    .min(count(it.connections_from_one_max)),
            },
        })
    }

    /// Who may connect to the socket.
    #[must_use]
    pub fn policy(&self) -> LocalPolicy {
        if self.one_user { LocalPolicy::Own } else { LocalPolicy::Everyone }
    }

    /// How long a lease is, in ms.
    #[must_use]
    pub fn lease_ms(&self) -> u64 {
        self.core.lease_ns / 1_000_000
    }

    /// How often nodes are to be heard, in ms.
    #[must_use]
    pub fn heartbeat_ms(&self) -> u64 {
        (self.lease_ms() / 6).max(1)
    }

    /// Takes over what a reload may change.
    pub fn reload(&mut self, new: &Self) {
        self.core = new.core;
        self.submit_bytes_max = new.submit_bytes_max;
        self.subtasks_max = new.subtasks_max;
        self.caps = new.caps;
    }
}

/// The number of the cluster as keys and tokens have it: the state directory's.
#[must_use]
pub fn cluster_id(uuid: dcsched_store::ClusterUuid) -> dc_link::ClusterId {
    dc_link::ClusterId(uuid.0)
}

/// Whether a peers file is of this cluster.
///
/// # Errors
/// One line, when it is not.
pub fn check_cluster(
    file: &PeersFile,
    settings: &Settings,
    cluster: dc_link::ClusterId,
) -> Result<(), String> {
    let found = file.peers().cluster();
    if found == cluster {
        return Ok(());
    }
    Err(format!(
        "{} is of cluster {found}, and {} of cluster {cluster}: they do not belong together",
        settings.peers.display(),
        settings.state.display()
    ))
}
