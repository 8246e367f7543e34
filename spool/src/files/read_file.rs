//! A regular file that is open for reading. Its length is the one it had when it was opened: what it has grown since is
//! not read, and an end before that is an error, never a shorter file.

use super::dir::kind_of;
use super::{Dir, FileError, Kind, Op, Reason};
use nix::errno::Errno;
use nix::sys::stat::FileStat;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// An open file.
#[derive(Debug)]
pub struct ReadFile {
    dir: Dir,
    fd: OwnedFd,
    path: PathBuf,
    stat: FileStat,
}

impl ReadFile {
    /// Of a file that another has opened: `named` is for people, in a directory that is there.
    ///
    /// # Errors
    /// When it is no regular file.
    pub(crate) fn of(dir: &Dir, file: std::fs::File, named: &Path) -> Result<Self, FileError> {
        let (fd, path) = (OwnedFd::from(file), named.to_owned());
        let stat = dir.disk().stat(fd.as_fd()).map_err(|errno| FileError::os(Op::Open, &path, errno))?;
        if kind_of(&stat) != Kind::File {
            return Err(FileError { op: Op::Open, path, reason: Reason::NotRegular });
        }
        Ok(Self { dir: dir.clone(), fd, path, stat })
    }

    /// Opens a name in `dir`, one component.
    pub(super) fn open(dir: &Dir, name: &OsStr) -> Result<Self, FileError> {
        let path = dir.path_of(name);
        let failed = |op, errno| FileError::os(op, &path, errno);
        let fd = dir.disk().open(dir.as_fd(), name).map_err(|errno| failed(Op::Open, errno))?;
        let stat = dir.disk().stat(fd.as_fd()).map_err(|errno| failed(Op::Stat, errno))?;
        if kind_of(&stat) != Kind::File {
            return Err(FileError { op: Op::Open, path, reason: Reason::NotRegular });
        }
        Ok(Self { dir: dir.clone(), fd, path, stat })
    }

    /// Where it was.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length when it was opened.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.stat.st_size.unsigned_abs()
    }

    /// Its number in its file system.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.stat.st_ino
    }

    /// The descriptor, to lock it.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Fills all of `out` from `at` on.
    ///
    /// # Errors
    /// When it cannot be read; [`Reason::Shorter`] when it ends before.
    pub fn read_exact_at(&self, out: &mut [u8], at: u64) -> Result<(), FileError> {
        let failed = |reason| FileError { op: Op::Read, path: self.path.clone(), reason };
        let mut filled = 0;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.dir.disk().read(self.fd.as_fd(), rest, at + filled as u64) {
                Ok(0) => return Err(failed(Reason::Shorter)),
                Ok(n) => filled += n,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed(Reason::Os(errno))),
            }
        }
        Ok(())
    }

    /// Its first `bytes` bytes, or all where it has fewer.
    ///
    /// # Errors
    /// As [`ReadFile::read_exact_at`], and for want of memory.
    pub fn read_front(&self, bytes: u64) -> Result<Vec<u8>, FileError> {
        let mut out = Vec::new();
        let bytes = usize::try_from(bytes.min(self.len_bytes())).unwrap_or(usize::MAX);
        let no_memory = |_| FileError::os(Op::Read, &self.path, Errno::ENOMEM);
        out.try_reserve_exact(bytes).map_err(no_memory)?;
        out.resize(bytes, 0);
        self.read_exact_at(&mut out, 0)?;
        Ok(out)
    }
}

impl AsFd for ReadFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
