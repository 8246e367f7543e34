//! Which cores a launch gets: the node's free cores, and the choice among them.
//!
//! Whole cores only. Least loaded cores first, and of those the ones that are least crowded by other jobs of the host;
//! then one L3 where the request fits, else one NUMA domain, else as few
//! domains as possible; among those that fit, the domain whose running cells a core stay lowest, then the L3 with the
//! fewest running cells a core (heavy subtasks keep apart), then the lowest logical index.

use dc_model::{CpuSet, Topology};
use std::cmp::Ordering;
use std::collections::BTreeMap;

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;

/// How ranks are bound to what they were given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Bind {
    /// To their cores.
    #[default]
    Core,
    /// To all allowed CPUs of the NUMA domains of their cores.
    Numa,
    /// Not at all; cores are still counted.
    None,
}

/// What a launch was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    /// Its cores: indices into [`Topology::cores`], rising.
    pub cores: Vec<u32>,
    /// The CPUs it is bound to, by the OS's numbers; empty when it is not bound.
    pub cpus: CpuSet,
    /// The OS's number of the NUMA node its memory should come from: where the node has several, and it is bound
    /// within one.
    pub numa: Option<u32>,
    /// The cells it was taken for.
    pub cells: u64,
}

/// The cores of a node, and who has them.
#[derive(Clone, Debug)]
pub struct CorePool {
    bind: Bind,
    /// Ranks that may share a core.
    ranks_per_core: u32,
    /// In the order of [`Topology::cores`].
    cores: Vec<PoolCore>,
    /// Cores that share an L3 and a NUMA domain.
    groups: Vec<Share>,
    domains: Vec<PoolDomain>,
    /// How many cores have so many ranks and are so crowded.
    cores_of_level: BTreeMap<Level, u32>,
    /// Ranks that still find a core.
    free: u64,
}

#[derive(Clone, Debug)]
struct PoolCore {
    cpus: CpuSet,
    group: usize,
    domain: usize,
    ranks: u32,
    /// How little it is wanted, next to others with as many ranks.
    crowd: u32,
}

/// Ranks on a core, then how crowded it is: the lowest are taken first.
type Level = (u32, u32);

impl PoolCore {
    fn level(&self) -> Level {
        (self.ranks, self.crowd)
    }
}

/// A part of the node and its load.
#[derive(Clone, Default, Debug)]
struct Share {
    cores: u32,
    /// Running cells, in units of 2^-20: each rank's are spread evenly over its cores.
    load: u128,
}

impl Share {
    /// Compares running cells a core, as they would be with `more` of them.
    fn cmp_load(&self, other: &Self, more: u128) -> Ordering {
        let crossed =
            |a: &Self, b: &Self| a.load.saturating_add(more).saturating_mul(u128::from(b.cores.max(1)));
        crossed(self, other).cmp(&crossed(other, self))
    }
}

#[derive(Clone, Debug)]
struct PoolDomain {
    os_index: u32,
    cpus: CpuSet,
    share: Share,
}

