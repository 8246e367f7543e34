//! Which domains the ranks of a part prefer, where they are spread in a given order and not by cost.

use crate::job::JobSpec;
use crate::place::{Distribution, count_units};
use dc_model::{Bind, Topology};
use std::collections::BTreeMap;

/// What of a job decides how its ranks are laid out.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    pub distribution: Distribution,
    pub bind: Bind,
    pub ranks_per_core: u32,
    /// Lanes of the job; nothing where parts come and go, and nobody knows how many of them a part will have.
    lanes: Option<u32>,
    /// The least cores a subtask needs. Where needs differ the ranks are laid out for the least of them.
    cores_min: u32,
}

impl Manner {
    pub fn of(spec: &JobSpec) -> Self {
        let needs = spec.needs.iter().filter(|need| need.cells > 0);
        Self {
            distribution: spec.distribution,
            // Entries are kept elsewhere, once for all parts.
            bind: if matches!(spec.bind, Bind::Fixed(_)) {
                Bind::Fixed(Vec::new())
            } else {
                spec.bind.clone()
            },
            ranks_per_core: spec.ranks_per_core.max(1),
            lanes: (!spec.releases).then_some(spec.ranks),
            cores_min: needs.map(|need| need.cores.max(1)).min().unwrap_or(1),
        }
    }
}

/// Which domain each rank of a part prefers.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Domains in the order in which ranks go through them.
    order: Vec<u32>,
    /// Places in that order, by rank, and again from the first on.
    first: Vec<u32>,
    /// Ranks that share each of those: more than one where cores are shared and domains are filled one by one.
    ranks_a_slot: (u64, u64),
}

impl Layout {
    pub fn of(manner: &Manner, topology: &Topology) -> Option<Self> {
        let is_cyclic = match manner.distribution {
            Distribution::Cost => return None,
            Distribution::Block => false,
            Distribution::Cyclic => true,
        };
        let order = if is_cyclic { packages_in_turn(topology) } else { used(topology).into_keys().collect() };
        let threads = |domain: u32| {
            let within = topology.cores.iter().filter(|core| core.numa == domain).cloned().collect();
            count_units(&Topology { cores: within, ..topology.clone() }, &manner.bind)
        };
        let mut left: Vec<u32> = order.iter().map(|domain| threads(*domain) / manner.cores_min).collect();
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
        let shared = manner.lanes.filter(|lanes| {
            manner.ranks_per_core > 1 && !is_cyclic && *lanes as usize > first.len() && !first.is_empty()
        });
        let ranks_a_slot = shared.map_or((1, 1), |lanes| (u64::from(lanes), first.len() as u64));
        (!first.is_empty()).then_some(Self { order, first, ranks_a_slot })
    }

    /// The domains that a rank prefers, the best first.
    pub fn domains(&self, rank: u32) -> Vec<u32> {
        let (ranks, slots) = self.ranks_a_slot;
        let slot = (u64::from(rank) * slots / ranks) as usize % self.first.len();
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
