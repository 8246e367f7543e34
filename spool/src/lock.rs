//! Who owns a job: one dcrun at a time, by a lock that the kernel lets go when that process ends, however it ends.

use crate::files::{Dir, FileError, Kind, Locked, Op, Reason, shown};
use crate::layout;
use nix::errno::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// More than any record of an owner has.
const RECORD_BYTES_MAX: u64 = 128;

/// Why the lock was not taken.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("{} is in use{}: wait for it to end, or stop it", shown(.dir), by(*.pid))]
    Held {
        /// The job's directory.
        dir: PathBuf,
        /// Who, as the lock's file says; it may be of another host.
        pid: Option<u32>,
    },
    /// The file cannot be opened or locked.
    #[error(transparent)]
    File(#[from] FileError),
}

fn by(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" by the dcrun with process number {pid}"))
}

/// The lock of a job; let go when dropped, or when the process ends. It is not inherited over exec.
#[derive(Debug)]
pub struct Lock {
    _file: Locked,
}

impl Lock {
    /// Takes the lock of the job in `dir`, or says who has it; never waits.
    ///
    /// # Errors
    /// [`LockError::Held`], or what opening the file failed with.
    pub fn take(dir: &Dir) -> Result<Self, LockError> {
        Self::take_as(dir, &std::process::id().to_string())
    }

    /// As [`Lock::take`], with the record of the owner to write into the file: one line, first of it the process number.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn take_as(dir: &Dir, record: &str) -> Result<Self, LockError> {
        let path = dir.path_of(layout::LOCK);
        let failed = |errno| FileError::os(Op::Lock, &path, errno);
        let opened = dir.disk().open_lock(dir.as_fd(), layout::LOCK.as_ref(), layout::FILE_MODE);
        let file = opened.map_err(failed)?;
        if dir.kind(layout::LOCK)? != Some(Kind::File) {
            return Err(FileError { op: Op::Lock, path, reason: Reason::NotRegular }.into());
        }
        match dir.disk().lock(file) {
            Ok(file) => {
                // Its name may have gone between opening and locking: the job was just removed.
                if dir.disk().stat(file.as_fd()).map_err(failed)?.st_nlink == 0 {
                    return Err(failed(Errno::ENOENT).into());
                }
                write_record(file.as_fd(), record);
                Ok(Self { _file: file })
            }
            Err((file, Errno::EWOULDBLOCK)) => {
                Err(LockError::Held { dir: dir.path().to_owned(), pid: read_pid(file) })
            }
            Err((_, errno)) => Err(failed(errno).into()),
        }
    }

    /// Whether somebody has the lock, as far as the kernel's list of locks tells; takes nothing, so that looking never
    /// keeps a dcrun out. A holder on another host or in another process namespace is not seen.
    #[must_use]
    pub fn is_held(dir: &Dir) -> bool {
        let inode = dir.open_file(layout::LOCK).ok().map(|file| file.inode());
        let locks = std::fs::read_to_string(Path::new("/proc/locks")).unwrap_or_default();
        inode.is_some_and(|inode| locks.lines().any(|line| locks_inode(line, inode)))
    }
}

/// Whether this line of the list is a flock on that inode: `1: FLOCK ADVISORY WRITE pid major:minor:inode 0 EOF`.
fn locks_inode(line: &str, inode: u64) -> bool {
    let mut words = line.split_ascii_whitespace().skip(1);
    let held = words.next() == Some("FLOCK");
    let place = words.nth(3).and_then(|place| place.rsplit(':').next()?.parse().ok());
    held && place == Some(inode)
}

/// For the message alone: that it cannot be written on a full disk is no reason not to run.
fn write_record(file: BorrowedFd<'_>, record: &str) {
    let line = format!("{record}\n");
    let _ = nix::unistd::ftruncate(file, 0).and_then(|()| nix::sys::uio::pwrite(file, line.as_bytes(), 0));
}

fn read_pid(file: File) -> Option<u32> {
    let mut text = String::new();
    file.take(RECORD_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_at_a_time_and_the_other_is_told_who() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        assert!(!Lock::is_held(&dir));
        let lock = Lock::take(&dir).unwrap();
        assert!(Lock::is_held(&dir));
        let pid = std::process::id();
        let error = Lock::take(&dir).unwrap_err();
        assert_eq!(error, LockError::Held { dir: tmp.path().to_owned(), pid: Some(pid) });
        assert!(error.to_string().ends_with(&format!(
            "is in use by the dcrun with process number {pid}: wait for it to end, or stop it"
        )));
        drop(lock);
        assert!(!Lock::is_held(&dir));
        drop(Lock::take(&dir).unwrap());
        std::fs::write(tmp.path().join("lock"), "rubbish").unwrap();
        let _lock = Lock::take(&dir).unwrap();
        assert_eq!(std::fs::read_to_string(tmp.path().join("lock")).unwrap(), format!("{pid}\n"));
    }

    #[test]
    fn what_is_no_file_of_ours_is_not_locked() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", tmp.path().join("lock")).unwrap();
        assert!(
            matches!(Lock::take(&dir), Err(LockError::File(error)) if error.errno() == Some(Errno::ELOOP))
        );
        std::fs::remove_file(tmp.path().join("lock")).unwrap();
        nix::unistd::mkfifo(&tmp.path().join("lock"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(
            matches!(Lock::take(&dir), Err(LockError::File(error)) if error.reason == Reason::NotRegular)
        );
    }

    #[test]
    fn lines_of_the_kernels_list() {
        let line = "3: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF";
        assert!(locks_inode(line, 5678));
        assert!(!locks_inode(line, 678));
        assert!(!locks_inode("3: POSIX  ADVISORY  WRITE 1234 fe:00:5678 0 EOF", 5678));
        assert!(!locks_inode("", 0));
    }
}
