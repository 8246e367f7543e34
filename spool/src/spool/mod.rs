//! A job's directory as its owner sees it: made, gone on with, removed. Who holds a [`Spool`] holds the job's lock.

mod create;
mod remove;

pub use remove::Removed;

use crate::files::{Dir, Disk, FileError, Linux, Op, shown};
use crate::job::{self, JobError, JobRecord};
use crate::journal::{self, JournalError, Replay, Writer};
use crate::layout;
use crate::lock::{Lock, LockError};
use dc_model::JobUuid;
use nix::errno::Errno;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why a job cannot be begun or gone on with.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SpoolError {
    /// The directory holds something already.
    #[error("{} is not empty: name a new directory, or go on with the job in it with --resume", shown(.0))]
    Taken(PathBuf),
    /// The directory is another user's.
    #[error("{} belongs to another user: name a new directory", shown(.0))]
    Owner(PathBuf),
    /// There is no such directory.
    #[error("{} does not exist: there is no job to go on with", shown(.0))]
    Nowhere(PathBuf),
    /// The disk said no.
    #[error(transparent)]
    File(#[from] FileError),
    /// The job record is missing, or not accepted.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The journal cannot be written, or not be read.
    #[error("the journal in {}: {error}", shown(.dir))]
    Journal {
        /// The job's directory.
        dir: PathBuf,
        /// What is wrong.
        error: JournalError,
    },
    /// Another dcrun has the job.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// A job's directory, locked.
#[derive(Debug)]
pub struct Spool {
    dir: Dir,
    job: JobUuid,
    _lock: Lock,
}

/// A job that is gone on with. Nothing is changed on disk yet; [`Spool::next_epoch`] does that.
#[derive(Debug)]
pub struct Resumed {
    /// Its directory.
    pub spool: Spool,
    /// What it is.
    pub job: JobRecord,
    /// What was decided so far.
    pub replay: Replay,
}

impl Spool {
    /// Makes the directory of a new job, and gives the journal of its first epoch. When this returns, the job exists
    /// and stays, whatever happens to the machine; when it fails, what it made is removed again.
    ///
    /// `path` must not exist, or be an empty directory of this user's; its parent must exist
    /// ([`Spool::make_parents`]).
    ///
    /// # Errors
    /// [`SpoolError::Taken`], or what a step failed with.
    pub fn create(path: &Path, job: &JobRecord) -> Result<(Self, Writer), SpoolError> {
        create::create(Arc::new(Linux), path, job)
    }

    /// As [`Spool::create`], on a disk of the caller's.
    ///
    /// # Errors
    /// As [`Spool::create`].
    pub fn create_on(
        disk: Arc<dyn Disk>,
        path: &Path,
        job: &JobRecord,
    ) -> Result<(Self, Writer), SpoolError> {
        create::create(disk, path, job)
    }

    /// Makes the directories above `path` that are missing, durably, of mode 0700.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn make_parents(path: &Path) -> Result<(), FileError> {
        create::make_parents(path)
    }

    /// Takes up the job in a directory: locks it, and reads its record and its journal.
    ///
    /// # Errors
    /// When there is none, another dcrun has it, or it is damaged, foreign or of a newer version.
    pub fn resume(path: &Path) -> Result<Resumed, SpoolError> {
        Self::resume_on(Arc::new(Linux), path)
    }

    /// As [`Spool::resume`], on a disk of the caller's.
    ///
    /// # Errors
    /// As [`Spool::resume`].
    pub fn resume_on(disk: Arc<dyn Disk>, path: &Path) -> Result<Resumed, SpoolError> {
        let dir = match Dir::open_on(disk, path) {
            Err(error) if error.is_not_found() => return Err(SpoolError::Nowhere(path.to_owned())),
            other => other?,
        };
        // Looked at before locking, so that a directory that holds no job is left without a lock's file.
        job::load(&dir)?;
        let lock = Lock::take(&dir)?;
        let job = job::load(&dir)?;
        let replay = journal::read_all(&dir, job.uuid)
            .map_err(|error| SpoolError::Journal { dir: dir.path().to_owned(), error })?;
        if replay.epoch == 0 {
            let error = JournalError::Missing { segment: 1 };
            return Err(SpoolError::Journal { dir: dir.path().to_owned(), error });
        }
        let spool = Self { dir, job: job.uuid, _lock: lock };
        Ok(Resumed { spool, job, replay })
    }

    /// Begins the next epoch: what `replay` says is made durable for good, and a new segment goes on from there. The
    /// rubbish of the run before is swept.
    ///
    /// # Errors
    /// When a step fails; the job is then as it was, but for an empty segment that counts for nothing.
    pub fn next_epoch(&self, replay: &Replay) -> Result<Writer, SpoolError> {
        let journal = |error| SpoolError::Journal { dir: self.dir.path().to_owned(), error };
        // The last run may have been killed between a write and its sync: what was read came from memory then, and
        // everything from here on builds on it.
        let last = layout::journal(replay.epoch);
        let file = self.dir.open_file(&last)?;
        let synced = self.dir.disk().sync_data(file.as_fd());
        synced.map_err(|errno| FileError::os(Op::SyncData, &self.dir.path_of(&last), errno))?;
        for name in [layout::CKPT, layout::RESULT] {
            self.dir.subdir_or_make(name, layout::DIR_MODE)?;
        }
        self.dir.sweep_tmp()?;
        self.dir.subdir(layout::RESULT)?.sweep_tmp()?;
        let epoch = replay.epoch.checked_add(1).ok_or_else(|| journal(JournalError::Epochs))?;
        let writer = Writer::create(&self.dir, self.job, epoch, replay.before).map_err(journal)?;
        // The segment's name, before a record in it is acknowledged.
        self.dir.sync()?;
        Ok(writer)
    }

    /// Removes all that dc made, and the directory if nothing else is in it. For a job whose results have been
    /// delivered, or that never began.
    ///
    /// # Errors
    /// When something of it cannot be removed; the rest may be gone.
    pub fn remove(self) -> Result<Removed, FileError> {
        remove::remove(&self.dir)
    }

    /// As [`Spool::remove`], for a directory that a removal left half, or that has names of its keeper's beside the job's:
    /// `also` are files that go too, after the job record.
    ///
    /// # Errors
    /// When something of it cannot be removed; the rest may be gone.
    pub fn remove_at(path: &Path, also: &[&str]) -> Result<Removed, FileError> {
        remove::remove_with(&Dir::open(path)?, also)
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Where it is, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Whose it is.
    #[must_use]
    pub fn job(&self) -> JobUuid {
        self.job
    }
}

/// The path with links resolved, so that it holds whatever directory one is in.
fn absolute(path: &Path) -> Result<PathBuf, FileError> {
    std::fs::canonicalize(path).map_err(|error| FileError::io(Op::Open, path, error))
}

fn exists(errno: &FileError) -> bool {
    errno.errno() == Some(Errno::EEXIST)
}

#[cfg(test)]
mod tests;
