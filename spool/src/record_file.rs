//! A record file opened for reading, checkpoint or result: its header read and its length held against it, its
//! payload streamed against its CRC. Nothing of it is in memory but a piece at a time.

use crate::files::{Dir, FileError, Linux, ReadFile, shown};
use crate::header::{FileKind, HEADER_BYTES, Header, HeaderError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// What is read or written at once, in bytes: enough to keep a disk busy, little enough to stay in a core's cache.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// Why a record file cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RecordError {
    /// It could not be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// It is not what it should be.
    #[error("{} {} cannot be used: {why}", .kind.text(), shown(.path))]
    Refused {
        /// What it should be.
        kind: FileKind,
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: HeaderError,
    },
}

impl RecordError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::File(error) if error.is_not_found())
    }
}

/// An opened record file of which the header is good and the length is right; the payload is not verified yet.
#[derive(Debug)]
pub struct RecordFile {
    file: ReadFile,
    path: PathBuf,
    kind: FileKind,
    header: Header,
    more: Vec<u8>,
    payload_at: u64,
}

impl RecordFile {
    /// Opens a name in a directory.
    ///
    /// # Errors
    /// When it cannot be read, its header is not good, or it is longer or shorter than that says.
    pub fn open(dir: &Dir, name: &str, kind: FileKind) -> Result<Self, RecordError> {
        Self::of(dir.open_file(name)?, dir.path_of(name), kind)
    }

    /// Of a file that is opened.
    ///
    /// # Errors
    /// As [`RecordFile::open`].
    pub(crate) fn of(file: ReadFile, path: PathBuf, kind: FileKind) -> Result<Self, RecordError> {
        let refused = |why| RecordError::Refused { kind, path: path.clone(), why };
        let file_bytes = file.len_bytes();
        if file_bytes < HEADER_BYTES as u64 {
            return Err(refused(HeaderError::Short));
        }
        let mut bytes = vec![0; HEADER_BYTES];
        file.read_exact_at(&mut bytes, 0)?;
        let header_bytes = Header::len_bytes(kind, &bytes).map_err(refused)?;
        if file_bytes < header_bytes as u64 {
            return Err(refused(HeaderError::Short));
        }
        bytes.resize(header_bytes, 0);
        if let Some(more) = bytes.get_mut(HEADER_BYTES..) {
            file.read_exact_at(more, HEADER_BYTES as u64)?;
        }
        let (header, more, _) = Header::decode(kind, &bytes).map_err(refused)?;
        let (more, payload_at) = (more.to_vec(), header_bytes as u64);
        let found = file_bytes.saturating_sub(payload_at);
        if found != header.payload_bytes {
            return Err(refused(HeaderError::Length { expected: header.payload_bytes, found }));
        }
        Ok(Self { file, path, kind, header, more, payload_at })
    }

    /// Opens a path; links are followed up to its last name.
    ///
    /// # Errors
    /// As [`RecordFile::open`].
    pub fn open_path(path: &Path, kind: FileKind) -> Result<Self, RecordError> {
        let (dir, name) = Dir::parent_on(Arc::new(Linux), path)?;
        match name.to_str() {
            Some(name) => Self::open(&dir, name, kind),
            None => Err(RecordError::Refused { kind, path: path.to_owned(), why: HeaderError::Misplaced }),
        }
    }

    /// What its header says.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The header's part of the kind's own.
    #[must_use]
    pub fn more(&self) -> &[u8] {
        &self.more
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the payload begins.
    #[must_use]
    pub fn payload_at(&self) -> u64 {
        self.payload_at
    }

    /// That it is refused for this reason.
    pub(crate) fn refused(&self, why: HeaderError) -> RecordError {
        RecordError::Refused { kind: self.kind, path: self.path.clone(), why }
    }

    /// Fills `out` from the payload, `at` bytes into it.
    ///
    /// # Errors
    /// When the disk fails, or the file has become shorter.
    pub fn read(&self, at: u64, out: &mut [u8]) -> Result<(), RecordError> {
        let end = at.checked_add(out.len() as u64).filter(|end| *end <= self.header.payload_bytes);
        if end.is_none() {
            return Err(self.refused(HeaderError::Length { expected: self.header.payload_bytes, found: at }));
        }
        Ok(self.file.read_exact_at(out, self.payload_at + at)?)
    }

    /// Reads the whole payload once and holds it against its CRC.
    ///
    /// # Errors
    /// When it differs, or cannot be read.
    pub fn verify(&self) -> Result<(), RecordError> {
        let mut piece = vec![0; PIECE_BYTES];
        let (mut at, mut crc) = (0, 0);
        while at < self.header.payload_bytes {
            let left = self.header.payload_bytes - at;
            let len = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
            self.read(at, &mut piece[..len])?;
            crc = crc32c::crc32c_append(crc, &piece[..len]);
            at += len as u64;
        }
        self.check_crc(crc)
    }

    /// Holds the CRC of a payload that was read against the header's.
    ///
    /// # Errors
    /// When it differs.
    pub(crate) fn check_crc(&self, crc: u32) -> Result<(), RecordError> {
        if crc == self.header.payload_crc { Ok(()) } else { Err(self.refused(HeaderError::Payload)) }
    }
}
