//! One part of a job: cores on a node that it may use, what runs there, and where its ranks prefer to be.

use super::layout::{Layout, Manner};
use crate::place::{CorePool, units_of_cpus};
use dc_model::{CpuSet, Topology};

/// Cores of a node that the job may use from now on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartSpec {
    /// Its number. One that was lost or released is not used again.
    pub part: u32,
    /// The cluster's number of the node; 0 on one machine.
    pub node: u32,
    /// Those cores alone, with the numbers that they have on the node, and the node's NUMA domains.
    pub topology: Topology,
    /// The most memory that its ranks together may have, in bytes, where that is less than its domains'.
    pub memory_max_bytes: Option<u64>,
    /// How fast its cores are: 1000 is as fast as the mean.
    pub speed_permille: u32,
    /// The most ranks of the job that run on the node at once, over all parts there; of several limits the least.
    pub ranks_max: Option<u32>,
}

impl PartSpec {
    /// One machine: part 0 of node 0.
    #[must_use]
    pub fn machine(topology: &Topology, memory_max_bytes: Option<u64>) -> Self {
        Self {
            part: 0,
            node: 0,
            topology: topology.clone(),
            memory_max_bytes,
            speed_permille: 1000,
            ranks_max: None,
        }
    }
}

/// A part and what runs there.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub node: u32,
    pub pool: CorePool,
    pub speed_permille: u32,
    pub ranks_max: Option<u32>,
    /// Ranks that run.
    pub ranks: u32,
    /// Cores (or threads) of each entry of a map; nothing where the part has not all of its CPUs.
    pub entries: Vec<Option<Vec<u32>>>,
    layout: Option<Layout>,
}

impl Part {
    pub fn new(spec: &PartSpec, manner: &Manner, map: &[CpuSet], crowd: &[u32]) -> Self {
        let topology = &spec.topology;
        let pool = CorePool::new(topology, manner.bind.clone(), manner.ranks_per_core, spec.memory_max_bytes);
        let entry =
            |cpus: &CpuSet| Some(units_of_cpus(topology, cpus)).filter(|units| units.len() == cpus.len());
        let entries: Vec<_> = map.iter().map(entry).collect();
        let layout = if entries.is_empty() { Layout::of(manner, topology) } else { None };
        Self {
            node: spec.node,
            pool: pool.crowded(crowd),
            speed_permille: spec.speed_permille.max(1),
            ranks_max: spec.ranks_max,
            ranks: 0,
            entries,
            layout,
        }
    }

    /// The domains that a rank prefers, the best first; empty: by cost.
    pub fn domains(&self, rank: u32) -> Vec<u32> {
        self.layout.as_ref().map_or_else(Vec::new, |layout| layout.domains(rank))
    }

    /// Cells that run for each core, by its speed, in units of 2^-20.
    pub fn load(&self) -> u128 {
        let strength = u128::from(self.pool.cores().max(1)) * u128::from(self.speed_permille);
        // At most 2^20 ranks of 2^64 cells: below 2^114.
        (self.pool.running_cells() << 20).saturating_mul(1000) / strength
    }
}
