//! Making a job's directory.
//!
//! Four calls wait for the disk before the first rank may start. Each is needed:
//! - fdatasync of the job record before its rename: else the name could come back after a crash without the content;
//! - fsync of the job's directory after the rename: it makes `job`, `lock`, `journal.000001`, `ckpt` and `result`
//!   durable, all by one call, because they were made before it;
//! - fsync of the parent: else the whole directory could be gone;
//! - fdatasync of the journal with its first records, which is [`Writer::sync`]'s, later. The segment's header needs
//!   none of its own: all of it is known from the job record, so that a lost one is told from a damaged one.
//!
//! The empty directories `ckpt` and `result` are not synced themselves: there is nothing in them to lose.

use super::{Spool, SpoolError, absolute, exists, remove};
use crate::files::{Dir, Disk, FileError, Linux, Op};
use crate::job::{self, JobRecord};
use crate::journal::{Before, Writer};
use crate::layout;
use crate::lock::{Lock, LockError};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) fn create(
    disk: Arc<dyn Disk>,
    path: &Path,
    job: &JobRecord,
) -> Result<(Spool, Writer), SpoolError> {
    let (parent, name) = Dir::parent_on(Arc::clone(&disk), path)?;
    // With an absolute path, as other processes are told it.
    let parent = Dir::open_on(disk, &absolute(parent.path())?)?;
    let (dir, made) = match parent.make_subdir(&name, layout::DIR_MODE) {
        Err(error) if exists(&error) => (adopt_empty(&parent, path)?, false),
        other => (other?, true),
    };
    let undo = |dir: &Dir| {
        // The job was never acknowledged, so nobody may find half of it. What cannot be removed stays, and the error
        // that is told is the first.
        let _ = remove::contents(dir);
        if made {
            let _ = parent.remove_subdir(&name);
        }
    };
    // Before anything is put into it, so that of two who take one empty directory the later finds it taken, and
    // leaves the other's files alone.
    let lock = match Lock::take(&dir) {
        Err(LockError::Held { .. }) => return Err(SpoolError::Taken(path.to_owned())),
        Err(error) => {
            undo(&dir);
            return Err(error.into());
        }
        Ok(lock) => lock,
    };
    if !made && dir.list()?.len() > 1 {
        return Err(SpoolError::Taken(path.to_owned()));
    }
    let filled = fill(&dir, job).and_then(|writer| Ok(parent.sync().map(|()| writer)?));
    let writer = filled.inspect_err(|_| undo(&dir))?;
    Ok((Spool { dir, job: job.uuid, _lock: lock }, writer))
}

/// The directory that is there, if it is empty and this user's: `mktemp -d` makes such ones.
fn adopt_empty(parent: &Dir, path: &Path) -> Result<Dir, SpoolError> {
    let name = path.file_name().unwrap_or_default();
    let taken = || SpoolError::Taken(path.to_owned());
    let dir = parent.subdir(name).map_err(|_| taken())?;
    if !dir.list()?.is_empty() {
        return Err(taken());
    }
    let stat = std::fs::symlink_metadata(dir.path());
    let stat = stat.map_err(|error| FileError::io(Op::Open, dir.path(), error))?;
    if stat.uid() != nix::unistd::geteuid().as_raw() {
        return Err(SpoolError::Owner(path.to_owned()));
    }
    let closed = dir.disk().set_mode(dir.as_fd(), layout::DIR_MODE);
    closed.map_err(|errno| FileError::os(Op::Mode, path, errno))?;
    Ok(dir)
}

/// All that is in the directory, the lock aside.
fn fill(dir: &Dir, job: &JobRecord) -> Result<Writer, SpoolError> {
    dir.make_subdir(layout::CKPT, layout::DIR_MODE)?;
    dir.make_subdir(layout::RESULT, layout::DIR_MODE)?;
    let journal = |error| SpoolError::Journal { dir: dir.path().to_owned(), error };
    let writer = Writer::create(dir, job.uuid, 1, Before::default()).map_err(journal)?;
    job::create_unsynced(dir, job)?;
    dir.sync()?;
    Ok(writer)
}

/// Makes the missing directories above `path`, each durable before anything is put into it.
pub(super) fn make_parents(path: &Path) -> Result<(), FileError> {
    let mut missing: Vec<PathBuf> = Vec::new();
    let mut above = path.parent();
    while let Some(dir) = above.filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
        missing.push(dir.to_owned());
        above = dir.parent();
    }
    for dir in missing.iter().rev() {
        match Dir::create_new_on(Arc::new(Linux), dir, layout::DIR_MODE) {
            Err(error) if exists(&error) => {}
            other => drop(other?),
        }
    }
    Ok(())
}
