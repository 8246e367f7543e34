//! Why dcd does not start.

use super::facts::NoBootId;
use super::state_dir::StateError;
use super::uplink::UplinkError;
use crate::spawn::SpawnError;
use crate::topology::TopologyError;
use std::io;
use thiserror::Error;

/// Each one line: what, where, what to do.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// Key or peers.
    #[error(transparent)]
    Uplink(#[from] UplinkError),
    /// The cores.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The starter's program.
    #[error(transparent)]
    Starter(#[from] SpawnError),
    /// /proc.
    #[error(transparent)]
    Boot(#[from] NoBootId),
    /// The node's name.
    #[error(
        "{name} cannot be a node's name: letters, digits, '.', '_' and '-', at most 64, a letter or digit first"
    )]
    Name {
        /// It, escaped.
        name: String,
    },
    /// What dc-exec does not go with.
    #[error("{0}")]
    Exec(&'static str),
    /// The peer port.
    #[error(transparent)]
    Port(#[from] crate::peer::PortError),
    /// The jobs' directories.
    #[error("cannot look at the jobs in {path}: {source}")]
    Jobs {
        /// Their directory, escaped.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The system's error.
    #[error("cannot {what}: {source}")]
    Os {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}
