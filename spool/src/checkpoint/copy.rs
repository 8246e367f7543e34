//! Copies of checkpoints between directories of the same layout: a file's bytes are taken as they come, held against header,
//! name, job, length and CRC, and put in place only when all of it is right.

use super::{Checkpoints, list_in};
use crate::files::{FileError, NewFile, ReadFile};
use crate::header::{FileKind, HEADER_BYTES, Header, HeaderError};
use crate::layout::{self, FILE_MODE};
use crate::record_file::RecordError;
use dc_model::{Attempt, JobUuid, Restart, SubtaskId};

/// A checkpoint that is being taken; dropped before [`Incoming::finish`] it leaves nothing.
#[derive(Debug)]
pub struct Incoming {
    file: NewFile,
    job: JobUuid,
    subtask: SubtaskId,
    restart: Restart,
    bytes: u64,
    /// The header, as far as it has come.
    front: Vec<u8>,
    header: Option<Header>,
    crc: u32,
    payload_bytes: u64,
}

impl Checkpoints {
    /// A checkpoint's file as it is, for one who takes it with [`Checkpoints::take`].
    ///
    /// # Errors
    /// When it is not there, or may not be read.
    pub fn raw(&self, subtask: SubtaskId, restart: Restart) -> Result<ReadFile, FileError> {
        self.dir.subdir(layout::subtask_dir(subtask))?.open_file(layout::checkpoint(restart))
    }

    /// Begins to take a checkpoint's file of so many bytes.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn take(&self, subtask: SubtaskId, restart: Restart, bytes: u64) -> Result<Incoming, FileError> {
        let mut file = self.subtask_dir_to_write(subtask)?.new_file(FILE_MODE)?;
        file.allocate(bytes)?;
        let front = Vec::with_capacity(HEADER_BYTES);
        let (header, crc, payload_bytes) = (None, 0, 0);
        Ok(Incoming { file, job: self.job, subtask, restart, bytes, front, header, crc, payload_bytes })
    }

    /// The newest valid ones of attempts before `below`, at most `count`, from the newest on. Each is read whole.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn newest(
        &self,
        subtask: SubtaskId,
        below: Attempt,
        count: usize,
    ) -> Result<Vec<Restart>, FileError> {
        let Some(dir) = self.subtask_dir(subtask)? else { return Ok(Vec::new()) };
        let all = list_in(&dir)?.into_iter().rev().filter(|restart| restart.attempt < below);
        Ok(all.filter(|restart| self.verify_trying(&dir, subtask, *restart).is_ok()).take(count).collect())
    }
}

impl Incoming {
    /// Adds the next bytes of the file.
    ///
    /// # Errors
    /// When they are not this checkpoint's, are too many, or cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        if self.file.len_bytes().saturating_add(bytes.len() as u64) > self.bytes {
            return Err(self.refused(HeaderError::Length {
                expected: self.bytes,
                found: self.file.len_bytes().saturating_add(bytes.len() as u64),
            }));
        }
        let mut rest = bytes;
        while self.header.is_none() && !rest.is_empty() {
            let wanted = match self.front.len() {
                have if have < HEADER_BYTES => HEADER_BYTES,
                _ => Header::len_bytes(FileKind::Checkpoint, &self.front).map_err(|why| self.refused(why))?,
            };
            let (now, later) = rest.split_at(rest.len().min(wanted - self.front.len()));
            self.front.extend_from_slice(now);
            rest = later;
            self.maybe_read_header()?;
        }
        self.crc = crc32c::crc32c_append(self.crc, rest);
        self.payload_bytes += rest.len() as u64;
        Ok(self.file.append(bytes)?)
    }

    fn maybe_read_header(&mut self) -> Result<(), RecordError> {
        if self.front.len() < HEADER_BYTES {
            return Ok(());
        }
        let refused = |why| self.refused(why);
        let bytes = Header::len_bytes(FileKind::Checkpoint, &self.front).map_err(refused)?;
        if self.front.len() < bytes {
            return Ok(());
        }
        let (header, _, _) = Header::decode(FileKind::Checkpoint, &self.front).map_err(refused)?;
        header.check_job(self.job).map_err(refused)?;
        if (header.subtask, header.attempt, header.step)
            != (self.subtask, self.restart.attempt, self.restart.step)
        {
            return Err(refused(HeaderError::Misplaced));
        }
        let expected = self.bytes.saturating_sub(bytes as u64);
        if header.payload_bytes != expected {
            return Err(refused(HeaderError::Length { expected, found: header.payload_bytes }));
        }
        self.header = Some(header);
        Ok(())
    }

    fn refused(&self, why: HeaderError) -> RecordError {
        let path = layout::checkpoint(self.restart).into();
        RecordError::Refused { kind: FileKind::Checkpoint, path, why }
    }

    /// Puts it into place, durably, when all of it has come and is right.
    ///
    /// # Errors
    /// When it is not, or a step fails; then nothing of it is left.
    pub fn finish(self) -> Result<(), RecordError> {
        match self.header {
            Some(header) if header.payload_bytes != self.payload_bytes => {
                let (expected, found) = (header.payload_bytes, self.payload_bytes);
                Err(self.refused(HeaderError::Length { expected, found }))
            }
            Some(header) if header.payload_crc != self.crc => Err(self.refused(HeaderError::Payload)),
            Some(_) => Ok(self.file.commit(layout::checkpoint(self.restart))?),
            None => Err(self.refused(HeaderError::Short)),
        }
    }
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
