//! Reading a result: held against its name and job; verified whole, or while it streams.

use super::{Head, Results};
use crate::files::{Dir, FileError, ReadFile};
use crate::header::{FileKind, HeaderError};
use crate::layout;
use crate::record_file::{RecordError, RecordFile};
use dc_model::{Attempt, JobUuid, ResultMeta, SubtaskId};
use std::fs::File;
use std::io;
use std::path::Path;

/// A result of which the header is good; the payload is verified by one of its methods.
#[derive(Debug)]
pub struct Reader {
    file: RecordFile,
    head: Head,
}

impl Results {
    /// Opens an attempt's result and reads its header.
    ///
    /// # Errors
    /// When there is none, its header is damaged, its length is not what that says, or it is another's.
    pub fn reader(&self, subtask: SubtaskId, attempt: Attempt) -> Result<Reader, RecordError> {
        let file = RecordFile::open(&self.dir, &layout::result(subtask, attempt), FileKind::Result)?;
        Reader::check(file, self.job, subtask, attempt)
    }

    /// Opens an attempt's result and verifies all of it.
    ///
    /// # Errors
    /// As [`Results::reader`], and when the payload is damaged.
    pub fn open_verified(&self, subtask: SubtaskId, attempt: Attempt) -> Result<Reader, RecordError> {
        let reader = self.reader(subtask, attempt)?;
        reader.verify()?;
        Ok(reader)
    }
}

impl Reader {
    /// As [`Results::reader`], of a file that another has opened; `named` says where it is.
    ///
    /// # Errors
    /// As [`Results::reader`].
    pub fn of_file(
        file: File,
        named: &Path,
        job: JobUuid,
        subtask: SubtaskId,
        attempt: Attempt,
    ) -> Result<Self, RecordError> {
        // What a file is read through, whichever directory it is in.
        let file = ReadFile::of(&Dir::open(Path::new("/"))?, file, named)?;
        let file = RecordFile::of(file, named.to_owned(), FileKind::Result)?;
        Self::check(file, job, subtask, attempt)
    }

    fn check(
        file: RecordFile,
        job: JobUuid,
        subtask: SubtaskId,
        attempt: Attempt,
    ) -> Result<Self, RecordError> {
        let header = *file.header();
        header.check_job(job).map_err(|why| file.refused(why))?;
        if (header.subtask, header.attempt, header.step) != (subtask, attempt, 0) {
            return Err(file.refused(HeaderError::Misplaced));
        }
        let head = Head::decode(file.more(), header.payload_bytes).map_err(|why| file.refused(why))?;
        Ok(Reader { file, head })
    }

    /// What it holds.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Length and CRC of its payload, as the header has them.
    #[must_use]
    pub fn meta(&self) -> ResultMeta {
        let header = self.file.header();
        ResultMeta { len: header.payload_bytes, crc: header.payload_crc }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Where in the file the payload begins.
    #[must_use]
    pub fn payload_at(&self) -> u64 {
        self.file.payload_at()
    }

    /// Reads all of the payload once and holds it against its CRC.
    ///
    /// # Errors
    /// When it differs, or cannot be read.
    pub fn verify(&self) -> Result<(), RecordError> {
        self.file.verify()
    }

    /// Fills `out` from the payload, `at` bytes into it; not verified by itself.
    ///
    /// # Errors
    /// When that reaches beyond the end, or cannot be read.
    pub fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), RecordError> {
        self.file.read(at, out)
    }

    /// The payload from its beginning, for one who reads it once: damage shows at its end as an error, before the
    /// end is told.
    #[must_use]
    pub fn payload(&self) -> Payload<'_> {
        Payload { file: &self.file, at: 0, crc: 0 }
    }
}

/// A payload as a stream; its last bytes are given out only when all of it was the right one.
#[derive(Debug)]
pub struct Payload<'a> {
    file: &'a RecordFile,
    at: u64,
    crc: u32,
}

impl io::Read for Payload<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let end = self.file.header().payload_bytes;
        let left = usize::try_from(end - self.at).unwrap_or(usize::MAX);
        let len = left.min(out.len());
        let out = &mut out[..len];
        let wrapped = |error| match error {
            RecordError::File(error) => FileError::into(error),
            refused => io::Error::new(io::ErrorKind::InvalidData, refused),
        };
        self.file.read(self.at, out).map_err(wrapped)?;
        self.crc = crc32c::crc32c_append(self.crc, out);
        self.at += len as u64;
        if self.at == end {
            self.file.check_crc(self.crc).map_err(wrapped)?;
        }
        Ok(len)
    }
}
