//! The seam between dc and the disk: every call that changes a file system or reads from it.
//! [`Linux`] makes the calls; the fakes wrap it and fail them.

use super::Locked;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags};
use nix::sys::stat::{FileStat, Mode};
use nix::unistd::UnlinkatFlags;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const _: () = assert!(size_of::<nix::libc::off_t>() == 8, "offsets beyond 2 GiB need a 64-bit off_t");

const OPEN_DIR: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// One method a system call. Names are single components, relative to an open directory.
///
/// # Errors
/// Every method gives the call's errno back; none is tried again, save after `EINTR` by the caller where that is safe.
#[allow(clippy::missing_errors_doc)] // Said once, above.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes a new file, for reading and writing; never opens one that exists.
    fn create(&self, dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        nix::fcntl::openat(dir, name, flags, Mode::from_bits_truncate(mode))
    }

    /// Makes a directory.
    fn make_dir(&self, dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> nix::Result<()> {
        nix::sys::stat::mkdirat(dir, name, Mode::from_bits_truncate(mode))
    }

    /// Sets a file's mode, whatever the umask says.
    fn set_mode(&self, file: BorrowedFd<'_>, mode: u32) -> nix::Result<()> {
        nix::sys::stat::fchmod(file, Mode::from_bits_truncate(mode))
    }

    /// Reserves blocks for `len` bytes from `offset` on, so that writing them cannot fail for want of space.
    fn allocate(&self, file: BorrowedFd<'_>, offset: u64, len: u64) -> nix::Result<()> {
        let (offset, len) = (to_off(offset)?, to_off(len)?);
        nix::fcntl::posix_fallocate(file, offset, len)
    }

    /// Cuts a file, or makes it longer by zeros, to `len` bytes.
    fn set_len(&self, file: BorrowedFd<'_>, len: u64) -> nix::Result<()> {
        nix::unistd::ftruncate(file, to_off(len)?)
    }

    /// Writes some of `bytes` at `offset`; gives back how many.
    fn write(&self, file: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> nix::Result<usize> {
        nix::sys::uio::pwrite(file, bytes, to_off(offset)?)
    }

    /// Makes a file's data, and what is needed to read them, durable.
    fn sync_data(&self, file: BorrowedFd<'_>) -> nix::Result<()> {
        nix::unistd::fdatasync(file)
    }

    /// Makes a directory's entries durable.
    fn sync_dir(&self, dir: BorrowedFd<'_>) -> nix::Result<()> {
        nix::unistd::fsync(dir)
    }

    /// Closes a file, and says what close(2) says.
    fn close(&self, file: OwnedFd) -> nix::Result<()> {
        nix::unistd::close(file)
    }

    /// Renames within a directory, over what may be there.
    fn rename(&self, dir: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> nix::Result<()> {
        nix::fcntl::renameat(dir, from, dir, to)
    }

    /// Renames within a directory; `EEXIST` when the new name is taken. Where the file system cannot do that in one
    /// call, the file is linked to its new name and then loses the old one.
    fn rename_new(&self, dir: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> nix::Result<()> {
        match nix::fcntl::renameat2(dir, from, dir, to, RenameFlags::RENAME_NOREPLACE) {
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                nix::unistd::linkat(dir, from, dir, to, AtFlags::empty())?;
                nix::unistd::unlinkat(dir, from, UnlinkatFlags::NoRemoveDir)
            }
            other => other,
        }
    }

    /// Removes a file's name.
    fn remove(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<()> {
        nix::unistd::unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)
    }

    /// Removes an empty directory.
    fn remove_dir(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<()> {
        nix::unistd::unlinkat(dir, name, UnlinkatFlags::RemoveDir)
    }

    /// Opens a directory by a path of the user's; links are followed.
    fn open_dir(&self, path: &Path) -> nix::Result<OwnedFd> {
        nix::fcntl::open(path, OPEN_DIR, Mode::empty())
    }

    /// Opens a directory in another; a link is not followed.
    fn open_subdir(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
        nix::fcntl::openat(dir, name, OPEN_DIR | OFlag::O_NOFOLLOW, Mode::empty())
    }

    /// Opens what exists for reading; a link is not followed, and a pipe does not block.
    fn open(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        nix::fcntl::openat(dir, name, flags, Mode::empty())
    }

    /// Opens what exists for writing; a link is not followed, and a pipe does not block.
    fn open_to_write(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        nix::fcntl::openat(dir, name, flags, Mode::empty())
    }

    /// Opens the file of a lock, which is made where it is missing; a link is not followed.
    fn open_lock(&self, dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        nix::fcntl::openat(dir, name, flags, Mode::from_bits_truncate(mode))
    }

    /// Locks a file for one alone; never waits. Gives the file back with the errno.
    fn lock(&self, file: OwnedFd) -> Result<Locked, (File, Errno)> {
        Locked::alone(file.into())
    }

    /// What is known of an open file.
    fn stat(&self, file: BorrowedFd<'_>) -> nix::Result<FileStat> {
        nix::sys::stat::fstat(file)
    }

    /// What is known of a name; a link is not followed.
    fn stat_at(&self, dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<FileStat> {
        nix::sys::stat::fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    /// Reads some bytes at `offset`; gives back how many, 0 at the end.
    fn read(&self, file: BorrowedFd<'_>, out: &mut [u8], offset: u64) -> nix::Result<usize> {
        nix::sys::uio::pread(file, out, to_off(offset)?)
    }

    /// The names in a directory, in no order, without `.` and `..`.
    fn list(&self, dir: BorrowedFd<'_>) -> nix::Result<Vec<OsString>> {
        // Opened anew: a descriptor's place in the list would be shared by its copies.
        let mut open = nix::dir::Dir::openat(dir, ".", OPEN_DIR, Mode::empty())?;
        let mut names = Vec::new();
        for entry in open.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }
}

/// The real disk.
#[derive(Clone, Copy, Default, Debug)]
pub struct Linux;

impl Disk for Linux {}

fn to_off(value: u64) -> nix::Result<nix::libc::off_t> {
    value.try_into().map_err(|_| Errno::EFBIG)
}
