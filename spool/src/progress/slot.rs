//! The kernel's side: its own slot.

use super::map::Words;
use super::{CELLS, CHECKPOINTS, SLOT_WORDS, STEP, TAG, WANTED, tag};
use dc_model::{Attempt, Rank, Step, SubtaskId};
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// One lane's slot, taken over by one attempt.
#[derive(Debug)]
pub struct Slot {
    words: Words,
    first: usize,
    tag: u64,
}

impl Slot {
    /// Opens the progress file and takes the lane's slot over. Where the same attempt has taken it before (a shell
    /// kernel opens it for each word), its numbers are left as they are.
    ///
    /// # Errors
    /// When it cannot be opened and mapped, or has no such slot. Nothing depends on it: a caller goes on without.
    pub fn open(path: &Path, rank: Rank, subtask: SubtaskId, attempt: Attempt) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let first = rank.0 as usize * SLOT_WORDS;
        let words = Words::map(&file, first + SLOT_WORDS)?;
        let slot = Self { words, first, tag: tag(subtask, attempt) };
        if slot.word(TAG).load(Ordering::Acquire) != slot.tag {
            slot.take_over();
        }
        Ok(slot)
    }

    /// The tag goes first to nobody and comes last, so that no reader sees another attempt's numbers under it. The
    /// word that asks for a checkpoint is the starter's, and names the attempt it means.
    fn take_over(&self) {
        self.word(TAG).store(0, Ordering::SeqCst);
        for i in [CELLS, STEP, CHECKPOINTS] {
            self.word(i).store(0, Ordering::SeqCst);
        }
        self.word(TAG).store(self.tag, Ordering::SeqCst);
    }

    fn word(&self, i: usize) -> &AtomicU64 {
        &self.words.words()[self.first + i]
    }

    /// Says how many cells are done.
    pub fn cells(&self, cells: u64) {
        self.word(CELLS).store(cells, Ordering::Release);
    }

    /// Says that a checkpoint of this step is on disk.
    pub fn checkpointed(&self, step: Step) {
        self.word(STEP).store(step, Ordering::Release);
        self.word(CHECKPOINTS).fetch_add(1, Ordering::AcqRel);
    }

    /// Whether this attempt is asked for a checkpoint now.
    #[must_use]
    pub fn checkpoint_wanted(&self) -> bool {
        self.word(WANTED).load(Ordering::Acquire) == self.tag
    }
}
