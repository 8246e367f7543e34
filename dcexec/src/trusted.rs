//! Files of root's, opened part by part from the root: no symbolic link on the way, and nothing that anybody but
//! root could have changed.

use crate::stage::{Refused, Stage};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fstat};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

/// What is expected at the end of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// Whose a file may be; writable it may be for that owner alone.
#[derive(Clone, Copy, Debug)]
pub struct Owners {
    /// Beside root, of the directories on the way.
    pub of_parents: u32,
    /// Beside root, of the file itself.
    pub of_file: u32,
}

impl Owners {
    /// Nobody but root.
    pub const ROOT: Self = Self { of_parents: 0, of_file: 0 };
}

/// Opens it for reading.
///
/// # Errors
/// When something on the way is not as it must be; the line names it.
pub fn open(path: &Path, kind: Kind, owners: Owners, stage: Stage) -> Result<OwnedFd, Refused> {
    let say = |at: &Path, why: &str| Refused::rule(stage, format!("{} {why}", at.display()));
    let way = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut at = Path::new("/").to_owned();
    let mut fd = openat(AT_FDCWD, "/", way, Mode::empty()).map_err(Refused::by(stage, "/"))?;
    let parts: Vec<_> = path.components().filter(|part| *part != Component::RootDir).collect();
    for (number, part) in parts.iter().enumerate() {
        let Component::Normal(name) = part else { return Err(say(path, "is no plain path from the root")) };
        check(&fd, &at, owners.of_parents, stage)?;
        let is_last = number + 1 == parts.len();
        let last =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let flags = match (is_last, kind) {
            (false, _) => way,
            (true, Kind::File) => last,
            (true, Kind::Directory) => last | OFlag::O_DIRECTORY,
        };
        at.push(name);
        let next = openat(fd.as_fd(), *name, flags, Mode::empty());
        fd = next.map_err(|errno| match errno {
            Errno::ELOOP => say(&at, "is a symbolic link: name the file itself"),
            Errno::ENOTDIR => say(&at, "is no directory, or a symbolic link: name the file itself"),
            errno => Refused::by(stage, at.display().to_string())(errno),
        })?;
    }
    let stat = check(&fd, &at, owners.of_file, stage)?;
    match (kind, stat.st_mode & libc::S_IFMT) {
        (Kind::File, libc::S_IFREG) | (Kind::Directory, libc::S_IFDIR) => Ok(fd),
        _ => Err(say(&at, "is a file of another kind")),
    }
}

fn check(fd: &OwnedFd, at: &Path, owner: u32, stage: Stage) -> Result<FileStat, Refused> {
    let stat = fstat(fd).map_err(Refused::by(stage, at.display().to_string()))?;
    if stat.st_uid != 0 && stat.st_uid != owner {
        return Err(Refused::rule(
            stage,
            format!("{} belongs to user {}: chown it to root", at.display(), stat.st_uid),
        ));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(Refused::rule(stage, format!("{} is writable by others: chmod go-w", at.display())));
    }
    Ok(stat)
}
