//! The parts of a job: which of them a launch goes to, and what comes and goes there.
//!
//! A subtask is within one part. By cost it goes to the part with the fewest running cells for each core and its speed;
//! in blocks to the lowest part that has room; cyclic, rank r prefers the r-th node, and then those behind it. Ranks with
//! a map of CPUs go to the lowest part where theirs are free. No choice looks at all parts: where memory is asked for a
//! few are tried.

use super::layout::Manner;
use super::part::{Part, PartSpec};
use super::room::Room;
use crate::job::{JobSpec, Need};
use crate::place::{Bind, Distribution, Lack, Placement, Wish};
use dc_model::CpuSet;
use std::collections::{BTreeMap, BTreeSet};

/// Parts that are tried for one subtask that asks for memory.
const TRIES_MAX: usize = 16;

/// The same for one that asks for more than any one domain has left.
const SPILLS_MAX: usize = 4;

/// Where a subtask may not go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Barred {
    pub part: u32,
    /// This domain of it; nothing: all of it.
    pub domain: Option<u32>,
}

/// A node, and what runs there.
#[derive(Clone, Default, Debug)]
struct Node {
    ranks: u32,
    ranks_max: Option<u32>,
    parts: BTreeSet<u32>,
    /// Nothing new starts there.
    is_withdrawn: bool,
}

impl Node {
    fn is_full(&self) -> bool {
        self.is_withdrawn || self.ranks_max.is_some_and(|most| self.ranks >= most)
    }
}

/// All parts of a job.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    manner: Manner,
    /// CPUs by entry, where the user has said them.
    map: Vec<CpuSet>,
    all: BTreeMap<u32, Part>,
    nodes: BTreeMap<u32, Node>,
    /// The nodes in their order.
    ring: Vec<u32>,
    room: Room,
    /// Parts with a core that takes one more rank, on full nodes too.
    open: BTreeSet<u32>,
    open_cores: u64,
    /// Whether ranks prefer domains by their lane, and not by how many run in their part.
    is_by_lane: bool,
}

