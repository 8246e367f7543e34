//! The spool of a kernel that is run by hand, without dcrun: `ckpt/` and `result/` as in a job's, and the file `by-hand`,
//! which keeps the uuid that its files carry and is locked by the one kernel that may use it.
//!
//! `by-hand` is one line: `dc-by-hand 1 UUID CRC`, where CRC is the CRC-32C of what is before it, in hexadecimal.

use crate::checkpoint::Checkpoints;
use crate::files::{Dir, Disk, FileError, Locked, Op, shown};
use crate::layout::{CKPT, DIR_MODE, FILE_MODE, JOB, RESULT};
use crate::result::Results;
use dc_model::{Attempt, JobUuid, SubtaskId};
use nix::errno::Errno;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

const BY_HAND: &str = "by-hand";
const PREFIX: &str = "dc-by-hand 1 ";
const BYTES_MAX: u64 = 256;

/// Why a kernel cannot use a spool by hand.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ByHandError {
    /// It is a job's.
    #[error("{} is the spool of a job of dcrun: run the kernel under dcrun, or set DC_SPOOL to another directory", shown(.0))]
    Job(PathBuf),
    /// Another kernel has it.
    #[error("another kernel uses {}: set DC_SPOOL to a directory of this one's own", shown(.0))]
    Busy(PathBuf),
    /// Its file cannot be read as one.
    #[error("{} is damaged, or a newer dc wrote it: remove the directory, or set DC_SPOOL to another", shown(.0))]
    Damaged(PathBuf),
    /// All attempts' numbers are used.
    #[error("there are no more numbers for attempts: remove the directory")]
    Attempts,
    /// It vanished while it was made.
    #[error("the spool was removed while it was made")]
    Lost,
}

/// A spool by hand, claimed for this process until it is dropped.
#[derive(Debug)]
pub struct Claim {
    spool: Dir,
    job: JobUuid,
    _lock: Locked,
}

impl Claim {
    pub(super) fn spool(&self) -> &Dir {
        &self.spool
    }

    pub(super) fn job(&self) -> JobUuid {
        self.job
    }
}

/// Claims the spool at `path`, if there is one already.
pub(super) fn find(disk: Arc<dyn Disk>, path: &Path) -> Result<Option<Claim>, super::KernelError> {
    let spool = match Dir::open_on(disk, path) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    if spool.kind(JOB)?.is_some() {
        return Err(ByHandError::Job(path.to_owned()).into());
    }
    if spool.kind(BY_HAND)?.is_none() {
        return Ok(None);
    }
    claim(spool).map(Some)
}

/// Makes what is missing of the spool at `path`, and claims it.
pub(super) fn make(disk: Arc<dyn Disk>, path: &Path) -> Result<Claim, super::KernelError> {
    // A link here is the user's own choice.
    let spool = match Dir::open_on(Arc::clone(&disk), path) {
        Err(error) if error.is_not_found() => {
            let (parent, name) = Dir::parent_on(disk, path)?;
            parent.subdir_or_make(name, DIR_MODE)?
        }
        other => other?,
    };
    spool.subdir_or_make(CKPT, DIR_MODE)?;
    spool.subdir_or_make(RESULT, DIR_MODE)?;
    let random = || getrandom::u64().map_err(|_| FileError::os(Op::Create, path, Errno::EIO));
    let uuid = JobUuid((u128::from(random()?) << 64 | u128::from(random()?)).to_le_bytes());
    let mut file = spool.new_file(FILE_MODE)?;
    file.append(encode(uuid).as_bytes())?;
    match file.commit_noreplace(BY_HAND) {
        Err(error) if error.is_exists() => {}
        other => other?,
    }
    claim(spool)
}

/// The uuid that the files of a spool by hand carry; `None` where there is no such spool. Claims nothing.
///
/// # Errors
/// When its file cannot be read, or is damaged.
pub fn by_hand_job(spool: &Dir) -> Result<Option<JobUuid>, super::KernelError> {
    if spool.kind(BY_HAND)?.is_none() {
        return Ok(None);
    }
    let bytes = spool.read(BY_HAND, BYTES_MAX)?;
    let job = std::str::from_utf8(&bytes).ok().and_then(decode);
    Ok(Some(job.ok_or_else(|| ByHandError::Damaged(spool.path_of(BY_HAND)))?))
}

fn claim(spool: Dir) -> Result<Claim, super::KernelError> {
    let file = spool.open_file(BY_HAND)?;
    let lock = spool.disk().lock(file.into_fd()).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => super::KernelError::from(ByHandError::Busy(spool.path().to_owned())),
        errno => FileError::os(Op::Lock, &spool.path_of(BY_HAND), errno).into(),
    })?;
    let bytes = spool.read(BY_HAND, BYTES_MAX)?;
    let job = std::str::from_utf8(&bytes).ok().and_then(decode);
    let job = job.ok_or_else(|| ByHandError::Damaged(spool.path_of(BY_HAND)))?;
    Ok(Claim { spool, job, _lock: lock })
}

/// The attempt after the newest that left a name in the spool, valid or not.
pub(super) fn next_attempt(
    checkpoints: &Checkpoints,
    results: &Results,
    subtask: SubtaskId,
) -> Result<Attempt, super::KernelError> {
    let saved = checkpoints.list(subtask)?.into_iter().map(|restart| restart.attempt);
    let ended = results.list()?.into_iter().filter(|(of, _)| *of == subtask).map(|(_, attempt)| attempt);
    let newest = saved.chain(ended).max().unwrap_or_default();
    Ok(Attempt(newest.0.checked_add(1).ok_or(ByHandError::Attempts)?))
}

fn encode(uuid: JobUuid) -> String {
    let text = format!("{PREFIX}{uuid} ");
    format!("{text}{:08x}\n", crc32c::crc32c(text.as_bytes()))
}

fn decode(text: &str) -> Option<JobUuid> {
    let uuid = JobUuid::parse(text.strip_prefix(PREFIX)?.split(' ').next()?)?;
    (encode(uuid) == text).then_some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_read_as_written_and_no_other() {
        let uuid = JobUuid([0xab; 16]);
        let line = encode(uuid);
        assert_eq!(line, "dc-by-hand 1 abababab-abab-abab-abab-abababababab eeaeb694\n");
        assert_eq!(decode(&line), Some(uuid));
        for i in 0..line.len() {
            assert_eq!(decode(&line[..i]), None, "cut at {i}");
            for bit in 0..8 {
                let mut bytes = line.clone().into_bytes();
                bytes[i] ^= 1 << bit;
                assert_eq!(std::str::from_utf8(&bytes).ok().and_then(decode), None, "bit {bit} of byte {i}");
            }
        }
    }
}
