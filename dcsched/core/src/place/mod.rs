//! Which cores and how much memory a launch gets: what a part of a job has of them on a node, and who has it now.
//!
//! Least loaded cores first, and of those the ones that are least crowded by other jobs of the host; then one L3 where
//! the request fits, else one NUMA domain, else as few domains as possible; among those that fit, the domain whose
//! running cells a core stay lowest, then the L3 with the fewest running cells a core (heavy subtasks keep apart), then
//! the lowest logical index. Where memory is asked for, a domain must have enough of it left. The choice is in
//! `choose.rs`, memory in `memory.rs`, what comes and goes otherwise in `coming.rs`.

mod choose;
mod coming;
mod memory;
mod placement;
mod units;

#[cfg(test)]
#[path = "memory_tests.rs"]
mod memory_tests;
#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;

pub use dc_model::{Bind, Distribution};
pub use placement::Placement;
pub use units::{count as count_units, of_cpus as units_of_cpus};

use crate::job::Need;
use dc_model::{CpuSet, Topology};
use memory::Memory;
use std::collections::BTreeMap;
use units::Unit;

/// What is there too little of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lack {
    /// Cores.
    Cores,
    /// Memory: there would be cores.
    Memory,
}

/// Units, and what each domain gives of its memory.
type Chosen = (Vec<u32>, Vec<(u32, u64)>);

/// Where a launch would like to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// These cores (or threads), and no others.
    pub units: Option<&'a [u32]>,
    /// The first of these domains that has room, and its lowest cores. Empty: chosen by cost.
    pub domains: &'a [u32],
    /// Not in this domain.
    pub except: Option<u32>,
}

/// The cores and the memory of one part, and who has them.
#[derive(Clone, Debug)]
pub struct CorePool {
    bind: Bind,
    /// Ranks that may share a core.
    ranks_per_core: u32,
    /// What ranks are given: cores, or hardware threads.
    units: Vec<Unit>,
    /// Ranks on each core, by [`Topology::cores`].
    ranks_of_cores: Vec<u32>,
    /// Units that share an L3 and a NUMA domain.
    groups: Vec<Share>,
    domains: Vec<Domain>,
    /// All CPUs of each package.
    packages: BTreeMap<u32, CpuSet>,
    memory: Memory,
    /// Ranks that still find a unit.
    free: u64,
    /// Units that take one more rank.
    open: u32,
    /// Units that were not released.
    present: u32,
    /// Cells of all that run.
    cells: u128,
    /// The last one given.
    ticket: u64,
}

/// A part of the node and its load.
#[derive(Clone, Default, Debug)]
struct Share {
    units: u32,
    /// Running cells, in units of 2^-20: each rank's are spread evenly over its cores.
    load: u128,
}

#[derive(Clone, Default, Debug)]
struct Domain {
    os_index: u32,
    cpus: CpuSet,
    share: Share,
}

