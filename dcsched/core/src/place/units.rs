//! What ranks are given: whole cores, or single hardware threads where the binding says so.

use dc_model::{Bind, Core, CpuSet, Topology};

/// A core or a hardware thread, and how many have it.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub cpus: CpuSet,
    /// Index into the topology's cores.
    pub core: u32,
    pub group: usize,
    pub domain: usize,
    pub package: u32,
    pub ranks: u32,
    /// How little it is wanted, next to others with as many ranks.
    pub crowd: u32,
    /// It was released: it is the job's no more.
    pub is_gone: bool,
}

/// Ranks on a unit, then how crowded it is: the lowest are taken first.
pub(super) type Level = (u32, u32);

impl Unit {
    pub fn level(&self) -> Level {
        (self.ranks, self.crowd)
    }
}

fn is_by_thread(bind: &Bind) -> bool {
    matches!(bind, Bind::Thread | Bind::Fixed(_))
}

/// The units of one core, by their CPUs.
pub(super) fn of_core(core: &Core, bind: &Bind) -> Vec<CpuSet> {
    if is_by_thread(bind) {
        core.cpus.iter().map(|cpu| CpuSet::from_iter([cpu])).collect()
    } else {
        vec![core.cpus.clone()]
    }
}

/// How many units a node has: what `-c` counts.
#[must_use]
pub fn count(topology: &Topology, bind: &Bind) -> u32 {
    if is_by_thread(bind) {
        topology.cores.iter().map(|core| core.cpus.len() as u32).sum()
    } else {
        topology.cores.len() as u32
    }
}

/// The hardware threads with these CPUs, counted through the cores; CPUs that are not there are passed over.
#[must_use]
pub fn of_cpus(topology: &Topology, cpus: &CpuSet) -> Vec<u32> {
    let threads = topology.cores.iter().flat_map(|core| core.cpus.iter());
    (0..).zip(threads).filter(|(_, cpu)| cpus.contains(*cpu)).map(|(index, _)| index).collect()
}
