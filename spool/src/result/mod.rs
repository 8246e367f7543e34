//! Results: what an attempt hands over, one file an attempt, in `result/`. Drawn byte by byte in
//! docs/spool-format.md. Which of them counts is the journal's to say, not theirs.

mod dtype;
mod head;
mod read;
mod write;

pub use dtype::{Dtype, Layout};
pub use head::{Head, HeadError};
pub use read::{Payload, Reader};
pub use write::Writer;

use crate::files::{Dir, FileError};
use crate::layout;
use crate::record_file::RecordError;
use dc_model::{Attempt, JobUuid, ResultMeta, SubtaskId};
use thiserror::Error;

/// Why a result was not written.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ResultError {
    /// A step of writing failed; nothing of it is left, and an earlier one of the attempt is untouched until the rename.
    #[error("{0}")]
    File(#[from] FileError),
    /// The data do not fit the type, layout or values a cell.
    #[error("{0}")]
    Head(#[from] HeadError),
}

/// The results of one job.
#[derive(Clone, Debug)]
pub struct Results {
    dir: Dir,
    job: JobUuid,
}

impl Results {
    /// Opens those of the job in its spool directory.
    ///
    /// # Errors
    /// When the directory is missing or may not be read.
    pub fn open(spool: &Dir, job: JobUuid) -> Result<Self, FileError> {
        Ok(Self { dir: spool.subdir(layout::RESULT)?, job })
    }

    /// What the header of an attempt's result says; `None` where the attempt left none, at the cost of one call. The
    /// payload is not read.
    ///
    /// # Errors
    /// When there is a file that is not this attempt's result: torn, damaged in its header, or of another job.
    pub fn meta(&self, subtask: SubtaskId, attempt: Attempt) -> Result<Option<ResultMeta>, RecordError> {
        match self.reader(subtask, attempt) {
            Ok(reader) => Ok(Some(reader.meta())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Which results there are, by their names, in rising order. None of them is opened.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn list(&self) -> Result<Vec<(SubtaskId, Attempt)>, FileError> {
        let entries = self.dir.list()?;
        let mut all: Vec<_> = entries.iter().filter_map(|entry| layout::parse_result(&entry.name)).collect();
        all.sort_unstable();
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
