//! A domain's file, read once and piece by piece: what it holds, and its identity for a resume to compare.

use crate::hash::{FileIdentity, each_piece};
use dc_model::domain::{Domain, DomainError, DomainReader, Meaning};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use thiserror::Error;

/// Why a file is not a domain.
#[derive(Debug, Error)]
pub enum DomainFileError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It holds something else.
    #[error(transparent)]
    Format(#[from] DomainError),
}

/// Reads it. What is no regular file, a pipe perhaps, is held in memory, since only its end tells its length.
///
/// # Errors
/// When it cannot be read, or is no domain.
pub fn read(path: &Path, meaning: Meaning) -> Result<(Domain, FileIdentity), DomainFileError> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        return Ok((Domain::read_as(&bytes, meaning)?, FileIdentity::of_bytes(path, &bytes)));
    }
    let mut reader = DomainReader::new(meaning, metadata.len());
    let (len_bytes, hash) = each_piece(file, |piece| reader.push(piece).map_err(DomainFileError::from))?;
    Ok((reader.finish()?, FileIdentity { path: path.to_owned(), len_bytes, hash }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_in_pieces_is_the_file_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (nx, ny) = (1000u32, 300u32);
        let mut bytes = format!("P5\n{nx} {ny}\n255\n").into_bytes();
        bytes.extend((0..nx * ny).map(|i| (i % 251) as u8));
        let path = dir.path().join("a.pgm");
        std::fs::write(&path, &bytes).unwrap();
        let (domain, identity) = read(&path, Meaning::AsFound).unwrap();
        assert_eq!(domain, Domain::read(&bytes).unwrap());
        assert_eq!(identity, FileIdentity::of_bytes(&path, &bytes));
        assert!(matches!(read(dir.path(), Meaning::AsFound), Err(DomainFileError::Read(_))));
    }

    /// A header that lies, on a file that is short: told before anything is allocated.
    #[test]
    fn a_file_that_is_too_short_allocates_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        let text = "{'descr': '|b1', 'fortran_order': False, 'shape': (2147483647, 2147483647), }";
        let length = [text.len() as u8, 0];
        std::fs::write(&path, [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), &[1; 9]].concat())
            .unwrap();
        let error = read(&path, Meaning::AsFound).unwrap_err().to_string();
        assert!(error.starts_with("truncated: expected 4611686014132420609 bytes"), "{error}");
    }
}
