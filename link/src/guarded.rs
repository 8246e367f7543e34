//! Files that decide who may do what: before one is believed its owner, mode and kind are checked, and those of its
//! directory. They are written by dc-spool's file rules, and edited under a lock, so that no edit is lost.

use dc_spool::files::{Dir, FileError, Op, shown};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::geteuid;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why a file is not believed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum GuardError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Somebody else owns it.
    #[error("{} is owned by user {owner}, and only {expected} are believed: chown it, or remove it", shown(.path), expected = believed(*.me))]
    Owner {
        /// Which file or directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who this process is.
        me: u32,
    },
    /// Others may do with it what they must not.
    #[error("{} has mode {mode:04o}: {why} (chmod {remedy} it)", shown(.path))]
    Mode {
        /// Which file or directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What is wrong.
        why: &'static str,
        /// What chmod should be given.
        remedy: &'static str,
    },
    /// It has a second name, which may be in somebody else's directory.
    #[error("{} has {links} names (hard links): only one with a single name is believed", shown(.path))]
    Links {
        /// Which file.
        path: PathBuf,
        /// How many.
        links: u64,
    },
}

fn believed(me: u32) -> String {
    if me == 0 { "files of root".to_owned() } else { format!("files of root and of user {me}") }
}

/// Who may look at a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Secrecy {
    /// Its owner alone.
    Secret,
    /// Everybody; only the owner may write.
    Public,
}

/// A file in a directory, both checked.
#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    dir: Dir,
    name: String,
}

impl Guarded {
    /// Opens the directory that a path is in, and checks that nobody but its owner may change what is in it.
    pub(crate) fn at(path: &Path) -> Result<Self, GuardError> {
        let (dir, name) = Dir::parent_on(Arc::new(dc_spool::files::Linux), path)?;
        let bad =
            || FileError { op: Op::Open, path: path.to_owned(), reason: dc_spool::files::Reason::BadName };
        let name = name.into_string().map_err(|_| bad())?;
        let stat = fstat(&dir).map_err(|errno| FileError::os(Op::Open, dir.path(), errno))?;
        check_owner(dir.path(), stat.st_uid)?;
        if stat.st_mode & 0o022 != 0 {
            return Err(GuardError::Mode {
                path: dir.path().to_owned(),
                mode: stat.st_mode & 0o7777,
                why: "others may put files of theirs into it",
                remedy: "go-w",
            });
        }
        Ok(Self { dir, name })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path_of(&self.name)
    }

    /// Reads it whole, after the checks; what is checked is what is read. `None` when there is none.
    pub(crate) fn read(&self, secrecy: Secrecy, bytes_max: u64) -> Result<Option<Vec<u8>>, GuardError> {
        let file = match self.dir.open_file(&self.name) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let path = self.path();
        let stat = fstat(&file).map_err(|errno| FileError::os(Op::Stat, &path, errno))?;
        check_owner(&path, stat.st_uid)?;
        let mode = stat.st_mode & 0o7777;
        let wrong = match secrecy {
            Secrecy::Secret if mode & 0o077 != 0 => Some(("others may read a secret, or write it", "600")),
            Secrecy::Public if mode & 0o022 != 0 => Some(("others may write it", "go-w")),
            _ => None,
        };
        if let Some((why, remedy)) = wrong {
            return Err(GuardError::Mode { path, mode, why, remedy });
        }
        if stat.st_nlink != 1 {
            return Err(GuardError::Links { path, links: stat.st_nlink });
        }
        let bytes = file.len_bytes();
        if bytes > bytes_max {
            let reason = dc_spool::files::Reason::TooLarge { bytes, bytes_max };
            return Err(FileError { op: Op::Read, path, reason }.into());
        }
        Ok(Some(file.read_front(bytes)?))
    }

    /// What changes when it is replaced: device, inode, time of change and length. `None` when there is none.
    pub(crate) fn stamp(&self) -> Result<Option<Stamp>, GuardError> {
        match self.dir.open_file(&self.name) {
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
            Ok(file) => {
                let stat = fstat(&file).map_err(|errno| FileError::os(Op::Stat, &self.path(), errno))?;
                Ok(Some(Stamp([
                    stat.st_dev,
                    stat.st_ino,
                    stat.st_ctime.unsigned_abs(),
                    stat.st_ctime_nsec.unsigned_abs(),
                    stat.st_size.unsigned_abs(),
                ])))
            }
        }
    }

    /// Makes it durable where there is none yet.
    pub(crate) fn create(&self, mode: u32, bytes: &[u8]) -> Result<(), GuardError> {
        let mut file = self.dir.new_file(mode)?;
        file.append(bytes)?;
        Ok(file.commit_noreplace(&self.name)?)
    }

    /// Makes it durable in the place of the old one.
    pub(crate) fn replace(&self, mode: u32, bytes: &[u8]) -> Result<(), GuardError> {
        let mut file = self.dir.new_file(mode)?;
        file.append(bytes)?;
        Ok(file.commit(&self.name)?)
    }

    /// Waits for the lock of its edits (`NAME.lock` beside it); let go when dropped.
    pub(crate) fn lock(&self) -> Result<EditLock, GuardError> {
        lock(&self.dir, &format!("{}.lock", self.name), FlockArg::LockExclusive).map(EditLock)
    }
}

/// What changes when a file is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp([u64; 5]);

/// A lock; let go when dropped.
#[derive(Debug)]
pub(crate) struct EditLock(#[allow(dead_code)] Flock<File>);

/// Opens and locks a lock file of mode 0600.
pub(crate) fn lock(dir: &Dir, name: &str, how: FlockArg) -> Result<Flock<File>, GuardError> {
    let path = dir.path_of(name);
    let failed = |errno: Errno| FileError::os(Op::Lock, &path, errno);
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let fd = nix::fcntl::openat(dir, name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map_err(failed)?;
    let file = File::from(fd);
    check_owner(&path, fstat(&file).map_err(failed)?.st_uid)?;
    let mut file = file;
    loop {
        match Flock::lock(file, how) {
            Ok(file) => return Ok(file),
            Err((again, Errno::EINTR)) => file = again,
            Err((_, errno)) => return Err(failed(errno).into()),
        }
    }
}

/// That root or this process's user owns it.
pub(crate) fn check_owner(path: &Path, owner: u32) -> Result<(), GuardError> {
    let me = geteuid().as_raw();
    if owner == 0 || owner == me {
        Ok(())
    } else {
        Err(GuardError::Owner { path: path.to_owned(), owner, me })
    }
}
