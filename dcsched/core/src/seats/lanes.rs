//! The lanes: each subtask's own where there are as many, else the lowest free one; where each prefers to be, and the
//! CPUs it is tied to where the user has said them.

use crate::job::JobSpec;
use crate::place::{Distribution, count_units};
use dc_model::{SubtaskId, Topology};
use std::collections::{BTreeMap, BTreeSet};

/// The lanes of a job.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    count: u32,
    /// Lane i runs subtask i.
    own: bool,
    /// Those that are free, by their entry; where each subtask has its own none are counted.
    free: Vec<BTreeSet<u32>>,
    /// Cores (or threads) of the entries in use: lane r has entry r, and again from the first on. Empty: not tied.
    entries: Vec<Vec<u32>>,
    layout: Option<Layout>,
}

/// Which domain each lane prefers.
#[derive(Clone, Debug)]
struct Layout {
    /// Domains in the order in which lanes go through them.
    order: Vec<u32>,
    /// Places in that order, by lane, and again from the first on.
    first: Vec<u32>,
    /// Lanes that share each of those: more than one where cores are shared and domains are filled one by one.
    lanes_a_slot: (u64, u64),
}

impl Lanes {
    pub fn new(spec: &JobSpec, mut entries: Vec<Vec<u32>>) -> Self {
        let own = spec.ranks as usize == spec.needs.len();
        entries.truncate(spec.ranks.max(1) as usize);
        let mut free = vec![BTreeSet::new(); entries.len().max(1)];
        if !own {
            let classes = free.len() as u32;
            for rank in 0..spec.ranks {
                free[(rank % classes) as usize].insert(rank);
            }
        }
        let layout = if entries.is_empty() { Layout::of(spec) } else { None };
        Self { count: spec.ranks, own, free, entries, layout }
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn is_own(&self) -> bool {
        self.own
    }

    /// How many entries are in use; nothing when lanes are not tied.
    pub fn entries_used(&self) -> Option<u32> {
        (!self.entries.is_empty()).then_some(self.entries.len() as u32)
    }

    pub fn any_free(&self) -> bool {
        self.own || self.free.iter().any(|class| !class.is_empty())
    }

    /// The lanes that a subtask could take, the best first: one of each entry.
    pub fn candidates(&self, subtask: SubtaskId) -> Vec<u32> {
        if self.own {
            return vec![subtask.0];
        }
        let mut lowest: Vec<u32> = self.free.iter().filter_map(BTreeSet::first).copied().collect();
        lowest.sort_unstable();
        lowest
    }

    pub fn take(&mut self, rank: u32) {
        if !self.own {
            let class = self.class(rank);
            self.free[class].remove(&rank);
        }
    }

    pub fn give_back(&mut self, rank: u32) {
        if !self.own {
            let class = self.class(rank);
            let fresh = self.free[class].insert(rank);
            assert!(fresh, "lane {rank} was given back twice");
        }
    }

    fn class(&self, rank: u32) -> usize {
        rank as usize % self.free.len()
    }

    /// What a lane is tied to.
    pub fn units(&self, rank: u32) -> Option<&[u32]> {
        (!self.entries.is_empty()).then(|| self.entries[rank as usize % self.entries.len()].as_slice())
    }

    /// The domains a lane prefers, the best first; empty: by cost.
    pub fn domains(&self, rank: u32) -> Vec<u32> {
        self.layout.as_ref().map_or_else(Vec::new, |layout| layout.domains(rank))
    }

    /// The lane of a subtask that takes over the cores of a lane, if it may.
    pub fn behind(&self, subtask: u32, ahead: u32) -> Option<u32> {
        let rank = if self.own { subtask } else { ahead };
        (self.class(rank) == self.class(ahead)).then_some(rank)
    }
}

impl Layout {
    fn of(spec: &JobSpec) -> Option<Self> {
        let (is_cyclic, topology) = match spec.distribution {
            Distribution::Cost => return None,
            Distribution::Block => (false, &spec.topology),
            Distribution::Cyclic => (true, &spec.topology),
        };
        let order = if is_cyclic { packages_in_turn(topology) } else { used(topology).into_keys().collect() };
        // Where needs differ the lanes are laid out for the least of them.
        let needs = spec.needs.iter().filter(|need| need.cells > 0);
        let cores = needs.map(|need| need.cores.max(1)).min().unwrap_or(1);
        let threads = |domain: u32| {
            let within = topology.cores.iter().filter(|core| core.numa == domain).cloned().collect();
            count_units(&Topology { cores: within, ..topology.clone() }, &spec.bind)
        };
        let mut left: Vec<u32> = order.iter().map(|domain| threads(*domain) / cores).collect();
        if left.iter().all(|slots| *slots == 0) {
            left = vec![1; order.len()];
        }
        let mut first = Vec::new();
        while left.iter().any(|slots| *slots > 0) {
            for (place, slots) in (0..).zip(&mut left) {
                let now = if is_cyclic { (*slots).min(1) } else { *slots };
                first.extend(std::iter::repeat_n(place, now as usize));
                *slots -= now;
            }
        }
        let is_shared = spec.ranks_per_core > 1 && !is_cyclic && spec.ranks as usize > first.len();
        let lanes_a_slot = if is_shared { (u64::from(spec.ranks), first.len() as u64) } else { (1, 1) };
        Some(Self { order, first, lanes_a_slot })
    }

    fn domains(&self, rank: u32) -> Vec<u32> {
        let (lanes, slots) = self.lanes_a_slot;
        let slot = (u64::from(rank) * slots / lanes) as usize % self.first.len();
        let from = self.first[slot] as usize;
        self.order[from..].iter().chain(&self.order[..from]).copied().collect()
    }
}

/// The domains that have cores, and the package of the first of those.
fn used(topology: &Topology) -> BTreeMap<u32, u32> {
    let mut packages = BTreeMap::new();
    for core in &topology.cores {
        packages.entry(core.numa).or_insert(core.package);
    }
    packages
}

/// The domains, those of each package in turn: the first of every package, then the second of every package.
fn packages_in_turn(topology: &Topology) -> Vec<u32> {
    let mut nth: BTreeMap<u32, u32> = BTreeMap::new();
    let mut keys: Vec<(u32, u32, u32)> = Vec::new();
    for (domain, package) in used(topology) {
        let turn = nth.entry(package).or_insert(0);
        keys.push((*turn, package, domain));
        *turn += 1;
    }
    keys.sort_unstable();
    keys.into_iter().map(|(_, _, domain)| domain).collect()
}
