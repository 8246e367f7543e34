//! The header that opens every record file: job, journal segment, checkpoint, result.
//! What stays the same in every version: magic, version, length of the header, and where its CRC is.
//!
//! ```text
//!  0  magic           8   one a kind of file
//!  8  version         u16
//! 10  header length   u16  in bytes, a multiple of 8, at least 64; the CRC is its last four bytes
//! 12  zero            u32
//! 16  job uuid        16
//! 32  subtask         u32
//! 36  attempt         u32
//! 40  step            u64  (a journal segment's epoch)
//! 48  payload length  u64  in bytes
//! 56  payload CRC     u32  CRC-32C of the payload
//! 60  more            of the kind's own, header length - 64 bytes
//!  …  header CRC      u32  CRC-32C of all of the header before it
//! ```

use dc_model::codec::{DecodeError, Reader, Writer};
use dc_model::{Attempt, JobUuid, Step, SubtaskId};
use thiserror::Error;

/// Bytes of a header that has nothing of the kind's own.
pub const HEADER_BYTES: usize = 64;

/// The longest header accepted.
pub const HEADER_BYTES_MAX: usize = 4096;

/// Where the version is.
pub const VERSION_AT: usize = 8;

/// The kinds of record files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileKind {
    /// The job record.
    Job,
    /// A segment of the journal.
    Journal,
    /// A checkpoint.
    Checkpoint,
    /// A result.
    Result,
    /// The identity of a scheduler's state directory. In these three the place of the job's uuid holds the cluster's.
    Cluster,
    /// A segment of the scheduler's journal.
    SchedulerJournal,
    /// A snapshot of the scheduler's state.
    Snapshot,
}

impl FileKind {
    /// Those of a job's directory.
    pub const ALL: [Self; 4] = [Self::Job, Self::Journal, Self::Checkpoint, Self::Result];

    /// The first eight bytes: 0x89 so that it is not text, a line feed so that a conversion of line ends shows.
    #[must_use]
    pub const fn magic(self) -> [u8; 8] {
        match self {
            Self::Job => *b"\x89dcJOB\x1a\n",
            Self::Journal => *b"\x89dcJNL\x1a\n",
            Self::Checkpoint => *b"\x89dcCKP\x1a\n",
            Self::Result => *b"\x89dcRES\x1a\n",
            Self::Cluster => *b"\x89dcCLU\x1a\n",
            Self::SchedulerJournal => *b"\x89dcSJN\x1a\n",
            Self::Snapshot => *b"\x89dcSNP\x1a\n",
        }
    }

    /// The version that is written, and the newest that is read.
    #[must_use]
    pub const fn version(self) -> u16 {
        match self {
            Self::Job | Self::Journal | Self::Checkpoint | Self::Result => 1,
            Self::Cluster | Self::SchedulerJournal | Self::Snapshot => 1,
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Job => "job record",
            Self::Journal => "journal segment",
            Self::Checkpoint => "checkpoint",
            Self::Result => "result",
            Self::Cluster => "cluster record",
            Self::SchedulerJournal => "segment of a scheduler's journal",
            Self::Snapshot => "snapshot of a scheduler",
        }
    }
}

/// Why a header is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum HeaderError {
    /// Shorter than its header.
    #[error("it ends within its header")]
    Short,
    /// Another magic.
    #[error("it is not a {} of dc", .0.text())]
    Magic(FileKind),
    /// Of a version that this dc does not know.
    #[error(
        "it says that a newer dc wrote it (format {found}; this dc reads up to {known}): use that dc, or a newer one"
    )]
    Newer {
        /// The version in the file.
        found: u16,
        /// The newest that is read here.
        known: u16,
    },
    /// The header's own CRC, or a field that can never be so.
    #[error("its header is damaged")]
    Damaged,
    /// The payload has another length than the header says.
    #[error("it has {found} bytes of payload instead of {expected}")]
    Length {
        /// What the header says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The payload's CRC differs.
    #[error("its content is damaged")]
    Payload,
    /// The payload's CRC agrees, but what it says cannot be.
    #[error("its content {0}")]
    Content(DecodeError),
    /// Of another job.
    #[error("it belongs to job {found}, not to {expected}")]
    Foreign {
        /// The job whose file was looked for.
        expected: JobUuid,
        /// The job that the file names.
        found: JobUuid,
    },
    /// Its name says something else than its header.
    #[error("its name and its header disagree")]
    Misplaced,
}

