//! The starter's and dcrun's side: the file with all slots.

use super::map::Words;
use super::{CELLS, CHECKPOINTS, SLOT_BYTES, SLOT_WORDS, STEP, TAG, WANTED, tag};
use dc_model::{Attempt, Rank, Step, SubtaskId};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a rank says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The subtask it works on.
    pub subtask: SubtaskId,
    /// Its attempt.
    pub attempt: Attempt,
    /// Cells done; the kernel's own count.
    pub cells: u64,
    /// Step of the newest checkpoint it wrote in this attempt; 0 while [`Progress::checkpoints`] is 0.
    pub step: Step,
    /// How many checkpoints it wrote in this attempt.
    pub checkpoints: u64,
}

/// All slots of a job's lanes.
#[derive(Debug)]
pub struct Slots {
    file: File,
    words: Words,
    ranks: u32,
}

impl Slots {
    /// A new memory file with a slot for each of `ranks` lanes. Its descriptor is close-on-exec; its size is sealed.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(ranks: u32) -> io::Result<Self> {
        let fd = memfd_create("dc-progress", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let file = File::from(fd);
        file.set_len(u64::from(ranks.max(1)) * SLOT_BYTES as u64)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Self::over(file, ranks)
    }

    /// The file that [`Slots::create`] made, inherited by another process.
    ///
    /// # Errors
    /// When it is not such a file, or has fewer slots.
    pub fn from_fd(fd: OwnedFd, ranks: u32) -> io::Result<Self> {
        Self::over(File::from(fd), ranks)
    }

    fn over(file: File, ranks: u32) -> io::Result<Self> {
        let words = Words::map(&file, ranks.max(1) as usize * SLOT_WORDS)?;
        Ok(Self { file, words, ranks })
    }

    fn slot(&self, rank: Rank) -> Option<&[AtomicU64]> {
        if rank.0 >= self.ranks {
            return None;
        }
        self.words.words().chunks_exact(SLOT_WORDS).nth(rank.0 as usize)
    }

    /// What the lane's rank says, if one has taken its slot and is not being replaced by another just now.
    /// The numbers are of one attempt, but not of one instant.
    #[must_use]
    pub fn read(&self, rank: Rank) -> Option<Progress> {
        let slot = self.slot(rank)?;
        let before = slot[TAG].load(Ordering::Acquire);
        let [cells, step, checkpoints] = [CELLS, STEP, CHECKPOINTS].map(|i| slot[i].load(Ordering::Acquire));
        let after = slot[TAG].load(Ordering::Acquire);
        let (subtask, attempt) = (SubtaskId(before as u32), Attempt((before >> 32) as u32));
        (before == after && attempt != Attempt(0)).then_some(Progress {
            subtask,
            attempt,
            cells,
            step,
            checkpoints,
        })
    }

    /// Asks the attempt in this lane for a checkpoint now: its next "is one due" is yes. Another attempt that takes
    /// the lane over is not asked.
    pub fn want_checkpoint(&self, rank: Rank, subtask: SubtaskId, attempt: Attempt) {
        if let Some(slot) = self.slot(rank) {
            slot[WANTED].store(tag(subtask, attempt), Ordering::Release);
        }
    }

    /// How many lanes it has.
    #[must_use]
    pub fn ranks(&self) -> u32 {
        self.ranks
    }
}

impl AsFd for Slots {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
