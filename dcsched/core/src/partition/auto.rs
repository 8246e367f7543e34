//! How many blocks: the number whose subtasks end together on the slots there are.

use super::Splitter;
use crate::cost::makespan;
use std::cmp::Reverse;

/// A makespan of at most this many thousandths of the ideal, sum / slots, is good.
pub const GOOD_PER_MILLE: u32 = 1020;

/// Blocks a slot that are tried, in this order. Whole rounds only: a number just above a multiple of the slots leaves
/// most of them idle for a round. All up to 8, then wider apart: 17 splits at most.
const ROUNDS: [u32; 17] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64];

/// A number of blocks, and what is predicted of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    /// Blocks: what the split gives, which is less than asked for when there are too few effective cells.
    pub parts: u32,
    /// Predicted time until all are done, longest first, in the time one slot takes for a cell of cost 1.
    pub makespan: u64,
    /// Subtasks at a time; at least 1.
    pub slots: u32,
    /// The sum of all costs.
    pub cells_total: u64,
}

impl Choice {
    /// Whether the makespan is at most 1.02 of sum / slots.
    #[must_use]
    pub fn is_good(&self) -> bool {
        u128::from(self.makespan) * u128::from(self.slots) * 1000
            <= u128::from(self.cells_total) * u128::from(GOOD_PER_MILLE)
    }
}

impl Splitter<'_> {
    /// What is predicted of a number of blocks on `slots` slots (0 counts as 1).
    #[must_use]
    pub fn predict(&self, parts: u32, slots: u32) -> Choice {
        let pieces = self.split(parts);
        let mut costs: Vec<u64> = pieces.iter().map(|piece| piece.cells).collect();
        costs.sort_unstable_by_key(|cost| Reverse(*cost));
        // No makespan is longer than the sum, which fits.
        let makespan = u64::try_from(makespan(costs, slots)).unwrap_or(u64::MAX);
        Choice { parts: pieces.len() as u32, makespan, slots: slots.max(1), cells_total: self.domain.cost() }
    }

    /// The smallest number of blocks, in whole rounds of the slots, whose predicted makespan is good; the one with the
    /// shortest makespan where none is.
    ///
    /// The search is bounded: 1 to 8 rounds, then wider apart up to 64, and no further than effective cells go.
    #[must_use]
    pub fn choose_parts(&self, slots: u32) -> Choice {
        let slots = slots.max(1);
        let mut best = self.predict(slots, slots);
        for rounds in ROUNDS.into_iter().skip(1) {
            let all_single = u64::from(best.parts) >= self.domain.effective();
            let Some(parts) = slots.checked_mul(rounds).filter(|_| !best.is_good() && !all_single) else {
                break;
            };
            let choice = self.predict(parts, slots);
            let last = choice.parts < parts;
            if choice.makespan < best.makespan {
                best = choice;
            }
            if last {
                break;
            }
        }
        best
    }

    /// The better number of blocks, when `given` is not good and there is one.
    #[must_use]
    pub fn better_parts(&self, given: &Choice) -> Option<Choice> {
        if given.is_good() {
            return None;
        }
        Some(self.choose_parts(given.slots)).filter(|choice| choice.makespan < given.makespan)
    }
}
