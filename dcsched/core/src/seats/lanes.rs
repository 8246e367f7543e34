//! The lanes: each subtask's own where there are as many, else the lowest free one. Where the user has said ranks' CPUs,
//! each lane has its entry of them.

use crate::job::JobSpec;
use crate::place::Bind;
use dc_model::SubtaskId;
use std::collections::{BTreeMap, BTreeSet};

/// The lanes of a job.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    count: u32,
    /// Lane i runs subtask i.
    own: bool,
    /// Those that are free, by their entry; where each subtask has its own none are counted.
    free: Vec<BTreeSet<u32>>,
    free_count: u32,
    /// Entries in use: lane r has entry r, and again from the first on. 0: lanes are not tied.
    entries: u32,
    /// Lanes that several attempts have, and how many more than one: attempts of before that came to light late.
    shared: BTreeMap<u32, u32>,
}

impl Lanes {
    pub fn new(spec: &JobSpec) -> Self {
        let own = spec.ranks as usize == spec.needs.len();
        let entries = match &spec.bind {
            Bind::Fixed(entries) => entries.len().min(spec.ranks.max(1) as usize) as u32,
            _ => 0,
        };
        let mut free = vec![BTreeSet::new(); entries.max(1) as usize];
        if !own {
            let classes = free.len() as u32;
            for rank in 0..spec.ranks {
                free[(rank % classes) as usize].insert(rank);
            }
        }
        Self { count: spec.ranks, own, free, free_count: spec.ranks, entries, shared: BTreeMap::new() }
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn is_own(&self) -> bool {
        self.own
    }

    /// How many entries are in use; nothing when lanes are not tied.
    pub fn entries_used(&self) -> Option<u32> {
        (self.entries > 0).then_some(self.entries)
    }

    pub fn any_free(&self) -> bool {
        self.own || self.free_count > 0
    }

    /// How many are free. Where each subtask has its own that says nothing.
    pub fn free_count(&self) -> u32 {
        if self.own { self.count } else { self.free_count }
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

    /// Takes a lane that is free.
    pub fn take(&mut self, rank: u32) {
        if !self.own {
            let class = self.class(rank);
            self.free_count -= u32::from(self.free[class].remove(&rank));
        }
    }

    /// Takes a lane, whoever else has it.
    pub fn share(&mut self, rank: u32) {
        let class = self.class(rank);
        if self.own || self.free[class].contains(&rank) {
            self.take(rank);
        } else if rank < self.count {
            *self.shared.entry(rank).or_insert(0) += 1;
        }
    }

    pub fn give_back(&mut self, rank: u32) {
        if self.own || rank >= self.count {
            return;
        }
        if let Some(more) = self.shared.get_mut(&rank) {
            *more -= 1;
            if *more == 0 {
                self.shared.remove(&rank);
            }
            return;
        }
        let class = self.class(rank);
        let fresh = self.free[class].insert(rank);
        assert!(fresh, "lane {rank} was given back twice");
        self.free_count += 1;
    }

    fn class(&self, rank: u32) -> usize {
        rank as usize % self.free.len()
    }

    /// Which entry a lane is tied to.
    pub fn entry(&self, rank: u32) -> Option<usize> {
        (self.entries > 0).then(|| self.class(rank))
    }

    /// The lane of a subtask that takes over the cores of a lane, if it may.
    pub fn behind(&self, subtask: u32, ahead: u32) -> Option<u32> {
        let rank = if self.own { subtask } else { ahead };
        (self.class(rank) == self.class(ahead)).then_some(rank)
    }
}
