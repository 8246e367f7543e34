//! What runs: found by subtask and by part, and who may be followed.

use crate::place::Placement;
use dc_model::{Attempt, Rank, SubtaskId};
use slotmap::SlotMap;
use std::collections::{BTreeMap, BTreeSet};

slotmap::new_key_type! {
    /// A running attempt.
    pub struct RunningKey;
}

/// An attempt that has a lane and cores.
#[derive(Clone, Debug)]
pub struct Running {
    /// Which subtask.
    pub subtask: SubtaskId,
    /// Its attempt.
    pub attempt: Attempt,
    /// Its lane.
    pub rank: Rank,
    /// Its cores.
    pub placement: Placement,
    /// Counts launches.
    pub number: u64,
    /// The attempt whose lane and cores it takes over, once that has ended.
    pub behind: Option<(SubtaskId, Attempt)>,
    /// The subtask that takes over its lane and cores.
    pub follower: Option<SubtaskId>,
}

impl Running {
    /// Cores and memory: who takes over must need the same.
    fn size(&self) -> Size {
        (self.placement.cores.len(), self.placement.mem_bytes())
    }

    fn is_alone(&self) -> bool {
        self.behind.is_none() && self.follower.is_none()
    }
}

type Size = (usize, u64);

/// All that runs.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    all: SlotMap<RunningKey, Running>,
    /// By subtask.
    of: Vec<Option<RunningKey>>,
    by_part: BTreeMap<u32, BTreeSet<SubtaskId>>,
    /// Those that are followed by none and behind none, by their launches.
    alone: BTreeMap<Size, BTreeSet<(u64, SubtaskId)>>,
}

impl Runs {
    /// Nothing, of so many subtasks.
    pub fn new(subtasks: usize) -> Self {
        let (by_part, alone) = (BTreeMap::new(), BTreeMap::new());
        Self { all: SlotMap::with_key(), of: vec![None; subtasks], by_part, alone }
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn get(&self, subtask: SubtaskId) -> Option<&Running> {
        self.all.get((*self.of.get(subtask.index())?)?)
    }

    /// All of them, by subtask.
    pub fn all(&self) -> Vec<Running> {
        // The order of the map decides nothing.
        let mut all: Vec<Running> = self.all.values().cloned().collect();
        all.sort_unstable_by_key(|running| running.subtask);
        all
    }

    /// Those of one part, by subtask.
    pub fn of_part(&self, part: u32) -> Vec<SubtaskId> {
        self.by_part.get(&part).into_iter().flatten().copied().collect()
    }

    /// At most so many that nobody follows and that follow nobody, with so many cores and so much memory; the first
    /// launched come first.
    pub fn alone(&self, cores: usize, mem_bytes: u64, most: usize) -> impl Iterator<Item = &Running> {
        let launches = self.alone.get(&(cores, mem_bytes)).into_iter().flatten();
        launches.take(most).filter_map(|(_, subtask)| self.get(*subtask))
    }

    pub fn insert(&mut self, running: Running) {
        let (subtask, part, behind) = (running.subtask, running.placement.part, running.behind);
        let alone = (running.size(), running.number);
        let key = self.all.insert(running);
        let before = self.of[subtask.index()].replace(key);
        assert!(before.is_none(), "subtask {subtask} is launched twice");
        self.by_part.entry(part).or_default().insert(subtask);
        match behind {
            None => self.set_alone(alone, subtask, true),
            Some((ahead, _)) => {
                let is_there = self.change(ahead, |ahead| ahead.follower = Some(subtask));
                assert!(is_there, "a follower's forerunner runs");
            }
        }
    }

    pub fn remove(&mut self, subtask: SubtaskId) -> Option<Running> {
        let running = self.all.remove(self.of.get_mut(subtask.index())?.take()?)?;
        if let Some(there) = self.by_part.get_mut(&running.placement.part) {
            there.remove(&subtask);
            if there.is_empty() {
                self.by_part.remove(&running.placement.part);
            }
        }
        self.set_alone((running.size(), running.number), subtask, false);
        Some(running)
    }

    /// Changes whom one follows or who follows it; `false` when it does not run.
    pub fn change(&mut self, subtask: SubtaskId, change: impl FnOnce(&mut Running)) -> bool {
        let key = self.of.get(subtask.index()).copied().flatten();
        let Some(running) = key.and_then(|key| self.all.get_mut(key)) else { return false };
        change(running);
        let (alone, is_alone) = ((running.size(), running.number), running.is_alone());
        self.set_alone(alone, subtask, is_alone);
        true
    }

    fn set_alone(&mut self, (size, number): (Size, u64), subtask: SubtaskId, is_alone: bool) {
        if is_alone {
            self.alone.entry(size).or_default().insert((number, subtask));
        } else if let Some(launches) = self.alone.get_mut(&size) {
            launches.remove(&(number, subtask));
            if launches.is_empty() {
                self.alone.remove(&size);
            }
        }
    }
}
