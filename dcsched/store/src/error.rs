//! Why the store cannot be opened, written or read: one line each, what, where, and what to do.

use crate::ClusterUuid;
use dc_spool::files::{FileError, shown};
use dc_spool::header::HeaderError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a state directory cannot be opened, or the journal has stopped. Reading changes nothing on disk.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StoreError {
    /// The disk said no. After a failed write or sync of the journal nothing more is taken, and nothing tried again.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no identity in the directory.
    #[error("{} is not a state directory of dcsched: dcsched init makes one", shown(.dir))]
    NotMade {
        /// The directory.
        dir: PathBuf,
    },
    /// There is one already.
    #[error("{} is a state directory already; it is left as it is", shown(.dir))]
    Made {
        /// The directory.
        dir: PathBuf,
    },
    /// Something else is there.
    #[error("{} is not empty and not a state directory: name one that is new or empty", shown(.dir))]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// Others may read or write it.
    #[error("{} may be entered by others (mode {mode:03o}): chmod 700 it", shown(.dir))]
    Mode {
        /// The directory.
        dir: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process has it.
    #[error("{} is in use by {owner}: one dcsched at a time", shown(.dir))]
    Held {
        /// The directory.
        dir: PathBuf,
        /// Who, as the lock's file says.
        owner: String,
    },
    /// A file's header is not accepted.
    #[error("{}: {error}", shown(.path))]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: HeaderError,
    },
    /// A file of another cluster.
    #[error("{} belongs to cluster {found}, not to {expected}: it was put there from elsewhere", shown(.path))]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The directory's cluster.
        expected: ClusterUuid,
        /// The one that the file names.
        found: ClusterUuid,
    },
    /// A segment that is needed is not there.
    #[error("{} is missing: acknowledged records were in it; restore it from a copy (dcsched fsck tells more)", shown(.path))]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// No snapshot can be read, so there is nothing to start from.
    #[error("{} has no snapshot that can be read ({why}); restore one from a copy (dcsched fsck tells more)", shown(.dir))]
    NoSnapshot {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with the newest.
        why: String,
    },
    /// Records that had been acknowledged are not there any more.
    #[error(
        "{} is damaged at byte {at}: {why}. It is left as it is; restore it from a copy (dcsched fsck tells more)",
        shown(.path)
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where, in bytes from its start.
        at: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// A count ran out.
    #[error("{} has no number left for another {what}", shown(.dir))]
    Numbers {
        /// The directory.
        dir: PathBuf,
        /// Of what.
        what: &'static str,
    },
}

impl StoreError {
    /// From the header of the file at `path`.
    pub(crate) fn header(path: PathBuf, error: HeaderError) -> Self {
        match error {
            HeaderError::Foreign { expected, found } => {
                Self::Foreign { path, expected: ClusterUuid(expected.0), found: ClusterUuid(found.0) }
            }
            error => Self::Header { path, error },
        }
    }
}

/// Why a record was not taken. It has no number then, and no trace.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum AppendError {
    /// The disk is full: only records marked as reserved are taken until there is space again.
    #[error("nothing new can be taken, the journal's disk is full: {0}")]
    Full(FileError),
    /// Too much waits for the disk: try again when more is durable.
    #[error("{pending_bytes} bytes of records wait for the disk already: try again in a moment")]
    Busy {
        /// What waits, in bytes.
        pending_bytes: u64,
    },
    /// Even the reserved space is used up, or too much waits for the disk.
    #[error(
        "the reserved space of the journal is used up ({room_bytes} bytes are left): free space on its disk"
    )]
    Exhausted {
        /// What is left, in bytes.
        room_bytes: u64,
    },
    /// It is longer than is ever read back.
    #[error("a record of {bytes} bytes is longer than {} bytes", crate::PAYLOAD_BYTES_MAX)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The journal has stopped.
    #[error(transparent)]
    Stopped(StoreError),
}

/// Why a snapshot was not begun.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SnapshotError {
    /// The one before is not done yet.
    #[error("a snapshot is being written already")]
    Busy,
    /// The state is larger than is ever read back.
    #[error("a state of {bytes} bytes is larger than {} bytes", crate::STATE_BYTES_MAX)]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// It is said to stand for records that were never appended.
    #[error("there is no record {at_seq} yet")]
    Ahead {
        /// The number.
        at_seq: u64,
    },
    /// The journal has stopped.
    #[error(transparent)]
    Stopped(StoreError),
    /// No thread could be started for it.
    #[error("cannot start a thread: {0}")]
    Thread(String),
}
