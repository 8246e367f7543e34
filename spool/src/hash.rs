//! What a file holds, by length and XXH3-128: enough to see that a kernel or a domain is not the one the job began
//! with. It guards against mistakes, not against somebody who makes collisions on purpose.

use crate::files::{FileError, Op, Reason};
use nix::fcntl::OFlag;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

/// Read at once, in bytes. Small enough to come from the heap: memory mapped anew makes each first touch of a page wait
/// for other threads that map some.
const PIECE_BYTES: usize = 64 << 10;

/// XXH3-128 of a content, seed 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub u128);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// XXH3-64 of some bytes, seed 0: for keys of what is only a hint.
#[must_use]
pub fn short(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// A file as it was when it was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileIdentity {
    /// Where it was.
    pub path: PathBuf,
    /// Its length, in bytes.
    pub len_bytes: u64,
    /// Its content.
    pub hash: ContentHash,
}

impl FileIdentity {
    /// Reads a regular file once, a piece at a time.
    ///
    /// # Errors
    /// When it cannot be read, or is not a regular file.
    pub fn of(path: &Path) -> Result<Self, FileError> {
        // A pipe must not block here.
        let open = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
        let file = open.map_err(|error| FileError::io(Op::Open, path, error))?;
        if !file.metadata().map_err(|error| FileError::io(Op::Open, path, error))?.is_file() {
            return Err(FileError { op: Op::Open, path: path.to_owned(), reason: Reason::NotRegular });
        }
        let (len_bytes, hash) = stream(file).map_err(|error| FileError::io(Op::Read, path, error))?;
        Ok(Self { path: path.to_owned(), len_bytes, hash })
    }

    /// Of a file whose content was read already.
    #[must_use]
    pub fn of_bytes(path: &Path, content: &[u8]) -> Self {
        Self { path: path.to_owned(), len_bytes: content.len() as u64, hash: ContentHash(xxh3_128(content)) }
    }

    /// Whether both hold the same, wherever they are.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        self.len_bytes == other.len_bytes && self.hash == other.hash
    }
}

fn stream(file: File) -> std::io::Result<(u64, ContentHash)> {
    each_piece(file, |_| Ok(()))
}

/// Reads a file to its end, hands each piece of it on, and gives its length in bytes and its hash.
pub(crate) fn each_piece<E: From<std::io::Error>>(
    mut file: File,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(u64, ContentHash), E> {
    let mut hasher = Xxh3::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut len_bytes = 0;
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((len_bytes, ContentHash(hasher.digest128()))),
            Ok(n) => {
                let piece = piece.get(..n).unwrap_or_default();
                hasher.update(piece);
                take(piece)?;
                len_bytes += n as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_its_bytes_are_the_same_thing() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("kernel");
        for len in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 7] {
            let content: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            std::fs::write(&path, &content).unwrap();
            let found = FileIdentity::of(&path).unwrap();
            assert_eq!(found, FileIdentity::of_bytes(&path, &content));
            assert_eq!(found.len_bytes, len as u64);
        }
        let other = FileIdentity::of_bytes(Path::new("x"), b"");
        assert!(!other.same_content(&FileIdentity::of(&path).unwrap()));
        // The published value for no input, seed 0.
        assert_eq!(other.hash.to_string(), "99aa06d3014798d86001c324468d497f");
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let tmp = tempfile::tempdir().unwrap();
        let pipe = tmp.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(FileIdentity::of(&pipe).unwrap_err().reason, Reason::NotRegular);
        assert_eq!(FileIdentity::of(tmp.path()).unwrap_err().reason, Reason::NotRegular);
        assert!(FileIdentity::of(&tmp.path().join("none")).unwrap_err().is_not_found());
    }
}
