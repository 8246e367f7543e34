//! Nodes, by their peer ports.

use super::reach::{Reach, Unreached};
use super::{ClusterError, Target};
use dc_model::cluster::NodeRow;
use dc_model::wire::OutputAt;
use dc_model::{Attempt, JobUuid, SubtaskId};
use dc_spool::files::Dir;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The way to nodes, with this side's key.
///
/// # Errors
/// When there is no key to be had.
pub fn reach(_: &Arc<Target>) -> Result<Arc<dyn Reach>, ClusterError> {
    Ok(Arc::new(Nowhere))
}

/// A cluster whose nodes have no peer ports.
struct Nowhere;

impl Reach for Nowhere {
    fn streams(&self, _: &NodeRow, _: JobUuid, _: Option<OutputAt>) -> Result<UnixStream, Unreached> {
        Err(Unreached::Gone)
    }

    fn result(&self, _: &NodeRow, _: JobUuid, _: SubtaskId, _: Attempt, _: &Dir) -> Result<(), Unreached> {
        Err(Unreached::Failed("it has no peer port".to_owned()))
    }
}
