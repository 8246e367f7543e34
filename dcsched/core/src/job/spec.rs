//! What the core is told about a job before it starts: costs, needs, lanes, policy, the node.

use crate::place::{Bind, CorePool};
use dc_model::{RestartOn, Topology};

/// What one subtask costs and needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need {
    /// Effective cells; 0: it never becomes a process.
    pub cells: u64,
    /// Cores; at least 1.
    pub cores: u32,
    /// Memory, in bytes; 0: none is asked for.
    pub mem_bytes: u64,
}

/// A job on one node.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// Its subtasks, by id.
    pub needs: Vec<Need>,
    /// Its lanes; at least 1.
    pub ranks: u32,
    /// Restarts a subtask may have.
    pub restarts: u32,
    /// Which failures are tried again.
    pub restart_on: RestartOn,
    /// Whether the other subtasks go on after one has failed for good.
    pub keep_going: bool,
    /// Whether results are merged at the end.
    pub merge: bool,
    /// The node.
    pub topology: Topology,
    /// How ranks are bound.
    pub bind: Bind,
    /// How many ranks may share a core; 1: none.
    pub ranks_per_core: u32,
    /// How little each core of the node is wanted, because other jobs of the host use it; by index, 0 where none is
    /// given.
    pub crowd: Vec<u32>,
}

impl JobSpec {
    /// The node's cores, all free.
    #[must_use]
    pub fn pool(&self) -> CorePool {
        CorePool::new(&self.topology, self.bind, self.ranks_per_core).crowded(&self.crowd)
    }
}
