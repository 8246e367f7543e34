//! What a launch is given of a part: its cores, its memory, and the CPUs it is bound to.

use super::CorePool;
use super::units::Unit;
use crate::job::Need;
use dc_model::{Bind, CpuSet};

/// What a launch was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    /// The part of the job it is in; 0 on one machine.
    pub part: u32,
    /// The cluster's number of that part's node; 0 on one machine.
    pub node: u32,
    /// Its cores: indices into [`Topology::cores`], rising. Where ranks are bound to hardware threads ([`Bind::Thread`],
    /// [`Bind::Fixed`]), those, counted through the cores in their order.
    pub cores: Vec<u32>,
    /// The CPUs it is bound to, by the OS's numbers; empty when it is not bound.
    pub cpus: CpuSet,
    /// Threads that have a core each; or, bound to hardware threads, a hardware thread each.
    pub threads: u32,
    /// The OS's number of the NUMA node its memory should come from: where the node has several, and it is bound
    /// within one.
    pub numa: Option<u32>,
    /// The cells it was taken for.
    pub cells: u64,
    /// The memory it was given: indices into [`Topology::numa`], rising, and bytes. Empty when it asked for none.
    pub memory: Vec<(u32, u64)>,
    /// Counts what was given; no other placement of this pool has it.
    pub ticket: u64,
}

impl Placement {
    /// All its memory, in bytes.
    #[must_use]
    pub fn mem_bytes(&self) -> u64 {
        self.memory.iter().map(|(_, bytes)| bytes).sum()
    }
}

impl CorePool {
    /// What these units are for a launch.
    pub(super) fn placement(&self, units: Vec<u32>, need: Need, memory: Vec<(u32, u64)>) -> Placement {
        let given = || units.iter().map(|index| &self.units[*index as usize]);
        let mut domains: Vec<usize> = given().map(|unit| unit.domain).collect();
        let all = |sets: &mut dyn Iterator<Item = &CpuSet>| sets.fold(CpuSet::new(), |all, set| all.or(set));
        let cpus = match self.bind {
            Bind::Core | Bind::Thread | Bind::Fixed(_) => all(&mut given().map(|unit| &unit.cpus)),
            Bind::Numa => {
                domains.sort_unstable();
                domains.dedup();
                all(&mut domains.iter().map(|domain| &self.domains[*domain].cpus))
            }
            Bind::Socket => {
                let mut packages: Vec<u32> = given().map(|unit| unit.package).collect();
                packages.sort_unstable();
                packages.dedup();
                let is_in = |unit: &&Unit| packages.contains(&unit.package);
                domains = self.units.iter().filter(is_in).map(|unit| unit.domain).collect();
                all(&mut packages.iter().filter_map(|package| self.packages.get(package)))
            }
            Bind::None => CpuSet::new(),
        };
        domains.sort_unstable();
        domains.dedup();
        let numa = match domains.as_slice() {
            [one] if self.domains.len() > 1 && self.bind != Bind::None => Some(self.domains[*one].os_index),
            _ => None,
        };
        let threads = match self.bind {
            Bind::Fixed(_) => {
                let mut cores: Vec<u32> = given().map(|unit| unit.core).collect();
                cores.dedup();
                cores.len() as u32
            }
            _ => units.len() as u32,
        };
        let (part, node, cells, ticket) = (0, 0, need.cells, self.ticket);
        Placement { part, node, cores: units, cpus, threads, numa, cells, memory, ticket }
    }
}
