//! Why a journal cannot be written or read.

use crate::files::FileError;
use crate::header::HeaderError;
use crate::layout;
use thiserror::Error;

/// Why a journal cannot be written or read. Nothing was changed on disk by reading.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum JournalError {
    /// The disk said no. After a failed write or sync, the writer takes nothing more.
    #[error(transparent)]
    File(#[from] FileError),
    /// A segment's header is not accepted.
    #[error("{}: {error}", layout::journal(*.segment))]
    Header {
        /// The segment's epoch.
        segment: u32,
        /// What is wrong with it.
        error: HeaderError,
    },
    /// A segment is not there, though a later one is.
    #[error("{} is missing: the job cannot be gone on with; restore the directory from a copy, or start anew", layout::journal(*.segment))]
    Missing {
        /// The segment's epoch.
        segment: u32,
    },
    /// Records that had been acknowledged are not there any more.
    #[error(
        "{} is damaged at byte {at}: {why}. It is left as it is; restore it from a copy, or start the job anew \
         (dcspool dump shows what can be read)", layout::journal(*.segment)
    )]
    Corrupt {
        /// The segment's epoch.
        segment: u32,
        /// Where, in bytes from its start.
        at: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// A segment would become larger than can be written.
    #[error("{} has reached {bytes_max} bytes, the most that one run may write", layout::journal(*.segment))]
    Full {
        /// The segment's epoch.
        segment: u32,
        /// The limit.
        bytes_max: u64,
    },
    /// No epoch is left.
    #[error("the job was taken up too often: there is no number for another run")]
    Epochs,
}
