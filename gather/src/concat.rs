//! Merges results by stringing their payloads together, in the order of the parts.

use crate::{MergeError, Part};
use dc_spool::files::NewFile;
use dc_spool::result::Results;
use std::io::{ErrorKind, Read};
use std::path::Path;

const CHUNK_BYTES: usize = 256 << 10;

/// Writes the payloads of all parts into `target`, and returns its length in bytes. Type and layout do not matter.
///
/// # Errors
/// When a result is missing or not what was committed, or the target cannot be written; it is then as before.
pub fn concat(
    target: &Path,
    parts: impl IntoIterator<Item = Part>,
    results: &Results,
) -> Result<u64, MergeError> {
    concat_into(NewFile::at_target(target)?, parts, results)
}

/// As [`concat`], into a file that was begun for it.
///
/// # Errors
/// As [`concat`].
pub fn concat_into(
    mut file: NewFile,
    parts: impl IntoIterator<Item = Part>,
    results: &Results,
) -> Result<u64, MergeError> {
    let mut total_bytes = 0;
    for part in parts {
        let reader = part.try_open(results)?;
        total_bytes +=
            copy(&mut reader.payload(), |error| part.unusable(error), |piece| Ok(file.append(piece)?))?;
    }
    file.commit_target()?;
    Ok(total_bytes)
}

/// Reads to the end, and hands each piece on; returns how many bytes there were.
pub(crate) fn copy<E>(
    input: &mut impl Read,
    failed: impl Fn(std::io::Error) -> E,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<u64, E> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut total_bytes = 0;
    loop {
        let n = match input.read(&mut chunk) {
            Ok(0) => return Ok(total_bytes),
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(failed(e)),
        };
        total_bytes += n as u64;
        take(&chunk[..n])?;
    }
}

#[cfg(test)]
#[path = "concat_tests.rs"]
mod tests;
