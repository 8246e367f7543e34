//! Checkpoints: a kernel's memory at a step, one file an attempt and step, in `ckpt/`. Drawn byte by byte in
//! docs/spool-format.md. Nothing here removes one but [`Checkpoints::prune`], which the starter alone calls.

mod choose;
mod copy;
mod prune;
mod read;
mod regions;
mod set;
mod write;

pub use choose::{Choice, Found};
pub use copy::Incoming;
pub use prune::Pruned;
pub use read::Checkpoint;
pub use regions::{Entry, REGIONS_MAX, Region, RegionMut};
pub use set::SetChoice;

use crate::files::{Dir, FileError, Op};
use crate::layout;
use crate::record_file::RecordError;
use dc_model::{JobUuid, Restart, SubtaskId};
use std::collections::BTreeSet;
use std::sync::Mutex;
use thiserror::Error;

/// Why a checkpoint was not written or not restored.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CheckpointError {
    /// A step of writing failed; nothing of it is left.
    #[error("{0}")]
    File(#[from] FileError),
    /// A file that cannot be used.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// The caller's regions and the checkpoint's differ.
    #[error(
        "the checkpoint {path} {why}: it was written by another version of this kernel, or with other arguments"
    )]
    Regions {
        /// Which file, fit to be shown.
        path: String,
        /// What differs.
        why: String,
    },
    /// The caller gave an id twice.
    #[error("region {0} is given twice: each needs an id of its own")]
    RepeatedRegion(u32),
    /// The caller gave too many.
    #[error("{0} regions are more than a checkpoint holds ({REGIONS_MAX})")]
    TooManyRegions(usize),
}

impl CheckpointError {
    /// Writing to what `named` names failed.
    #[must_use]
    pub fn output(error: std::io::Error, named: &str) -> Self {
        Self::File(FileError::io(Op::Write, named.as_ref(), error))
    }
}

/// The checkpoints of one job.
#[derive(Debug)]
pub struct Checkpoints {
    dir: Dir,
    job: JobUuid,
    /// Subtasks whose directory is known to be durable.
    synced: Mutex<BTreeSet<SubtaskId>>,
}

impl Checkpoints {
    /// Opens those of the job in its spool directory.
    ///
    /// # Errors
    /// When the directory is missing or may not be read.
    pub fn open(spool: &Dir, job: JobUuid) -> Result<Self, FileError> {
        Ok(Self { dir: spool.subdir(layout::CKPT)?, job, synced: Mutex::default() })
    }

    /// The subtask's directory; `None` where it has no checkpoint yet.
    fn subtask_dir(&self, subtask: SubtaskId) -> Result<Option<Dir>, FileError> {
        match self.dir.subdir(layout::subtask_dir(subtask)) {
            Err(error) if error.is_not_found() => Ok(None),
            other => other.map(Some),
        }
    }

    /// What checkpoints the names say there are, from the oldest to the newest. None of them is opened.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn list(&self, subtask: SubtaskId) -> Result<Vec<Restart>, FileError> {
        self.subtask_dir(subtask)?.map_or(Ok(Vec::new()), |dir| list_in(&dir))
    }
}

fn list_in(dir: &Dir) -> Result<Vec<Restart>, FileError> {
    let entries = dir.list()?;
    let mut all: Vec<Restart> =
        entries.iter().filter_map(|entry| layout::parse_checkpoint(&entry.name)).collect();
    all.sort_unstable();
    Ok(all)
}

#[cfg(test)]
#[path = "corrupt_tests.rs"]
mod corrupt_tests;
#[cfg(test)]
mod tests;