impl Parts {
    /// None.
    pub fn new(spec: &JobSpec, entries: usize) -> Self {
        let map = match &spec.bind {
            Bind::Fixed(map) => map.iter().take(entries).cloned().collect(),
            _ => Vec::new(),
        };
        let has_memory = spec.needs.iter().any(|need| need.mem_bytes > 0);
        Self {
            manner: Manner::of(spec),
            map,
            all: BTreeMap::new(),
            nodes: BTreeMap::new(),
            ring: Vec::new(),
            room: Room::new(spec.distribution, has_memory, entries),
            open: BTreeSet::new(),
            open_cores: 0,
            is_by_lane: !spec.releases,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn any_open(&self) -> bool {
        !self.room.is_empty()
    }

    /// Cores that take one more rank.
    pub fn open_cores(&self) -> u64 {
        self.open_cores
    }

    pub fn get(&self, number: u32) -> Option<&Part> {
        self.all.get(&number)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Part> {
        self.all.values()
    }

    /// One more. A number that is there already is passed over.
    pub fn join(&mut self, spec: &PartSpec, crowd: &[u32]) {
        if spec.topology.cores.is_empty() || self.all.contains_key(&spec.part) {
            return;
        }
        self.all.insert(spec.part, Part::new(spec, &self.manner, &self.map, crowd));
        let node = self.nodes.entry(spec.node).or_default();
        node.parts.insert(spec.part);
        self.on_node(spec.node);
    }

    /// One is gone, with all that ran there.
    pub fn lose(&mut self, number: u32) {
        let Some(part) = self.all.remove(&number) else { return };
        self.unlist(number, part.pool.open());
        if let Some(node) = self.nodes.get_mut(&part.node) {
            node.ranks -= part.ranks;
            node.parts.remove(&number);
        }
        self.on_node(part.node);
    }

    /// Nothing new starts on a node, or again.
    pub fn withdraw(&mut self, node: u32, is_withdrawn: bool) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.is_withdrawn = is_withdrawn;
        }
        self.on_node(node);
    }

    pub fn is_withdrawn(&self, node: u32) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.is_withdrawn)
    }

    /// The parts of a node have changed: what holds for all of them is looked at anew.
    fn on_node(&mut self, number: u32) {
        let Some(node) = self.nodes.get_mut(&number) else { return };
        let limits = node.parts.iter().filter_map(|part| self.all.get(part)?.ranks_max);
        node.ranks_max = limits.min();
        let parts: Vec<u32> = node.parts.iter().copied().collect();
        if parts.is_empty() {
            self.nodes.remove(&number);
        }
        self.ring = self.nodes.keys().copied().collect();
        parts.into_iter().for_each(|part| self.list(part));
    }

    /// Takes a part out of the orders; `open`: its cores that were counted as open.
    fn unlist(&mut self, number: u32, open: u32) {
        self.room.remove(number);
        if self.open.remove(&number) {
            self.open_cores -= u64::from(open);
        }
    }

    /// Puts a part into the orders, if it takes one more rank.
    fn list(&mut self, number: u32) {
        let Some(part) = self.all.get(&number) else { return };
        self.room.remove(number);
        if part.pool.open() == 0 {
            return;
        }
        if self.open.insert(number) {
            self.open_cores += u64::from(part.pool.open());
        }
        if self.nodes.get(&part.node).is_some_and(|node| !node.is_full()) {
            self.room.insert(number, part);
        }
    }

    /// A part that had so many open cores has changed; `ranks`: so many more run there.
    fn on_changed(&mut self, number: u32, open: u32, ranks: i32) {
        self.unlist(number, open);
        let Some(part) = self.all.get_mut(&number) else { return };
        part.ranks = part.ranks.saturating_add_signed(ranks);
        let number_of_node = part.node;
        let has_turned = self.nodes.get_mut(&number_of_node).is_some_and(|node| {
            let was_full = node.is_full();
            node.ranks = node.ranks.saturating_add_signed(ranks);
            was_full != node.is_full()
        });
        if has_turned {
            self.on_node(number_of_node);
        } else {
            self.list(number);
        }
    }

    /// Cores and memory for a rank, if a part has them.
    pub fn take(
        &mut self,
        rank: u32,
        entry: Option<usize>,
        need: Need,
        barred: Option<Barred>,
    ) -> Result<Placement, Lack> {
        let cores = need.cores.max(1);
        let is_barred =
            |part: u32| barred.is_some_and(|barred| barred.part == part && barred.domain.is_none());
        let mut tried: Vec<u32> = Vec::new();
        let mut lack = Lack::Cores;
        // The first one nearly always has room: it is but that cores and memory may be in different domains.
        for most in [1 + usize::from(barred.is_some()), TRIES_MAX] {
            let found: Vec<u32> = match entry {
                Some(entry) => self.room.with_entry(entry).take(most).collect(),
                None => self.room.best(cores, need.mem_bytes, self.preferred_node(rank), most),
            };
            for part in found {
                if tried.contains(&part) || is_barred(part) {
                    continue;
                }
                match self.take_in(part, rank, entry, need, barred) {
                    Ok(placement) => return Ok(placement),
                    Err(Lack::Memory) => lack = Lack::Memory,
                    Err(Lack::Cores) => {}
                }
                tried.push(part);
            }
            if tried.is_empty() {
                break;
            }
        }
        if entry.is_some() || need.mem_bytes == 0 || !self.room.has_cores(cores) {
            return Err(lack);
        }
        // What is more than any one domain has left may come from several, where much is free.
        let emptiest: Vec<u32> = self.room.emptiest(if tried.is_empty() { SPILLS_MAX } else { 0 }).collect();
        for part in emptiest.into_iter().filter(|part| !is_barred(*part)) {
            if self.all.get(&part).is_some_and(|part| part.pool.memory_left_bytes() >= need.mem_bytes)
                && let Ok(placement) = self.take_in(part, rank, entry, need, barred)
            {
                return Ok(placement);
            }
        }
        Err(Lack::Memory)
    }

    /// The same in one part.
    pub fn take_in(
        &mut self,
        number: u32,
        rank: u32,
        entry: Option<usize>,
        need: Need,
        barred: Option<Barred>,
    ) -> Result<Placement, Lack> {
        let is_by_lane = self.is_by_lane;
        let part = self.all.get_mut(&number).ok_or(Lack::Cores)?;
        if self.nodes.get(&part.node).is_some_and(Node::is_full) {
            return Err(Lack::Cores);
        }
        let except = barred.filter(|barred| barred.part == number).and_then(|barred| barred.domain);
        let domains = part.domains(if is_by_lane { rank } else { part.ranks });
        let units = entry.map(|entry| part.entries.get(entry).and_then(Clone::clone).ok_or(Lack::Cores));
        let units = units.transpose()?;
        let (node, open) = (part.node, part.pool.open());
        let wish = Wish { units: units.as_deref(), domains: &domains, except };
        let placement = part.pool.take(need, &wish)?;
        self.on_changed(number, open, 1);
        Ok(Placement { part: number, node, ..placement })
    }

    /// Cores that a rank has already. Nothing when they are not there, or not free.
    pub fn adopt(&mut self, number: u32, units: &[u32], need: Need) -> Option<Placement> {
        let part = self.all.get_mut(&number)?;
        let (node, open) = (part.node, part.pool.open());
        let placement = part.pool.adopt(units, need)?;
        self.on_changed(number, open, 1);
        Some(Placement { part: number, node, ..placement })
    }

    /// What was taken is free again; if its part is gone there is nothing to do.
    pub fn give_back(&mut self, placement: &Placement) {
        if let Some(part) = self.all.get_mut(&placement.part) {
            let open = part.pool.open();
            part.pool.give_back(placement);
            self.on_changed(placement.part, open, -1);
        }
    }

    /// Takes away all cores that are free, and the parts that have no others: the parts' numbers, and indices into their
    /// topologies' cores. `idle`: only of parts where nothing runs.
    pub fn release(&mut self, idle: bool) -> Vec<(u32, Vec<u32>)> {
        self.release_of(|part| !idle || part.ranks == 0)
    }

    /// The same on nodes where nothing new starts.
    pub fn release_withdrawn(&mut self) -> Vec<(u32, Vec<u32>)> {
        let nodes = self.nodes.iter().filter(|(_, node)| node.is_withdrawn);
        let withdrawn: BTreeSet<u32> = nodes.map(|(number, _)| *number).collect();
        if withdrawn.is_empty() {
            return Vec::new();
        }
        self.release_of(|part| withdrawn.contains(&part.node))
    }

    fn release_of(&mut self, is_meant: impl Fn(&Part) -> bool) -> Vec<(u32, Vec<u32>)> {
        let is_meant = |part: &u32| self.all.get(part).is_some_and(&is_meant);
        let open: Vec<u32> = self.open.iter().copied().filter(is_meant).collect();
        let mut released = Vec::new();
        for number in open {
            let Some(part) = self.all.get_mut(&number) else { continue };
            let open = part.pool.open();
            let cores = part.pool.release();
            if cores.is_empty() {
                continue;
            }
            let is_left = part.pool.cores() > 0;
            self.on_changed(number, open, 0);
            if !is_left {
                self.lose(number);
            }
            released.push((number, cores));
        }
        released
    }

    fn preferred_node(&self, rank: u32) -> Option<u32> {
        let is_round = self.manner.distribution == Distribution::Cyclic && !self.ring.is_empty();
        is_round.then(|| self.ring[rank as usize % self.ring.len()])
    }

    /// The parts that may be kept for a subtask, those with the most free cores first.
    pub fn homes(&self, most: usize) -> impl Iterator<Item = u32> {
        self.room.emptiest(most).chain(self.all.keys().copied())
    }
}
