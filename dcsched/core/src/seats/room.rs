//! Which parts take one more rank: in order, so that the best is found without looking at all.

use super::part::Part;
use crate::place::Distribution;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Where a part stands in the order in which parts are taken. Chosen by cost: the fewest running cells for each core and
/// its speed, then the fastest. In blocks: the lowest number. Round the nodes: by node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Turn {
    load: u128,
    speed_permille: Reverse<u32>,
    node: u32,
    part: u32,
    /// Open cores.
    open: u32,
    /// The most memory that one of its domains has left.
    left_bytes: u64,
}

/// How much room there is. Without memory the number of open cores alone; with memory the digits of that number in base 2,
/// and about how much memory is left.
type Bucket = (u32, u32);

/// Parts of a bucket that are looked at for one that has enough.
const LOOK_MAX: usize = 16;

/// The parts that take one more rank.
#[derive(Clone, Debug)]
pub(super) struct Room {
    distribution: Distribution,
    /// Whether anything asks for memory.
    has_memory: bool,
    buckets: BTreeMap<Bucket, BTreeSet<Turn>>,
    turns: BTreeMap<u32, (Bucket, Turn)>,
    /// By entry of a map: the parts where all of its CPUs are free.
    entries: Vec<BTreeSet<u32>>,
}

/// About how much it is: four classes for each power of two.
fn class(bytes: u64) -> u32 {
    match bytes.checked_ilog2() {
        None => 0,
        Some(log @ 0..2) => 1 + 4 * log,
        Some(log) => 1 + 4 * log + (bytes >> (log - 2) & 3) as u32,
    }
}

impl Room {
    pub fn new(distribution: Distribution, has_memory: bool, entries: usize) -> Self {
        Self {
            distribution,
            has_memory,
            buckets: BTreeMap::new(),
            turns: BTreeMap::new(),
            entries: vec![BTreeSet::new(); entries],
        }
    }

    fn bucket(&self, cores: u32, bytes: u64) -> Bucket {
        if self.has_memory { (u32::BITS - cores.leading_zeros(), class(bytes)) } else { (cores, 0) }
    }

    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Takes a part out of all orders.
    pub fn remove(&mut self, number: u32) {
        if let Some((bucket, turn)) = self.turns.remove(&number)
            && let Some(turns) = self.buckets.get_mut(&bucket)
        {
            turns.remove(&turn);
            if turns.is_empty() {
                self.buckets.remove(&bucket);
            }
        }
        self.entries.iter_mut().for_each(|parts| {
            parts.remove(&number);
        });
    }

    /// Puts a part where it now belongs.
    pub fn insert(&mut self, number: u32, part: &Part) {
        let (load, speed) = match self.distribution {
            Distribution::Cost => (part.load(), part.speed_permille),
            Distribution::Block | Distribution::Cyclic => (0, 0),
        };
        let node = if self.distribution == Distribution::Cyclic { part.node } else { 0 };
        let left_bytes = if self.has_memory { part.pool.domain_left_bytes() } else { 0 };
        let open = part.pool.open();
        let turn = Turn { load, speed_permille: Reverse(speed), node, part: number, open, left_bytes };
        let bucket = self.bucket(open, left_bytes);
        self.buckets.entry(bucket).or_default().insert(turn);
        self.turns.insert(number, (bucket, turn));
        for (parts, units) in self.entries.iter_mut().zip(&part.entries) {
            if units.as_ref().is_some_and(|units| part.pool.are_open(units)) {
                parts.insert(number);
            }
        }
    }

    /// At most so many parts that have as many open cores, and a domain with so much memory left; the best first. Of each
    /// bucket the first ones are looked at. `from`: go round the nodes from this one on.
    pub fn best(&self, cores: u32, mem_bytes: u64, from: Option<u32>, most: usize) -> Vec<u32> {
        let (least, memory) = self.bucket(cores, mem_bytes);
        let fits = |turn: &&Turn| turn.open >= cores && turn.left_bytes >= mem_bytes;
        let mut found: Vec<(bool, Turn)> = Vec::new();
        for ((_, left), turns) in self.buckets.range((least, 0)..) {
            if *left < memory {
                continue;
            }
            match from {
                None => {
                    let turns = turns.iter().take(LOOK_MAX).filter(fits).take(most);
                    found.extend(turns.map(|turn| (false, *turn)));
                }
                Some(node) => {
                    let (speed_permille, part, open, left_bytes) = (Reverse(0), 0, 0, 0);
                    let start = Turn { load: 0, speed_permille, node, part, open, left_bytes };
                    let behind = turns.range(start..).map(|turn| (false, turn));
                    let before = turns.range(..start).map(|turn| (true, turn));
                    let turns = behind.chain(before).take(LOOK_MAX).filter(|(_, turn)| fits(turn)).take(most);
                    found.extend(turns.map(|(is_before, turn)| (is_before, *turn)));
                }
            }
        }
        if most == 1 {
            return found.into_iter().min().map(|(_, turn)| turn.part).into_iter().collect();
        }
        found.sort_unstable();
        found.into_iter().take(most).map(|(_, turn)| turn.part).collect()
    }

    /// Whether a part has as many open cores, whatever memory.
    pub fn has_cores(&self, cores: u32) -> bool {
        let has = |turn: &Turn| turn.open >= cores;
        let (least, _) = self.bucket(cores, 0);
        self.buckets.range((least, 0)..).any(|(_, turns)| turns.iter().take(LOOK_MAX).any(has))
    }

    /// At most so many parts with the most open cores.
    pub fn emptiest(&self, most: usize) -> impl Iterator<Item = u32> {
        self.buckets.values().rev().flatten().take(most).map(|turn| turn.part)
    }

    /// The parts where an entry of the map is free, the lowest first.
    pub fn with_entry(&self, entry: usize) -> impl Iterator<Item = u32> {
        self.entries.get(entry).into_iter().flatten().copied()
    }
}
