//! Attempts that a scheduler of before had granted or launched, and of which no node has spoken since: they may run, or
//! not.

use dc_model::{Rank, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};

/// Those attempts, by subtask and by node.
#[derive(Clone, Default, Debug)]
pub(super) struct Unknown {
    /// On which node each was launched, if that is known, and the lane that is kept for it.
    all: BTreeMap<SubtaskId, (Option<u32>, Option<Rank>)>,
    by_node: BTreeSet<(Option<u32>, SubtaskId)>,
}

impl Unknown {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// `node`: nothing where it was granted and perhaps never launched. `lane`: what is kept for it.
    pub fn insert(&mut self, subtask: SubtaskId, node: Option<u32>, lane: Option<Rank>) {
        self.remove(subtask);
        self.all.insert(subtask, (node, lane));
        self.by_node.insert((node, subtask));
    }

    pub fn contains(&self, subtask: SubtaskId) -> bool {
        self.all.contains_key(&subtask)
    }

    /// The node that it was launched on, if it is one of them and that is known.
    pub fn node(&self, subtask: SubtaskId) -> Option<u32> {
        self.all.get(&subtask)?.0
    }

    /// Takes one out, and gives the lane that was kept for it.
    pub fn remove(&mut self, subtask: SubtaskId) -> Option<Option<Rank>> {
        let (node, lane) = self.all.remove(&subtask)?;
        self.by_node.remove(&(node, subtask));
        Some(lane)
    }

    /// Those that were launched on a node; or all.
    pub fn of(&self, node: Option<u32>) -> Vec<SubtaskId> {
        match node {
            None => self.all.keys().copied().collect(),
            Some(_) => {
                let (first, last) = ((node, SubtaskId(0)), (node, SubtaskId(u32::MAX)));
                self.by_node.range(first..=last).map(|(_, subtask)| *subtask).collect()
            }
        }
    }
}
