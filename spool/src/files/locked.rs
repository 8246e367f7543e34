//! A locked file (flock), unlocked when dropped. A system that refuses to unlock is no reason to panic, as nix's own
//! guard does then: closing the file unlocks it, and so does the end of the process.

use nix::errno::Errno;
use std::fs::{File, TryLockError};
use std::os::fd::{AsFd, BorrowedFd};

/// The file, locked as long as this lives.
#[derive(Debug)]
pub struct Locked(File);

impl Locked {
    /// Locks it for one alone; never waits.
    ///
    /// # Errors
    /// The file itself with the reason: `EWOULDBLOCK` when another has a lock.
    pub fn alone(file: File) -> Result<Self, (File, Errno)> {
        let taken = file.try_lock();
        Self::of(file, taken)
    }

    /// Locks it together with others who do so too; never waits.
    ///
    /// # Errors
    /// As [`Locked::alone`].
    pub fn shared(file: File) -> Result<Self, (File, Errno)> {
        let taken = file.try_lock_shared();
        Self::of(file, taken)
    }

    fn of(file: File, taken: Result<(), TryLockError>) -> Result<Self, (File, Errno)> {
        match taken {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err((file, Errno::EWOULDBLOCK)),
            Err(TryLockError::Error(error)) => {
                Err((file, error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)))
            }
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Not by closing alone: a process that is being started may have the file open until its exec.
        let _ = self.0.unlock();
    }
}

impl AsFd for Locked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
