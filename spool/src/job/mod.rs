//! The job record: all that is needed to go on with a job, written once when it begins and never changed.

mod binding;
mod codec;
mod failure;
mod memory;
mod options;
mod record;
mod section;
mod streams;
mod subtasks;

pub use codec::SECTIONS;
pub use dc_model::Bind;
pub use options::{FailurePolicy, JobOptions, MergeKind, MergeTarget, Warning};
pub use record::{DomainIdentity, DomainKind, JobRecord};
pub use streams::{Found, InputFrom, OutputTo, StreamOptions};
pub use subtasks::{SUBTASKS_MAX, Subtasks};

use crate::files::{Dir, FileError, shown};
use crate::header::{FileKind, Header, HeaderError};
use crate::layout;
use dc_model::{Attempt, SubtaskId};
use std::path::PathBuf;
use thiserror::Error;

/// The longest job record that is written or read.
pub const JOB_BYTES_MAX: u64 = 1 << 30;

/// Why there is no job to be had.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum JobError {
    /// There is no job record.
    #[error("{} holds no job: it has no file `{}`", shown(.dir), layout::JOB)]
    NoJob {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not accepted.
    #[error("the job record {} cannot be used: {error}", shown(.path))]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: HeaderError,
    },
    /// It would be too long to be read back.
    #[error(
        "the job's arguments, environment and subtasks take {bytes} bytes; a job record may have {JOB_BYTES_MAX}"
    )]
    TooLong {
        /// Its length.
        bytes: u64,
    },
}

/// Writes the job record: its rename is the instant the job exists. That instant is durable only after [`Dir::sync`],
/// which is the caller's to call, as it covers the directory's other entries too.
///
/// # Errors
/// When there is a job already, the record is too long, or the disk says no.
pub fn create_unsynced(dir: &Dir, job: &JobRecord) -> Result<(), JobError> {
    let bytes = encode(job);
    let len = bytes.len() as u64;
    if len > JOB_BYTES_MAX {
        return Err(JobError::TooLong { bytes: len });
    }
    let mut file = dir.new_file(layout::FILE_MODE)?;
    file.append(&bytes)?;
    file.commit_noreplace_unsynced(layout::JOB)?;
    Ok(())
}

/// Reads the job record.
///
/// # Errors
/// When there is none, or it is damaged or of a newer version.
pub fn load(dir: &Dir) -> Result<JobRecord, JobError> {
    let bytes = match dir.read(layout::JOB, JOB_BYTES_MAX) {
        Err(error) if error.is_not_found() => return Err(JobError::NoJob { dir: dir.path().to_owned() }),
        other => other?,
    };
    decode(&bytes).map_err(|error| JobError::Refused { path: dir.path_of(layout::JOB), error })
}

/// The whole file of a job record.
#[must_use]
pub fn encode(job: &JobRecord) -> Vec<u8> {
    let payload = codec::encode(job);
    let header = Header {
        job: job.uuid,
        subtask: SubtaskId(0),
        attempt: Attempt(0),
        step: 0,
        payload_bytes: payload.len() as u64,
        payload_crc: crc32c::crc32c(&payload),
    };
    let mut bytes = header.encode(FileKind::Job, &[]);
    bytes.extend_from_slice(&payload);
    bytes
}

/// Reads the whole file of a job record.
///
/// # Errors
/// When it is damaged, of another kind, or of a newer version.
pub fn decode(bytes: &[u8]) -> Result<JobRecord, HeaderError> {
    let (header, _, payload) = Header::decode(FileKind::Job, bytes)?;
    header.check(payload)?;
    codec::decode(header.job, payload).map_err(HeaderError::Content)
}

#[cfg(test)]
pub(crate) mod tests;
