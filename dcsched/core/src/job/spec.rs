//! What the core is told about a job before it starts: costs, needs, lanes, policy, the node.

use dc_model::{Bind, Distribution, RestartOn, Topology};

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

/// A job.
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
    /// Whether its ranks are a gang: an MPI job, whose ranks all run at once.
    pub gang: bool,
    /// Whether results are merged at the end.
    pub merge: bool,
    /// The machine: part 0 on node 0. Without cores: parts join later.
    pub topology: Topology,
    /// How ranks are bound.
    pub bind: Bind,
    /// How they are spread over the NUMA domains.
    pub distribution: Distribution,
    /// How many ranks may share a core (a hardware thread, where ranks are bound to those); 1: none.
    pub ranks_per_core: u32,
    /// The most memory that all ranks together may have, in bytes, where that is less than the node's.
    pub memory_max_bytes: Option<u64>,
    /// How little each core of the node is wanted, because other jobs of the host use it; by index, 0 where none is
    /// given.
    pub crowd: Vec<u32>,
    /// Whether its parts come and go: it runs on a cluster, and gives back the cores that it has no use for.
    pub releases: bool,
}

impl JobSpec {
    /// With defaults for all but these: one domain of two cores, bound to cores, chosen by cost.
    #[must_use]
    pub fn plain(needs: Vec<Need>, ranks: u32) -> Self {
        Self {
            needs,
            ranks,
            restarts: 3,
            restart_on: RestartOn::default(),
            keep_going: false,
            gang: false,
            merge: false,
            topology: Topology::uniform(2, 2, 2),
            bind: Bind::Core,
            distribution: Distribution::Cost,
            ranks_per_core: 1,
            memory_max_bytes: None,
            crowd: Vec::new(),
            releases: false,
        }
    }
}
