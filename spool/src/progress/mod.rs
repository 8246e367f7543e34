//! Progress of the ranks: one slot of eight aligned words a lane, in a memory file that the starter makes and the
//! kernels map. A hint only: never journaled, never a proof of life. A rank that scribbles in it harms the display.
//!
//! The words of a slot: 0 the tag (subtask in the low half, attempt in the high half; 0: nobody yet), 1 cells done,
//! 2 step of the newest checkpoint, 3 number of checkpoints, 4 to 6 zero, 7 the tag of the attempt that is asked for
//! a checkpoint now.

pub mod map;
mod slot;
mod slots;

pub use slot::Slot;
pub use slots::{Progress, Slots};

use dc_model::{Attempt, SubtaskId};

/// Bytes of a slot: one cache line, so that two ranks never share one.
pub const SLOT_BYTES: usize = 64;

/// Words of a slot.
const SLOT_WORDS: usize = SLOT_BYTES / size_of::<u64>();

const TAG: usize = 0;
const CELLS: usize = 1;
const STEP: usize = 2;
const CHECKPOINTS: usize = 3;
const WANTED: usize = 7;

/// Never 0 for a real attempt, since attempts count from 1.
fn tag(subtask: SubtaskId, attempt: Attempt) -> u64 {
    u64::from(subtask.0) | u64::from(attempt.0) << 32
}

#[cfg(test)]
mod tests;
