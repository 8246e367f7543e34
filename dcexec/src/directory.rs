//! A job's directory: its name is the job's uuid, it is the user's with mode 0700, and it lies in a directory in which
//! nobody but root makes, renames or removes anything.

use crate::account::Account;
use crate::config::Config;
use crate::request::Request;
use crate::stage::{Refused, Stage};
use crate::trusted::{self, Kind, Owners};
use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, mkdirat};
use nix::unistd::{fchown, fsync};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How often a name is tried that others rename.
const TRIES_MAX: u32 = 100;

/// The directory of all jobs, opened.
#[derive(Debug)]
pub struct Jobs(pub OwnedFd);

impl Jobs {
    /// Opens it. Its parents may be dcd's own; it must be root's.
    ///
    /// # Errors
    /// When it is not as it must be.
    pub fn open(config: &Config, caller: u32) -> Result<Self, Refused> {
        let owners = Owners { of_parents: caller, of_file: 0 };
        trusted::open(&config.jobs, Kind::Directory, owners, Stage::Directory).map(Self)
    }

    /// The job's directory, which is there and the user's; none where there is none, or none that is finished.
    ///
    /// # Errors
    /// When it is somebody else's, or no directory.
    pub fn find(&self, request: &Request, user: &Account) -> Result<Option<OwnedFd>, Refused> {
        match self.look(request)? {
            Some((fd, stat)) if stat.st_uid == user.uid.as_raw() => {
                check_mode(&stat)?;
                Ok(Some(fd))
            }
            Some((_, stat)) if stat.st_uid != 0 => {
                let why = format!("{} belongs to user {}", request.job_text(), stat.st_uid);
                Err(Refused::rule(Stage::Directory, why))
            }
            _ => Ok(None),
        }
    }

    /// The same; made where there is none.
    ///
    /// # Errors
    /// When it cannot be made, or something else is there.
    pub fn find_or_make(&self, request: &Request, user: &Account) -> Result<OwnedFd, Refused> {
        if let Some(found) = self.find(request, user)? {
            return Ok(found);
        }
        let say = |what: &str| Refused::by(Stage::Directory, format!("cannot {what} {}", request.job_text()));
        match mkdirat(&self.0, request.job_text().as_str(), Mode::S_IRWXU) {
            // There, and root's: what a crash left between here and the change of owner.
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(say("make")(errno)),
        }
        let Some((fd, stat)) = self.look(request)? else { return Err(say("open")(Errno::ENOENT)) };
        if stat.st_uid != 0 {
            return Err(say("make")(Errno::EEXIST));
        }
        fchmod(&fd, Mode::S_IRWXU).map_err(say("chmod"))?;
        fchown(&fd, Some(user.uid), Some(user.gid)).map_err(say("chown"))?;
        let stat = fstat(&fd).map_err(say("look at"))?;
        if stat.st_uid != user.uid.as_raw() || stat.st_gid != user.gid.as_raw() {
            return Err(Refused::rule(
                Stage::Directory,
                format!("{} did not change hands", request.job_text()),
            ));
        }
        check_mode(&stat)?;
        // The user cannot sync this one's entry: it lies in a directory that is not the user's.
        fsync(&self.0).map_err(say("sync"))?;
        Ok(fd)
    }

    fn look(&self, request: &Request) -> Result<Option<(OwnedFd, FileStat)>, Refused> {
        let name = request.job_text();
        match beneath(self.0.as_fd(), name.as_str(), OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(fd) => {
                let stat = fstat(&fd).map_err(Refused::by(Stage::Directory, name))?;
                Ok(Some((fd, stat)))
            }
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(Refused::by(Stage::Directory, format!("cannot open {name}"))(errno)),
        }
    }
}

fn check_mode(stat: &FileStat) -> Result<(), Refused> {
    if stat.st_mode & (libc::S_IFMT | 0o077) != libc::S_IFDIR {
        return Err(Refused::rule(Stage::Directory, "it is open to others than its user"));
    }
    Ok(())
}

/// Opens what lies below a directory: no symbolic link anywhere, no other file system, nothing above.
///
/// # Errors
/// What the system says.
pub fn beneath<P: ?Sized + NixPath>(
    directory: BorrowedFd<'_>,
    name: &P,
    flags: OFlag,
) -> nix::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW).resolve(resolve);
    // The kernel says EAGAIN when something was renamed meanwhile.
    let mut tries = (0..TRIES_MAX).map(|_| openat2(directory, name, how));
    tries.find(|opened| !matches!(opened, Err(Errno::EAGAIN))).unwrap_or(Err(Errno::EAGAIN))
}
