//! The file that a starter holds locked for its life, by an open file description: the kernel lets go of it when the
//! last of its descriptors is closed, however the process ends. It says who, and which control group is its own.

use super::LOCK;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, OFlag, fcntl, openat};
use nix::libc;
use nix::sys::stat::{Mode, fstat, fstatat};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// More than it ever holds.
const BYTES_MAX: u64 = 64 << 10;

/// A lock that is held.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Somebody else holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldElsewhere;

/// The directory itself, not what a link there names.
pub(super) fn open_dir(dir: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    nix::fcntl::open(dir, flags, Mode::empty())
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 }
}

impl Lock {
    /// Takes the lock in this directory, without waiting.
    ///
    /// # Errors
    /// When the file cannot be made; `Ok(Err(HeldElsewhere))` when another process has it.
    pub fn take(dir: impl AsFd) -> io::Result<Result<Self, HeldElsewhere>> {
        let flags = OFlag::O_CREAT | OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        loop {
            let file = File::from(openat(&dir, LOCK, flags, Mode::from_bits_truncate(0o600))?);
            match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
                Ok(_) => {}
                Err(Errno::EAGAIN | Errno::EACCES) => return Ok(Err(HeldElsewhere)),
                Err(errno) => return Err(errno.into()),
            }
            // Who had it before may have removed the name since it was opened here: another file has it then.
            let inode = fstat(&file)?.st_ino;
            match fstatat(&dir, LOCK, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(named) if named.st_ino == inode => return Ok(Ok(Self { file })),
                Ok(_) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Writes into it what those who come after its holder need to know, in the place of what it held.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, text: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all_at(text, 0)?;
        (&self.file).flush()
    }
}

/// Whether the lock in this directory is held; `None` when there is no such file. It is not taken for that: a starter
/// that comes at this moment is not turned away.
pub(super) fn is_held(dir: impl AsFd) -> io::Result<Option<bool>> {
    let Some(file) = open(dir)? else { return Ok(None) };
    let mut lock = whole_file(libc::F_WRLCK);
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(Some(i32::from(lock.l_type) != libc::F_UNLCK))
}

/// What its last holder has written into it.
pub(super) fn noted(dir: impl AsFd) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if let Some(file) = open(dir)? {
        file.take(BYTES_MAX).read_to_end(&mut text)?;
    }
    Ok(text)
}

fn open(dir: impl AsFd) -> io::Result<Option<File>> {
    let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    match openat(dir, LOCK, flags, Mode::empty()) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
