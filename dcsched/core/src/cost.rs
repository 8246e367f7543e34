//! What work costs: the order in which subtasks start, and the makespan that follows from it. Integers only, so that
//! every machine decides alike. What measured times teach is in `learn.rs`.

pub use crate::learn::CostModel;
use dc_model::SubtaskId;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A subtask's cost: its time is `cells / cores`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Effective cells (the sum of the weights).
    pub cells: u64,
    /// Cores that share them; 0 counts as 1.
    pub cores: u32,
}

impl Cost {
    /// Compares times, exactly: `cells / cores` without dividing.
    #[must_use]
    pub fn cmp_time(self, other: Self) -> Ordering {
        let crossed = |a: Self, b: Self| u128::from(a.cells) * u128::from(b.cores.max(1));
        crossed(self, other).cmp(&crossed(other, self))
    }
}

impl From<u64> for Cost {
    fn from(cells: u64) -> Self {
        Self { cells, cores: 1 }
    }
}

impl From<(u64, u32)> for Cost {
    fn from((cells, cores): (u64, u32)) -> Self {
        Self { cells, cores }
    }
}

/// All subtasks, longest first, ties by id. Costs come in the order of ids, as cells or as `(cells, cores)`.
/// Those that cost nothing come last; they never run.
#[must_use]
pub fn order<C: Into<Cost>>(costs: impl IntoIterator<Item = C>) -> Vec<SubtaskId> {
    let costs: Vec<Cost> = costs.into_iter().map(Into::into).collect();
    let mut ids: Vec<SubtaskId> = (0..costs.len()).map(|id| SubtaskId(id as u32)).collect();
    ids.sort_by(|a, b| costs[b.index()].cmp_time(costs[a.index()]).then(a.cmp(b)));
    ids
}

/// The time that `slots` equal slots take for `costs` in the order given, each pulled by the first slot to be free;
/// in the unit of the costs. With [`order`]'s order that is the longest-first makespan. No slots count as one.
#[must_use]
pub fn makespan(costs: impl IntoIterator<Item = u64>, slots: u32) -> u128 {
    let slots = slots.max(1) as usize;
    // Slots that have not run yet are not in the heap, so that a huge count of them costs nothing.
    let mut ends: BinaryHeap<Reverse<u128>> = BinaryHeap::new();
    let mut last = 0;
    for cost in costs {
        let start = if ends.len() < slots { 0 } else { ends.pop().map_or(0, |Reverse(end)| end) };
        let end = start + u128::from(cost);
        last = last.max(end);
        ends.push(Reverse(end));
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn longest_first_ties_by_id() {
        let ids = |order: Vec<SubtaskId>| order.iter().map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(ids(order([5u64, 9, 0, 9, 7])), [1, 3, 4, 0, 2]);
        // 12 cells on 4 cores are shorter than 4 cells on one.
        assert_eq!(ids(order([(12u64, 4), (4, 1), (u64::MAX, 1), (u64::MAX, 2)])), [2, 3, 1, 0]);
        assert!(ids(order::<u64>([])).is_empty());
    }

    #[test]
    fn slots_pull() {
        assert_eq!(makespan([3, 3, 2, 2, 2], 2), 7);
        assert_eq!(makespan([1; 64], 48), 2);
        assert_eq!(makespan([u64::MAX; 3], 1), 3 * u128::from(u64::MAX));
        assert_eq!(makespan([4, 4], u32::MAX), 4);
        assert_eq!(makespan([], 0), 0);
    }

    proptest! {
        /// List scheduling, longest first, is within 4/3 of what no schedule can beat.
        #[test]
        fn a_makespan_is_bounded(mut costs in prop::collection::vec(1u64..1000, 1..60), slots in 1u32..20) {
            costs.sort_unstable_by_key(|c| Reverse(*c));
            let found = makespan(costs.iter().copied(), slots);
            let sum: u128 = costs.iter().map(|c| u128::from(*c)).sum();
            let mut least = sum.div_ceil(u128::from(slots)).max(u128::from(costs[0]));
            if let Some(second) = costs.get(slots as usize) {
                least = least.max(u128::from(costs[slots as usize - 1]) + u128::from(*second));
            }
            prop_assert!(found >= sum.div_ceil(u128::from(slots)).max(u128::from(costs[0])));
            prop_assert!(3 * found <= 4 * least + 3 * u128::from(*costs.last().unwrap()));
        }
    }
}
