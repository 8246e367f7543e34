//! A job's control group: made by root below the configured one, delegated to the user, entered before anything is
//! given up. The starter makes groups of its own in it; nothing that is the job's can leave it.

use crate::account::Account;
use crate::config::Config;
use crate::directory::beneath;
use crate::request::Request;
use crate::stage::{Refused, Stage};
use crate::trusted::{self, Kind, Owners};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod, fstat, mkdirat};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs};
use nix::unistd::{UnlinkatFlags, fchown, unlinkat, write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a user must write to make groups below a delegated one.
const DELEGATED: [&str; 3] = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"];
/// Groups within each other that are removed.
const DEPTH_MAX: usize = 32;

/// The group that holds all jobs' groups, opened.
#[derive(Debug)]
pub struct Groups(OwnedFd);

impl Groups {
    /// Opens it; none where none is configured. systemd gives it to dcd, so that it may be dcd's own.
    ///
    /// # Errors
    /// When it is not as it must be.
    pub fn open(config: &Config, caller: u32) -> Result<Option<Self>, Refused> {
        let Some(path) = &config.cgroup else { return Ok(None) };
        let owners = Owners { of_parents: caller, of_file: caller };
        let fd = trusted::open(path, Kind::Directory, owners, Stage::Cgroup)?;
        let system = fstatfs(&fd).map_err(Refused::by(Stage::Cgroup, path.display().to_string()))?;
        if system.filesystem_type() != CGROUP2_SUPER_MAGIC {
            let why = format!("{} is no control group of version 2", path.display());
            return Err(Refused::rule(Stage::Cgroup, why));
        }
        Ok(Some(Self(fd)))
    }

    /// Puts this process into the job's group, which is made where there is none.
    ///
    /// # Errors
    /// When it cannot be made, delegated or entered, or is another user's.
    pub fn enter(&self, request: &Request, user: &Account) -> Result<(), Refused> {
        let name = name_of(request);
        let say = |what: &str| Refused::by(Stage::Cgroup, format!("cannot {what} {name}"));
        match mkdirat(&self.0, name.as_str(), Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(say("make")(errno)),
        }
        let group = beneath(self.0.as_fd(), name.as_str(), OFlag::O_RDONLY | OFlag::O_DIRECTORY)
            .map_err(say("open"))?;
        let owner = fstat(&group).map_err(say("look at"))?.st_uid;
        if owner != 0 && owner != user.uid.as_raw() {
            return Err(Refused::rule(Stage::Cgroup, format!("{name} belongs to user {owner}")));
        }
        fchmod(&group, Mode::from_bits_truncate(0o755)).map_err(say("chmod"))?;
        fchown(&group, Some(user.uid), Some(user.gid)).map_err(say("delegate"))?;
        for file in DELEGATED {
            match beneath(group.as_fd(), file, OFlag::O_WRONLY) {
                Ok(file) => fchown(&file, Some(user.uid), Some(user.gid)).map_err(say("delegate"))?,
                // Not all of them are in every kernel.
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(say("delegate")(errno)),
            }
        }
        let processes = beneath(group.as_fd(), "cgroup.procs", OFlag::O_WRONLY).map_err(say("enter"))?;
        write(&processes, b"0").map(drop).map_err(say("enter"))
    }

    /// The job's group, if there is one and it is the user's.
    ///
    /// # Errors
    /// When that cannot be known.
    pub fn find(&self, request: &Request, user: &Account) -> Result<Option<OwnedFd>, Refused> {
        let name = name_of(request);
        let say = |what: &str| Refused::by(Stage::Cgroup, format!("cannot {what} {name}"));
        match beneath(self.0.as_fd(), name.as_str(), OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(group) => {
                let owner = fstat(&group).map_err(say("look at"))?.st_uid;
                Ok((owner == user.uid.as_raw()).then_some(group))
            }
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(say("open")(errno)),
        }
    }

    /// Removes the job's group, in which nothing may run any more.
    ///
    /// # Errors
    /// EBUSY while something does.
    pub fn remove(&self, request: &Request, user: &Account) -> Result<(), Refused> {
        let Some(group) = self.find(request, user)? else { return Ok(()) };
        let name = name_of(request);
        let all = remove_below(group, 0).and_then(|()| remove_one(self.0.as_fd(), name.as_str()));
        all.map_err(Refused::by(
            Stage::Cgroup,
            format!("cannot remove {name}: what runs in it must end first"),
        ))
    }
}

fn name_of(request: &Request) -> String {
    format!("dc-{}", request.job_text())
}

fn remove_below(group: OwnedFd, depth: usize) -> nix::Result<()> {
    if depth > DEPTH_MAX {
        return Err(Errno::ELOOP);
    }
    let mut listing = Dir::from_fd(group.try_clone().map_err(|_| Errno::EMFILE)?)?;
    for entry in listing.iter() {
        let name = entry?.file_name().to_owned();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        match beneath(group.as_fd(), name.as_c_str(), OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(below) => {
                remove_below(below, depth + 1)?;
                remove_one(group.as_fd(), name.as_c_str())?;
            }
            Err(Errno::ENOTDIR | Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn remove_one<P: ?Sized + nix::NixPath>(within: BorrowedFd<'_>, name: &P) -> nix::Result<()> {
    match unlinkat(within, name, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}