/// What every header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The job it belongs to.
    pub job: JobUuid,
    /// The subtask; 0 where that makes no sense.
    pub subtask: SubtaskId,
    /// The attempt that wrote it; 0 where that makes no sense.
    pub attempt: Attempt,
    /// The kernel's step; the epoch of a journal segment; else 0.
    pub step: Step,
    /// Length of what follows the header, in bytes.
    pub payload_bytes: u64,
    /// CRC-32C of that.
    pub payload_crc: u32,
}

impl Header {
    /// Its bytes, with `more` of the kind's own.
    ///
    /// # Panics
    /// When `more` is not a multiple of 8 bytes, or makes the header longer than [`HEADER_BYTES_MAX`].
    #[must_use]
    pub fn encode(&self, kind: FileKind, more: &[u8]) -> Vec<u8> {
        let len = HEADER_BYTES + more.len();
        assert!(len.is_multiple_of(8) && len <= HEADER_BYTES_MAX, "a header of {len} bytes");
        let mut w = Writer { bytes: Vec::with_capacity(len) };
        w.raw(&kind.magic());
        w.u16(kind.version());
        w.u16(len as u16);
        w.u32(0);
        w.raw(&self.job.0);
        w.u32(self.subtask.0);
        w.u32(self.attempt.0);
        w.u64(self.step);
        w.u64(self.payload_bytes);
        w.u32(self.payload_crc);
        w.raw(more);
        w.u32(crc32c::crc32c(&w.bytes));
        w.bytes
    }

    /// How long the header of this file is, by its first [`HEADER_BYTES`] bytes: so many bytes to read for
    /// [`Header::decode`].
    ///
    /// # Errors
    /// As [`Header::decode`], as far as these bytes tell.
    pub fn len_bytes(kind: FileKind, start: &[u8]) -> Result<usize, HeaderError> {
        let r = &mut Reader::new(start);
        let short = |_| HeaderError::Short;
        if r.array::<8>().map_err(short)? != kind.magic() {
            return Err(HeaderError::Magic(kind));
        }
        let found = r.u16().map_err(short)?;
        let known = kind.version();
        if found > known {
            // Before the CRC: a newer dc may check its header in another way.
            return Err(HeaderError::Newer { found, known });
        }
        let len = usize::from(r.u16().map_err(short)?);
        if found == 0 || !len.is_multiple_of(8) || !(HEADER_BYTES..=HEADER_BYTES_MAX).contains(&len) {
            return Err(HeaderError::Damaged);
        }
        Ok(len)
    }

    /// Reads a header from the start of `file`; gives back what it says, the part of the kind's own, and what follows.
    ///
    /// # Errors
    /// When it is of another kind, of a newer version, or damaged.
    pub fn decode(kind: FileKind, file: &[u8]) -> Result<(Self, &[u8], &[u8]), HeaderError> {
        let len = Self::len_bytes(kind, file)?;
        let (header, rest) = file.split_at_checked(len).ok_or(HeaderError::Short)?;
        let (checked, crc) = header.split_at_checked(len - 4).ok_or(HeaderError::Short)?;
        if crc != crc32c::crc32c(checked).to_le_bytes() {
            return Err(HeaderError::Damaged);
        }
        let (header, more) = Self::fields(checked).map_err(|_| HeaderError::Damaged)?;
        Ok((header, more, rest))
    }

    fn fields(checked: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let r = &mut Reader::new(checked);
        r.raw(12)?;
        if r.u32()? != 0 {
            return Err(DecodeError::Impossible("reserved field"));
        }
        let header = Self {
            job: JobUuid(r.array()?),
            subtask: SubtaskId(r.u32()?),
            attempt: Attempt(r.u32()?),
            step: r.u64()?,
            payload_bytes: r.u64()?,
            payload_crc: r.u32()?,
        };
        Ok((header, r.rest()))
    }

    /// Holds a payload against what the header says of it.
    ///
    /// # Errors
    /// [`HeaderError::Length`] or [`HeaderError::Payload`].
    pub fn check(&self, payload: &[u8]) -> Result<(), HeaderError> {
        let found = payload.len() as u64;
        if found != self.payload_bytes {
            return Err(HeaderError::Length { expected: self.payload_bytes, found });
        }
        if crc32c::crc32c(payload) != self.payload_crc {
            return Err(HeaderError::Payload);
        }
        Ok(())
    }

    /// Holds the job against the one whose file was looked for.
    ///
    /// # Errors
    /// [`HeaderError::Foreign`].
    pub fn check_job(&self, expected: JobUuid) -> Result<(), HeaderError> {
        if self.job == expected { Ok(()) } else { Err(HeaderError::Foreign { expected, found: self.job }) }
    }
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
