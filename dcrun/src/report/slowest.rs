//! The subtask that took longest, and whether it or its core was slow: it is held against what the other subtasks
//! say that its cells take, and its core against what the others on that core took.

use dc_model::SubtaskId;
use dcsched_core::cost::CostModel;

/// What takes so many per mille of what was expected, or more, is slow.
const SLOW_PER_MILLE: u64 = 1250;
/// So many other subtasks must have ended for an expectation.
const OTHERS_MIN: u64 = 3;

/// Where a rank ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The first of the CPUs that it was bound to.
    Cpu {
        /// The cluster's number of the node; 0 on one machine.
        node: u32,
        /// By the OS's number.
        cpu: u32,
    },
    /// The rank's lane, where it was not bound.
    Rank(u32),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu { node: 0, cpu } => write!(f, "CPU {cpu}"),
            Self::Cpu { node, cpu } => write!(f, "CPU {cpu} of node {node}"),
            Self::Rank(rank) => write!(f, "rank {rank}"),
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::Rank(0)
    }
}

/// A subtask that is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// Which.
    pub subtask: SubtaskId,
    /// Its cells a core.
    pub cells: u64,
    /// How long the attempt ran that did it, in ns.
    pub ran_ns: u64,
    /// Where.
    pub place: Place,
    /// Whether that attempt computed all of it, and did not go on from a checkpoint.
    pub is_whole: bool,
}

/// Why the slowest subtask took as long as it did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It has so many cells: it took what the others say, or less than 1.25 times that.
    Cells,
    /// Its core: others there were slow by at least half as much.
    Core,
    /// Itself: others on its core were not slow.
    Subtask,
    /// It was slow, and no other ran on its core.
    Alone,
    /// Too few others ended, or it went on from a checkpoint.
    Unknown,
}

impl Why {
    /// Its word in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cells => "cells",
            Self::Core => "core",
            Self::Subtask => "subtask",
            Self::Alone => "alone",
            Self::Unknown => "unknown",
        }
    }
}

/// The subtask that took longest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slowest {
    /// Which.
    pub subtask: SubtaskId,
    /// How long it ran, in ns.
    pub ran_ns: u64,
    /// What the others say that its cells take, in ns.
    pub expected_ns: Option<u64>,
    /// Where it ran.
    pub place: Place,
    /// What the others on its core took over what was expected of them, in per mille.
    pub core_per_mille: Option<u64>,
    /// Whether it or its core was slow.
    pub why: Why,
}

/// The longest of them, the first among equals; those that ran from the beginning before the others.
#[must_use]
pub fn slowest(all: &[Times]) -> Option<Slowest> {
    let key = |one: &&Times| (one.is_whole, one.ran_ns, std::cmp::Reverse(one.subtask));
    let one = *all.iter().max_by_key(key)?;
    let others = || all.iter().filter(|other| other.is_whole && other.subtask != one.subtask);
    let mut model = CostModel::default();
    others().for_each(|other| model.observe(other.cells, other.ran_ns));
    let is_told = one.is_whole && model.observations() >= OTHERS_MIN;
    let expected_ns = model.predict_ns(one.cells).filter(|ns| is_told && *ns > 0);
    let on_its_core = others().filter(|other| other.place == one.place);
    let (ran, expected) = on_its_core.fold((0u128, 0u128), |(ran, expected), other| {
        let expected_ns = model.predict_ns(other.cells).unwrap_or(0);
        (ran + u128::from(other.ran_ns), expected + u128::from(expected_ns))
    });
    let core_per_mille = per_mille(ran, expected).filter(|_| is_told);
    let why = match expected_ns.and_then(|ns| per_mille(one.ran_ns.into(), ns.into())) {
        None => Why::Unknown,
        Some(own) if own < SLOW_PER_MILLE => Why::Cells,
        Some(own) => match core_per_mille {
            None => Why::Alone,
            // Half of its own excess.
            Some(core) if core.saturating_sub(1000).saturating_mul(2) >= own - 1000 => Why::Core,
            Some(_) => Why::Subtask,
        },
    };
    Some(Slowest {
        subtask: one.subtask,
        ran_ns: one.ran_ns,
        expected_ns,
        place: one.place,
        core_per_mille,
        why,
    })
}

fn per_mille(part: u128, whole: u128) -> Option<u64> {
    let ratio = part.saturating_mul(1000).checked_div(whole)?;
    Some(u64::try_from(ratio).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20 subtasks of 1000 to 20,000 cells on 4 CPUs, 10 ns a cell.
    fn even() -> Vec<Times> {
        let one = |id: u32| Times {
            subtask: SubtaskId(id),
            cells: u64::from(id + 1) * 1000,
            ran_ns: u64::from(id + 1) * 10_000,
            place: Place::Cpu { node: 0, cpu: id % 4 },
            is_whole: true,
        };
        (0..20).map(one).collect()
    }

    #[test]
    fn the_dearest_took_what_its_cells_take() {
        let slowest = slowest(&even()).unwrap();
        assert_eq!((slowest.subtask, slowest.why), (SubtaskId(19), Why::Cells));
        assert!(slowest.expected_ns.unwrap().abs_diff(200_000) < 300);
        assert!(slowest.core_per_mille.unwrap().abs_diff(1000) < 5);
    }

    #[test]
    fn a_subtask_may_be_slow_by_itself() {
        let mut all = even();
        all[5].ran_ns = 500_000;
        let slowest = slowest(&all).unwrap();
        assert_eq!((slowest.subtask, slowest.why), (SubtaskId(5), Why::Subtask));
    }

    #[test]
    fn a_core_may_be_slow() {
        let mut all = even();
        all.iter_mut()
            .filter(|one| one.place == Place::Cpu { node: 0, cpu: 3 })
            .for_each(|one| one.ran_ns *= 3);
        let found = slowest(&all).unwrap();
        assert_eq!((found.subtask, found.why), (SubtaskId(19), Why::Core));
        assert!(found.core_per_mille.unwrap() > 1500, "{found:?}");
    }

    #[test]
    fn where_nothing_can_be_told_nothing_is() {
        assert_eq!(slowest(&[]), None);
        let two = &even()[..2];
        assert_eq!(slowest(two).unwrap().why, Why::Unknown);
        let mut all = even();
        all[7] = Times { ran_ns: 900_000, place: Place::Cpu { node: 0, cpu: 9 }, ..all[7] };
        assert_eq!(slowest(&all).unwrap().why, Why::Alone);
        all[7].is_whole = false;
        assert_eq!(slowest(&all).unwrap().subtask, SubtaskId(19), "part of a subtask's time is no subtask's");
        let extreme = Times { ran_ns: u64::MAX, cells: u64::MAX, ..all[3] };
        assert!(slowest(&[extreme; 5]).is_some());
    }
}
