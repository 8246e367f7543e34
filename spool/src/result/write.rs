//! Writing a result: from memory or piece by piece. It is not there before it is whole and on disk.

use super::{Dtype, Head, Layout, ResultError, Results};
use crate::files::{FileError, NewFile, Op};
use crate::header::{FileKind, Header};
use crate::layout::{self, FILE_MODE};
use crate::record_file::PIECE_BYTES;
use dc_model::{Attempt, ResultMeta, SubtaskId};
use std::io::Read;

/// A result being written; dropped before [`Writer::finish`] it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    file: NewFile,
    header: Header,
    dtype: Dtype,
    layout: Layout,
    values_per_cell: u32,
}

impl Results {
    /// Begins an attempt's result.
    ///
    /// # Errors
    /// When type, layout and values a cell do not go together, or the file cannot be made.
    pub fn writer(
        &self,
        subtask: SubtaskId,
        attempt: Attempt,
        dtype: Dtype,
        layout: Layout,
        values_per_cell: u32,
    ) -> Result<Writer, ResultError> {
        let head = Head::new(dtype, layout, values_per_cell, 0)?;
        let header = Header { job: self.job, subtask, attempt, step: 0, payload_bytes: 0, payload_crc: 0 };
        let mut file = self.dir.new_file(FILE_MODE)?;
        // The header comes last; till then nothing reads as a result.
        file.append(&vec![0; header.encode(FileKind::Result, &head.encode()).len()])?;
        Ok(Writer { file, header, dtype, layout, values_per_cell })
    }
}

impl Writer {
    /// Adds bytes: values in the order of the layout, little-endian. They may be cut anywhere.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), ResultError> {
        for piece in bytes.chunks(PIECE_BYTES) {
            self.header.payload_crc = crc32c::crc32c_append(self.header.payload_crc, piece);
            self.file.append(piece)?;
            self.header.payload_bytes += piece.len() as u64;
        }
        Ok(())
    }

    /// Adds all that `input` gives until its end; `named` tells the user what it is.
    ///
    /// # Errors
    /// When `input` fails, or a write.
    pub fn append_all(&mut self, input: &mut dyn Read, named: &str) -> Result<(), ResultError> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match input.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(n) => self.append(&piece[..n])?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(FileError::io(Op::Read, named.as_ref(), error).into()),
            }
        }
    }

    /// What was written so far, as a head; also whether it may be finished.
    ///
    /// # Errors
    /// When it is not a whole number of values and cells.
    pub fn head(&self) -> Result<Head, ResultError> {
        Ok(Head::new(self.dtype, self.layout, self.values_per_cell, self.header.payload_bytes)?)
    }

    /// Length and CRC of what was written so far.
    #[must_use]
    pub fn meta(&self) -> ResultMeta {
        ResultMeta { len: self.header.payload_bytes, crc: self.header.payload_crc }
    }

    /// As [`Writer::finish`], and syncs nothing: for a copy of a result that another has on disk, and whose reader holds
    /// it against length and checksum. A crash of the machine may leave it torn.
    ///
    /// # Errors
    /// As [`Writer::finish`].
    pub fn finish_hint(mut self) -> Result<Head, ResultError> {
        let head = self.head()?;
        self.file.put(&self.header.encode(FileKind::Result, &head.encode()), 0)?;
        self.file.commit_hint(layout::result(self.header.subtask, self.header.attempt))?;
        Ok(head)
    }

    /// Puts it into place, durably, where it replaces an earlier one of the same attempt.
    ///
    /// # Errors
    /// When it is not a whole number of values and cells, or a step fails.
    pub fn finish(mut self) -> Result<Head, ResultError> {
        let head = self.head()?;
        self.file.put(&self.header.encode(FileKind::Result, &head.encode()), 0)?;
        self.file.commit(layout::result(self.header.subtask, self.header.attempt))?;
        Ok(head)
    }
}
