//! Writes one segment. Records count when [`Writer::sync`] has returned and not before; after an error nothing more is
//! taken, because nobody knows what is on the disk.

use super::JournalError;
use super::frame::{self, Shared};
use super::segment::{self, Before, SEGMENT_BYTES_MAX};
use crate::files::{Dir, FileError, Op};
use crate::layout;
use dc_model::{JobUuid, Record};
use nix::errno::Errno;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// Space reserved when a segment is made: small, because every job pays for it at its start.
pub const FIRST_CHUNK_BYTES: u64 = 64 << 10;

/// Space kept ahead of what is written. When the disk is full, this much can still be said: the ends of what runs.
pub const RESERVE_BYTES: u64 = 16 << 10;

/// The most that is reserved at once; chunks double up to it.
const CHUNK_BYTES_MAX: u64 = 1 << 20;

/// Writes the records of one epoch.
#[derive(Debug)]
pub struct Writer {
    dir: Dir,
    file: File,
    path: PathBuf,
    shared: Shared,
    /// Records, and first the header, that are not written yet.
    buffer: Vec<u8>,
    /// Where the buffer goes; all before it is durable.
    durable_bytes: u64,
    allocated_bytes: u64,
    /// The newest record that was appended.
    last_seq: u64,
    last_crc: u32,
    durable_seq: u64,
    failed: Option<JournalError>,
    full: Option<FileError>,
}

impl Writer {
    /// Makes the segment of `epoch` in the job's directory. Its name is durable only after [`Dir::sync`], which is the
    /// caller's to call before the first record is acknowledged; its header goes with the first [`Writer::sync`].
    ///
    /// # Errors
    /// When the file is there already, or the disk says no.
    pub fn create(dir: &Dir, job: JobUuid, epoch: u32, before: Before) -> Result<Self, JournalError> {
        let name = layout::journal(epoch);
        let file = dir.create_file(&name, layout::FILE_MODE)?;
        let header = segment::encode(job, epoch, before);
        let mut writer = Self {
            path: dir.path_of(&name),
            dir: dir.clone(),
            file,
            shared: Shared { seed: segment::seed(&header), epoch },
            buffer: header,
            durable_bytes: 0,
            allocated_bytes: 0,
            last_seq: before.seq,
            last_crc: before.crc,
            durable_seq: before.seq,
            failed: None,
            full: None,
        };
        writer.reserve(FIRST_CHUNK_BYTES)?;
        Ok(writer)
    }

    /// The number that the next record must have.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.last_seq + 1
    }

    /// The newest record that is durable.
    #[must_use]
    pub fn durable_seq(&self) -> u64 {
        self.durable_seq
    }

    /// Set once no more space could be reserved: what is reserved still takes the ends of what runs
    /// ([`RESERVE_BYTES`]), and nothing new should be begun.
    #[must_use]
    pub fn full(&self) -> Option<&FileError> {
        self.full.as_ref()
    }

    /// Takes records, in order; they are in memory only until [`Writer::sync`].
    ///
    /// # Errors
    /// The first error of this writer, once there was one; [`JournalError::Full`] beyond [`SEGMENT_BYTES_MAX`].
    ///
    /// # Panics
    /// When a number is not the one after the last: a decision was lost on its way here.
    pub fn append(&mut self, records: &[(u64, Record)]) -> Result<(), JournalError> {
        self.check()?;
        for (seq, record) in records {
            assert_eq!(*seq, self.last_seq + 1, "records reach the journal in order");
            let crc =
                frame::encode(&mut self.buffer, self.shared, *seq, self.durable_bytes, self.last_crc, record);
            self.last_seq = *seq;
            self.last_crc = crc;
        }
        if self.durable_bytes + self.buffer.len() as u64 > SEGMENT_BYTES_MAX {
            let full = JournalError::Full { segment: self.shared.epoch, bytes_max: SEGMENT_BYTES_MAX };
            return Err(self.fail(full));
        }
        Ok(())
    }

    /// Makes all that was appended durable, by one write and one fdatasync; gives back the newest durable number.
    ///
    /// # Errors
    /// Any; from then on every call gives the same error. A failed sync is never tried again: the kernel may have
    /// dropped what it could not write and report success the second time.
    pub fn sync(&mut self) -> Result<u64, JournalError> {
        self.check()?;
        if !self.buffer.is_empty() {
            self.try_sync().map_err(|error| self.fail(error.into()))?;
        }
        Ok(self.durable_seq)
    }

    fn try_sync(&mut self) -> Result<(), FileError> {
        let end = self.durable_bytes + self.buffer.len() as u64;
        if end + RESERVE_BYTES > self.allocated_bytes && self.full.is_none() {
            let wanted = self.allocated_bytes.clamp(FIRST_CHUNK_BYTES, CHUNK_BYTES_MAX);
            let needed = (end + RESERVE_BYTES - self.allocated_bytes).next_multiple_of(FIRST_CHUNK_BYTES);
            match self.reserve(wanted.max(needed)) {
                // What was reserved before takes this batch: the caller hears of it from `full`, in time.
                Err(error) if out_of_space(&error) && end <= self.allocated_bytes => self.full = Some(error),
                other => other?,
            }
        }
        let mut written = 0;
        while let Some(rest) = self.buffer.get(written..).filter(|rest| !rest.is_empty()) {
            let offset = self.durable_bytes + written as u64;
            match self.dir.disk().write(self.file.as_fd(), rest, offset) {
                Ok(0) => return Err(FileError::os(Op::Write, &self.path, Errno::EIO)),
                Ok(n) => written += n,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(FileError::os(Op::Write, &self.path, errno)),
            }
        }
        let synced = self.dir.disk().sync_data(self.file.as_fd());
        synced.map_err(|errno| FileError::os(Op::SyncData, &self.path, errno))?;
        self.durable_bytes = end;
        self.durable_seq = self.last_seq;
        self.buffer.clear();
        Ok(())
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), FileError> {
        let reserved = self.dir.disk().allocate(self.file.as_fd(), self.allocated_bytes, bytes);
        reserved.map_err(|errno| FileError::os(Op::Allocate, &self.path, errno))?;
        self.allocated_bytes += bytes;
        Ok(())
    }

    fn check(&self) -> Result<(), JournalError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn fail(&mut self, error: JournalError) -> JournalError {
        self.failed = Some(error.clone());
        error
    }
}

fn out_of_space(error: &FileError) -> bool {
    error.is_full() || error.errno() == Some(Errno::EFBIG)
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