impl CorePool {
    /// All cores free; `ranks_per_core` of them may share one (0 counts as 1).
    #[must_use]
    pub fn new(topology: &Topology, bind: Bind, ranks_per_core: u32) -> Self {
        let ranks_per_core = ranks_per_core.max(1);
        let mut domains: Vec<PoolDomain> = topology
            .numa
            .iter()
            .map(|numa| PoolDomain { os_index: numa.os_index, cpus: CpuSet::new(), share: Share::default() })
            .collect();
        let mut keys = BTreeMap::new();
        let mut groups: Vec<Share> = Vec::new();
        let mut cores = Vec::with_capacity(topology.cores.len());
        for core in &topology.cores {
            let domain = core.numa as usize;
            // A topology without its domains still has cores.
            while domains.len() <= domain {
                let os_index = domains.len() as u32;
                domains.push(PoolDomain { os_index, cpus: CpuSet::new(), share: Share::default() });
            }
            let group = *keys.entry((core.numa, core.l3)).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Share::default());
            }
            groups[group].cores += 1;
            domains[domain].share.cores += 1;
            domains[domain].cpus = domains[domain].cpus.or(&core.cpus);
            cores.push(PoolCore { cpus: core.cpus.clone(), group, domain, ranks: 0, crowd: 0 });
        }
        let count = cores.len() as u32;
        let free = u64::from(count) * u64::from(ranks_per_core);
        let cores_of_level = BTreeMap::from([((0, 0), count)]);
        Self { bind, ranks_per_core, cores, groups, domains, cores_of_level, free }
    }

    /// The same with its cores so crowded, by index; those that are not named are not. Before anything is taken.
    #[must_use]
    pub fn crowded(mut self, crowd: &[u32]) -> Self {
        for (core, crowd) in self.cores.iter_mut().zip(crowd) {
            let from = core.level();
            core.crowd = *crowd;
            recount(&mut self.cores_of_level, from, core.level());
        }
        self
    }

    /// Cores of the node; no launch can have more.
    #[must_use]
    pub fn cores(&self) -> u32 {
        self.cores.len() as u32
    }

    /// Ranks of `cores` cores each that can run at once when nothing else does.
    #[must_use]
    pub fn slots(&self, cores: u32) -> u32 {
        let count = self.cores();
        if cores > count {
            return 0;
        }
        // Each rank takes the cores with the fewest ranks, so no place is lost but the rest of the division.
        let places = u64::from(count) * u64::from(self.ranks_per_core);
        u32::try_from(places / u64::from(cores.max(1))).unwrap_or(u32::MAX)
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

    /// Cores for a subtask of so many cells, or nothing while too few are free. 0 cores count as 1.
    pub fn take(&mut self, cells: u64, cores: u32) -> Option<Placement> {
        let wanted = cores.max(1);
        let level = self.level(wanted)?;
        let chosen = self.choose(cells, wanted, level);
        let share = share(cells, wanted);
        for index in &chosen {
            let core = &mut self.cores[*index as usize];
            let from = core.level();
            core.ranks += 1;
            recount(&mut self.cores_of_level, from, core.level());
            self.groups[core.group].load += share;
            self.domains[core.domain].share.load += share;
        }
        self.free -= u64::from(wanted);
        Some(self.placement(chosen, cells))
    }

    /// The launch has ended: its cores are free again.
    ///
    /// # Panics
    /// When it is not one that [`CorePool::take`] gave and that was not given back since.
    pub fn give_back(&mut self, placement: &Placement) {
        let share = share(placement.cells, placement.cores.len() as u32);
        for index in &placement.cores {
            let core = &mut self.cores[*index as usize];
            assert!(core.ranks > 0, "core {index} was given back without having been taken");
            let from = core.level();
            core.ranks -= 1;
            recount(&mut self.cores_of_level, from, core.level());
            self.groups[core.group].load -= share;
            self.domains[core.domain].share.load -= share;
            self.free += 1;
        }
    }

    /// The lowest level such that `wanted` cores are no higher, and have room for another rank.
    fn level(&self, wanted: u32) -> Option<Level> {
        let mut cores = 0;
        let with_room = self.cores_of_level.iter().take_while(|((ranks, _), _)| *ranks < self.ranks_per_core);
        with_room.into_iter().find_map(|(level, count)| {
            cores += count;
            (cores >= wanted).then_some(*level)
        })
    }

    /// `wanted` cores: all those below `level`, and the rest of those at it.
    fn choose(&self, cells: u64, wanted: u32, level: Level) -> Vec<u32> {
        let emptier = (0..).zip(&self.cores).filter(|(_, core)| core.level() < level);
        let mut chosen: Vec<u32> = emptier.map(|(index, _)| index).collect();
        let more = wanted.saturating_sub(chosen.len() as u32);
        for group in self.choose_groups(cells, more, level) {
            let left = (wanted as usize).saturating_sub(chosen.len());
            let here =
                (0..).zip(&self.cores).filter(|(_, core)| core.group == group && core.level() == level);
            chosen.extend(here.take(left).map(|(index, _)| index));
        }
        chosen.sort_unstable();
        chosen
    }

    /// The groups from which to take `wanted` cores at this level, the first ones first.
    fn choose_groups(&self, cells: u64, wanted: u32, level: Level) -> Vec<usize> {
        let mut in_group = vec![0u32; self.groups.len()];
        let mut in_domain = vec![0u32; self.domains.len()];
        let mut domain_of = vec![0usize; self.groups.len()];
        for core in self.cores.iter().filter(|core| core.level() == level) {
            in_group[core.group] += 1;
            in_domain[core.domain] += 1;
            domain_of[core.group] = core.domain;
        }
        let by_domain = |a: usize, b: usize| {
            self.domains[a].share.cmp_load(&self.domains[b].share, share(cells, 1)).then(a.cmp(&b))
        };
        let by_group = |a: usize, b: usize| self.groups[a].cmp_load(&self.groups[b], 0).then(a.cmp(&b));

        let one_group = (0..self.groups.len())
            .filter(|g| in_group[*g] >= wanted)
            .min_by(|a, b| by_domain(domain_of[*a], domain_of[*b]).then_with(|| by_group(*a, *b)));
        if let Some(group) = one_group {
            return vec![group];
        }
        // No L3 has room: as few of them as possible, in one domain if one has room.
        let one_domain =
            (0..self.domains.len()).filter(|d| in_domain[*d] >= wanted).min_by(|a, b| by_domain(*a, *b));
        let mut groups: Vec<usize> = (0..self.groups.len())
            .filter(|g| in_group[*g] > 0 && one_domain.is_none_or(|domain| domain_of[*g] == domain))
            .collect();
        groups.sort_by(|a, b| {
            let (da, db) = (domain_of[*a], domain_of[*b]);
            (in_domain[db].cmp(&in_domain[da]))
                .then_with(|| by_domain(da, db))
                .then_with(|| in_group[*b].cmp(&in_group[*a]))
                .then_with(|| by_group(*a, *b))
        });
        groups
    }

    fn placement(&self, cores: Vec<u32>, cells: u64) -> Placement {
        let mut cpus = CpuSet::new();
        let mut domains: Vec<usize> = cores.iter().map(|index| self.cores[*index as usize].domain).collect();
        domains.dedup();
        domains.sort_unstable();
        domains.dedup();
        match self.bind {
            Bind::Core => {
                for cpu in cores.iter().flat_map(|index| self.cores[*index as usize].cpus.iter()) {
                    cpus.insert(cpu);
                }
            }
            Bind::Numa => {
                cpus = domains.iter().fold(cpus, |all, domain| all.or(&self.domains[*domain].cpus));
            }
            Bind::None => {}
        }
        let numa = match domains.as_slice() {
            [one] if self.domains.len() > 1 && self.bind != Bind::None => Some(self.domains[*one].os_index),
            _ => None,
        };
        Placement { cores, cpus, numa, cells }
    }
}

/// What each of `cores` cores bears of so many cells, in units of 2^-20 cells.
fn share(cells: u64, cores: u32) -> u128 {
    (u128::from(cells) << 20) / u128::from(cores.max(1))
}

/// A core is at the level `to` now, and was at `from`.
fn recount(cores_of_level: &mut BTreeMap<Level, u32>, from: Level, to: Level) {
    if let Some(count) = cores_of_level.get_mut(&from) {
        *count -= 1;
        if *count == 0 {
            cores_of_level.remove(&from);
        }
    }
    *cores_of_level.entry(to).or_insert(0) += 1;
}