impl CorePool {
    /// All free; `ranks_per_core` of them may share a core (0 counts as 1). `memory_max_bytes` is the most that all
    /// ranks together may have, where that is less than the node's memory.
    #[must_use]
    pub fn new(topology: &Topology, bind: Bind, ranks_per_core: u32, memory_max_bytes: Option<u64>) -> Self {
        let ranks_per_core = ranks_per_core.max(1);
        let numa = topology.numa.iter();
        let mut domains: Vec<Domain> =
            numa.map(|numa| Domain { os_index: numa.os_index, ..Domain::default() }).collect();
        let mut keys = BTreeMap::new();
        let mut groups: Vec<Share> = Vec::new();
        let mut packages: BTreeMap<u32, CpuSet> = BTreeMap::new();
        let mut units = Vec::with_capacity(topology.cores.len());
        for (core, index) in topology.cores.iter().zip(0..) {
            let domain = core.numa as usize;
            // A topology without its domains still has cores.
            while domains.len() <= domain {
                domains.push(Domain { os_index: domains.len() as u32, ..Domain::default() });
            }
            let group = *keys.entry((core.numa, core.l3)).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Share::default());
            }
            let all_of_package = packages.entry(core.package).or_default();
            *all_of_package = all_of_package.or(&core.cpus);
            domains[domain].cpus = domains[domain].cpus.or(&core.cpus);
            for cpus in units::of_core(core, &bind) {
                groups[group].units += 1;
                domains[domain].share.units += 1;
                units.push(Unit {
                    cpus,
                    core: index,
                    group,
                    domain,
                    package: core.package,
                    ranks: 0,
                    crowd: 0,
                    is_gone: false,
                });
            }
        }
        let memory = Memory::new(topology, domains.len(), memory_max_bytes);
        let free = units.len() as u64 * u64::from(ranks_per_core);
        let present = units.len() as u32;
        let ranks_of_cores = vec![0; topology.cores.len()];
        Self {
            bind,
            ranks_per_core,
            units,
            ranks_of_cores,
            groups,
            domains,
            packages,
            memory,
            free,
            open: present,
            present,
            cells: 0,
            ticket: 0,
        }
    }

    /// The same with its cores so crowded, by [`Topology::cores`]; those that are not named are not. Before anything is
    /// taken.
    #[must_use]
    pub fn crowded(mut self, crowd: &[u32]) -> Self {
        for unit in &mut self.units {
            unit.crowd = crowd.get(unit.core as usize).copied().unwrap_or(0);
        }
        self
    }

    /// Cores of the part, or hardware threads where ranks are bound to those; no launch can have more.
    #[must_use]
    pub fn cores(&self) -> u32 {
        self.present
    }

    /// Those of them that take one more rank.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.open
    }

    /// The cells of all that run.
    #[must_use]
    pub fn running_cells(&self) -> u128 {
        self.cells
    }

    /// Ranks with such a need that can run at once when nothing else does.
    #[must_use]
    pub fn slots(&self, need: Need) -> u32 {
        let (count, wanted) = (self.cores(), need.cores.max(1));
        if wanted > count || need.mem_bytes > self.memory.node_bytes() {
            return 0;
        }
        // Each rank takes the cores with the fewest ranks, so no place is lost but the rest of the division.
        let places = u64::from(count) * u64::from(self.ranks_per_core);
        let by_cores = places / u64::from(wanted);
        let by_memory = if self.spills(need) {
            self.memory.node_bytes().checked_div(need.mem_bytes).unwrap_or(u64::MAX)
        } else {
            self.memory.count(need.mem_bytes)
        };
        u32::try_from(by_cores.min(by_memory)).unwrap_or(u32::MAX)
    }

    /// Places for ranks that are free: a core counts once for each rank it may still take.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.free
    }

    /// Whether a rank of one core would find a place.
    #[must_use]
    pub fn any_free(&self) -> bool {
        self.free > 0
    }

    /// Memory that all ranks together may have, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory.node_bytes()
    }

    /// What that one of its domains has left that has the most, in bytes.
    #[must_use]
    pub fn domain_left_bytes(&self) -> u64 {
        (0..self.domains.len() as u32).map(|domain| self.memory.left_bytes(domain)).max().unwrap_or(0)
    }

    /// What is left of it, in bytes.
    #[must_use]
    pub fn memory_left_bytes(&self) -> u64 {
        self.memory.node_left_bytes()
    }

    /// Whether such a need can only be met by memory of several domains: no domain has as much, or as many cores.
    #[must_use]
    pub fn spills(&self, need: Need) -> bool {
        self.home(need).is_none()
    }

    /// The domain that could meet the need alone if nothing ran in it: of several the one with the most memory left.
    #[must_use]
    pub fn home(&self, need: Need) -> Option<u32> {
        let can = |domain: &u32| {
            self.domains[*domain as usize].share.units >= need.cores.max(1)
                && self.memory.capacity_bytes(*domain) >= need.mem_bytes
        };
        let best = (0..self.domains.len() as u32).rev().filter(can);
        best.max_by_key(|domain| self.memory.left_bytes(*domain))
    }

    /// Memory and cores that a domain has when nothing runs in it.
    #[must_use]
    pub fn capacity(&self, domain: u32) -> (u64, u32) {
        (self.memory.capacity_bytes(domain), self.domains[domain as usize].share.units)
    }

    /// How many of a placement's cores are in a domain.
    #[must_use]
    pub fn cores_in(&self, placement: &Placement, domain: u32) -> u32 {
        let is_in = |index: &&u32| self.units[**index as usize].domain == domain as usize;
        placement.cores.iter().filter(is_in).count() as u32
    }

    /// The cores of a placement, by [`Topology::cores`], whatever ranks are bound to.
    pub fn cores_of(&self, placement: &Placement) -> impl Iterator<Item = u32> {
        placement.cores.iter().map(|index| self.units[*index as usize].core)
    }

    /// Cores and memory for a subtask. 0 cores count as 1.
    ///
    /// # Errors
    /// What there is too little of now.
    pub fn take(&mut self, need: Need, wish: &Wish<'_>) -> Result<Placement, Lack> {
        let (units, memory) = match wish.units {
            Some(units) => self.take_these(units, need)?,
            None => self.choose(need, wish)?,
        };
        Ok(self.give(units, memory, need))
    }

    /// Whether these units are there, and each takes one more rank.
    #[must_use]
    pub fn are_open(&self, units: &[u32]) -> bool {
        units.iter().all(|index| self.is_open(&self.units[*index as usize]))
    }

    fn is_open(&self, unit: &Unit) -> bool {
        unit.ranks < self.ranks_per_core && !unit.is_gone
    }

    fn give(&mut self, units: Vec<u32>, memory: Vec<(u32, u64)>, need: Need) -> Placement {
        let share = share(need.cells, units.len() as u32);
        for index in &units {
            let unit = &mut self.units[*index as usize];
            unit.ranks += 1;
            self.open -= u32::from(unit.ranks == self.ranks_per_core);
            self.ranks_of_cores[unit.core as usize] += 1;
            self.groups[unit.group].load += share;
            self.domains[unit.domain].share.load += share;
        }
        self.free -= units.len() as u64;
        self.cells += u128::from(need.cells);
        self.memory.take(&memory);
        self.ticket += 1;
        self.placement(units, need, memory)
    }

    /// The launch has ended: its cores and its memory are free again.
    ///
    /// # Panics
    /// When it is not one that [`CorePool::take`] gave and that was not given back since.
    pub fn give_back(&mut self, placement: &Placement) {
        let share = share(placement.cells, placement.cores.len() as u32);
        for index in &placement.cores {
            let unit = &mut self.units[*index as usize];
            assert!(unit.ranks > 0, "core {index} was given back without having been taken");
            self.open += u32::from(unit.ranks == self.ranks_per_core);
            unit.ranks -= 1;
            self.ranks_of_cores[unit.core as usize] -= 1;
            self.groups[unit.group].load -= share;
            self.domains[unit.domain].share.load -= share;
            self.free += 1;
        }
        self.cells -= u128::from(placement.cells);
        self.memory.give_back(&placement.memory);
    }

    /// The units that are asked for by number.
    fn take_these(&self, units: &[u32], need: Need) -> Result<Chosen, Lack> {
        if !self.are_open(units) {
            return Err(Lack::Cores);
        }
        let memory = self.memory_for(units, need, true).ok_or(Lack::Memory)?;
        Ok((units.to_vec(), memory))
    }

    /// The domains of these units, and how many are in each.
    fn domains_of(&self, units: &[u32]) -> Vec<(u32, u32)> {
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        for index in units {
            *counts.entry(self.units[*index as usize].domain as u32).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    /// What such a launch takes of each domain's memory, if there is as much left. What is above the capacity of the
    /// one domain it runs in comes from others (`spills`), and so does what is above the shares of several.
    fn memory_for(&self, units: &[u32], need: Need, spills: bool) -> Option<Vec<(u32, u64)>> {
        let counts = self.domains_of(units);
        let fits_alone = match counts.as_slice() {
            [(domain, _)] => self.memory.capacity_bytes(*domain) >= need.mem_bytes,
            _ => false,
        };
        self.memory.shares(need.mem_bytes, &counts, spills && !fits_alone)
    }
}

/// What each of `cores` cores bears of so many cells, in units of 2^-20 cells.
fn share(cells: u64, cores: u32) -> u128 {
    (u128::from(cells) << 20) / u128::from(cores.max(1))
}
