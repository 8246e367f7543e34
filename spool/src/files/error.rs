//! What can go wrong with a file, in one line: what was done, to which path, why it failed, and what helps.

use super::shown;
use nix::errno::Errno;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An operation on a file or directory; each is one system call of a [`super::Disk`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Op {
    /// Opening what exists.
    Open,
    /// Reading.
    Read,
    /// Looking up what a name or an open file is.
    Stat,
    /// Listing a directory.
    List,
    /// Making a new file.
    Create,
    /// Making a directory.
    MakeDir,
    /// Setting the mode of a new file.
    Mode,
    /// Reserving space.
    Allocate,
    /// Setting a file's length.
    SetLen,
    /// Writing.
    Write,
    /// fdatasync of a file.
    SyncData,
    /// fsync of a directory.
    SyncDir,
    /// close(2), which may report a failed write on a network file system.
    Close,
    /// Renaming over what may be there.
    Rename,
    /// Renaming, or linking, where nothing may be.
    RenameNew,
    /// Removing a name.
    Remove,
    /// Removing a directory.
    RemoveDir,
    /// Locking.
    Lock,
}

impl Op {
    /// What was tried: "cannot …".
    fn text(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Stat => "look up",
            Self::List => "list",
            Self::Create => "create",
            Self::MakeDir => "make the directory",
            Self::Mode => "set the mode of",
            Self::Allocate => "reserve space for",
            Self::SetLen => "set the length of",
            Self::Write => "write",
            Self::SyncData | Self::SyncDir => "sync to disk",
            Self::Close => "close",
            Self::Rename | Self::RenameNew => "put into place",
            Self::Remove => "remove",
            Self::RemoveDir => "remove the directory",
            Self::Lock => "lock",
        }
    }
}

/// Why an operation failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The kernel said so.
    Os(Errno),
    /// It is a directory, a device, a pipe or a symbolic link, where only a regular file will do.
    NotRegular,
    /// It is larger than what is ever read there.
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The most that is read.
        bytes_max: u64,
    },
    /// It ends before the length it had when it was opened.
    Shorter,
    /// A name with a slash, an empty one, `.` or `..`, where one component is meant.
    BadName,
    /// What the caller was writing failed for a reason of its own.
    Source(String),
}

/// A failed operation on a file. After a failed sync, close or rename the state on disk is unknown: the operation is
/// a failure, and is not tried again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileError {
    /// What was tried.
    pub op: Op,
    /// On which path, as the user would find it.
    pub path: PathBuf,
    /// Why it failed.
    pub reason: Reason,
}

impl FileError {
    /// From the kernel's errno.
    #[must_use]
    pub fn os(op: Op, path: &Path, errno: Errno) -> Self {
        Self { op, path: path.to_owned(), reason: Reason::Os(errno) }
    }

    /// From the standard library's error; one that wraps a [`FileError`] gives that back.
    #[must_use]
    pub fn io(op: Op, path: &Path, error: io::Error) -> Self {
        if let Some(errno) = error.raw_os_error() {
            return Self::os(op, path, Errno::from_raw(errno));
        }
        match error.downcast::<Self>() {
            Ok(inner) => inner,
            Err(error) => Self { op, path: path.to_owned(), reason: Reason::Source(error.to_string()) },
        }
    }

    /// The kernel's errno, if it was the kernel.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self.reason {
            Reason::Os(errno) => Some(errno),
            _ => None,
        }
    }

    /// Whether it failed because there is no such file or directory.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.errno() == Some(Errno::ENOENT)
    }

    /// Whether it failed because the name is taken.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(Errno::EEXIST)
    }

    /// Whether it failed because the disk, or the user's quota on it, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.errno(), Some(Errno::ENOSPC | Errno::EDQUOT))
    }

    /// What the user can do, where that is known.
    fn remedy(&self) -> Option<&'static str> {
        Some(match self.errno()? {
            Errno::ENOSPC => "free some space on that file system, or choose a directory on another",
            Errno::EDQUOT => "your quota there is used up: remove files, or choose a directory elsewhere",
            Errno::EACCES | Errno::EPERM => "check the owner and the permissions of its directory",
            Errno::EROFS => "that file system is read-only: choose a directory on another",
            Errno::EIO => "the disk may be failing: see the system's log",
            Errno::EFBIG => "it would grow beyond the largest file allowed there (see ulimit -f)",
            Errno::EMFILE => "raise the limit on open files (ulimit -n)",
            Errno::ELOOP => "symbolic links are not followed here",
            _ => return None,
        })
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: ", self.op.text(), shown(&self.path))?;
        match &self.reason {
            Reason::Os(errno) => f.write_str(errno.desc())?,
            Reason::NotRegular => f.write_str("it is not a regular file")?,
            Reason::TooLarge { bytes, bytes_max } => {
                write!(f, "it has {bytes} bytes, and at most {bytes_max} are read there")?;
            }
            Reason::Shorter => f.write_str("it ends before the length it had when it was opened")?,
            Reason::BadName => f.write_str("that is not the name of a file in a directory")?,
            Reason::Source(text) => write!(f, "{}", shown(text))?,
        }
        self.remedy().map_or(Ok(()), |remedy| write!(f, " ({remedy})"))
    }
}

impl std::error::Error for FileError {}

impl From<FileError> for io::Error {
    fn from(error: FileError) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_where_why_and_what_helps() {
        let full = FileError::os(Op::Write, Path::new("/s\n/x"), Errno::ENOSPC);
        assert_eq!(
            full.to_string(),
            "cannot write /s\\n/x: No space left on device \
             (free some space on that file system, or choose a directory on another)"
        );
        assert!(full.is_full());
        let back = FileError::io(Op::Rename, Path::new("y"), io::Error::from(full.clone()));
        assert_eq!(back, full, "wrapped for the standard library and back");
    }
}
