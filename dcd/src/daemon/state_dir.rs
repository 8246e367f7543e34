//! What dcd keeps: `lock` (one dcd at a time), `start` (how often it was started), `epoch` (the newest scheduler it has
//! obeyed); and where the jobs' directories are.

use dc_model::JobUuid;
use dc_spool::Spool;
use dc_spool::files::{Dir, FileError, Op, Reason, shown};
use dc_spool::lock::{Lock, LockError};
use std::path::{Path, PathBuf};
use thiserror::Error;

const START: &str = "start";
const EPOCH: &str = "epoch";
const WORDS: &str = "starters";
/// More than a number takes.
const NUMBER_BYTES_MAX: u64 = 64;

/// Why the state directory cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StateError {
    /// Another dcd has it.
    #[error(
        "{} is in use by another dcd{}: stop that one, or give this one a state directory of its own",
        shown(.dir), by(*.pid)
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Which process, as far as is known.
        pid: Option<u32>,
    },
    /// A number that is none: guessing one could make two runs of dcd look like one, or obey a scheduler that is over.
    #[error("{} holds no number: restore it, or remove {} when no job of this node runs", shown(.path), shown(.dir))]
    NoNumber {
        /// Which file.
        path: PathBuf,
        /// The directory.
        dir: PathBuf,
    },
    /// The disk said no.
    #[error(transparent)]
    File(#[from] FileError),
}

fn by(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

/// The directory, locked.
#[derive(Debug)]
pub struct StateDir {
    dir: Dir,
    jobs: PathBuf,
    start: u64,
    epoch_seen: u32,
    _lock: Lock,
}

impl StateDir {
    /// Takes the directory, made when missing, and counts this start.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn take(path: &Path, jobs: &Path) -> Result<Self, StateError> {
        // What is in them need not be there.
        Spool::make_parents(&path.join(START))?;
        Spool::make_parents(&jobs.join(START))?;
        Spool::make_parents(&path.join(WORDS).join(START))?;
        let path = std::fs::canonicalize(path).map_err(|error| FileError::io(Op::Open, path, error))?;
        let dir = Dir::open(&path)?;
        let lock = Lock::take(&dir).map_err(|error| match error {
            LockError::Held { dir, pid } => StateError::InUse { dir, pid },
            LockError::File(error) => error.into(),
        })?;
        dir.sweep_tmp()?;
        let jobs = std::fs::canonicalize(jobs).map_err(|error| FileError::io(Op::Open, jobs, error))?;
        let start = read_number(&dir, START)?.unwrap_or(0).saturating_add(1);
        let epoch = read_number(&dir, EPOCH)?.unwrap_or(0);
        let no_number = || StateError::NoNumber { path: dir.path_of(EPOCH), dir: dir.path().to_owned() };
        let epoch_seen = u32::try_from(epoch).map_err(|_| no_number())?;
        let state = Self { dir, jobs, start, epoch_seen, _lock: lock };
        // Before anybody is told of it: a number that a power cut takes back would be used twice.
        state.write_number(START, start)?;
        Ok(state)
    }

    /// Which start of dcd with this directory it is, from 1.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The newest scheduler's epoch that was obeyed; 0: none.
    #[must_use]
    pub fn epoch_seen(&self) -> u32 {
        self.epoch_seen
    }

    /// A scheduler of this epoch is going to be obeyed. When this returns, no older one ever will.
    ///
    /// # Errors
    /// When it cannot be kept: then it must not be obeyed.
    pub fn see_epoch(&mut self, epoch: u32) -> Result<(), FileError> {
        if epoch > self.epoch_seen {
            self.write_number(EPOCH, u64::from(epoch))?;
            self.epoch_seen = epoch;
        }
        Ok(())
    }

    /// The directory's path, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where the jobs' directories are.
    #[must_use]
    pub fn jobs(&self) -> &Path {
        &self.jobs
    }

    /// Where the numbers of other users' starters are, in a file of the job's name each.
    #[must_use]
    pub fn words(&self) -> PathBuf {
        self.path().join(WORDS)
    }

    /// A job's directory.
    #[must_use]
    pub fn job(&self, job: JobUuid) -> PathBuf {
        self.jobs.join(job.to_string())
    }

    fn write_number(&self, name: &str, number: u64) -> Result<(), FileError> {
        self.dir.replace(name, |file| writeln!(file, "{number}"))
    }
}

/// The number in a file; `None` when there is no file.
fn read_number(dir: &Dir, name: &str) -> Result<Option<u64>, StateError> {
    let no_number = || StateError::NoNumber { path: dir.path_of(name), dir: dir.path().to_owned() };
    let bytes = match dir.read(name, NUMBER_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(FileError { reason: Reason::TooLarge { .. }, .. }) => return Err(no_number()),
        Err(error) => return Err(error.into()),
    };
    let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
    let number =
        text.filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(no_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_counted_and_epochs_kept() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("a/state");
        let mut first = StateDir::take(&path, &path.join("jobs")).unwrap();
        assert_eq!((first.start(), first.epoch_seen()), (1, 0));
        first.see_epoch(7).unwrap();
        first.see_epoch(3).unwrap();
        match StateDir::take(&path, &path.join("jobs")) {
            Err(error @ StateError::InUse { .. }) => {
                let text = error.to_string();
                assert!(text.contains(&std::process::id().to_string()) && !text.contains("dcrun"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        let second = StateDir::take(&path, &path.join("jobs")).unwrap();
        assert_eq!((second.start(), second.epoch_seen()), (2, 7));
    }

    #[test]
    fn a_damaged_number_is_not_guessed() {
        let tmp = tempfile::tempdir().unwrap();
        for bad in ["", "7", "-7\n", "x\n", "99999999999999999999\n", "4294967296\n", &"7".repeat(100)] {
            std::fs::write(tmp.path().join(EPOCH), bad).unwrap();
            let error = StateDir::take(tmp.path(), &tmp.path().join("jobs")).unwrap_err();
            assert!(matches!(error, StateError::NoNumber { .. }), "{bad:?}: {error}");
        }
    }
}
