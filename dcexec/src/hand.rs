//! Handing dcd what is the user's: a file opened for reading, or a connection to the starter. Both are made as the user
//! and passed over the socket, so that dcd never opens or connects to a name that a user chose.

use crate::account::Account;
use crate::config::Config;
use crate::directory::{Jobs, beneath};
use crate::request::Request;
use crate::stage::{Refused, Stage};
use crate::user::become_user;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect as connect_to, socket};
use nix::sys::stat::{FileStat, fstat};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The starter's socket in a job's directory.
const SOCKET: &str = "starter.sock";

/// A file below the job's directory, opened for reading.
///
/// # Errors
/// When it is not there, not a regular file, not the user's, or has another name too.
pub fn open(config: &Config, request: &Request, user: &Account, caller: u32) -> Result<OwnedFd, Refused> {
    let directory = enter(config, request, user, caller)?;
    // What is no regular file must not hold anybody up.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let say = |name: &str| Refused::by(Stage::Open, name.to_owned());
    let file = beneath(directory.as_fd(), request.name.as_str(), flags).map_err(say(&request.name))?;
    let stat = fstat(&file).map_err(say(&request.name))?;
    if !is(&stat, libc::S_IFREG, user) || stat.st_nlink != 1 {
        let why = format!("{} is no regular file of the user's with one name", request.name);
        return Err(Refused::rule(Stage::Open, why));
    }
    Ok(file)
}

/// A connection to the job's starter.
///
/// # Errors
/// When nobody listens there, or it is not the user's socket.
pub fn connect(config: &Config, request: &Request, user: &Account, caller: u32) -> Result<OwnedFd, Refused> {
    let directory = enter(config, request, user, caller)?;
    let say = || Refused::by(Stage::Connect, SOCKET);
    let path = beneath(directory.as_fd(), SOCKET, OFlag::O_PATH).map_err(say())?;
    if !is(&fstat(&path).map_err(say())?, libc::S_IFSOCK, user) {
        return Err(Refused::rule(Stage::Connect, "starter.sock is no socket of the user's"));
    }
    let stream = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(say())?;
    // The very file that was looked at, whatever its name is by now; and no path that is too long for an address.
    let address = UnixAddr::new(format!("/proc/self/fd/{}", path.as_raw_fd()).as_str()).map_err(say())?;
    connect_to(stream.as_raw_fd(), &address).map_err(say())?;
    Ok(stream)
}

fn enter(config: &Config, request: &Request, user: &Account, caller: u32) -> Result<OwnedFd, Refused> {
    let found = Jobs::open(config, caller)?.find(request, user)?;
    become_user(user, config.no_new_privs)?;
    found.ok_or_else(|| Refused::rule(Stage::Directory, format!("there is no {}", request.job_text())))
}

fn is(stat: &FileStat, kind: libc::mode_t, user: &Account) -> bool {
    stat.st_mode & libc::S_IFMT == kind && stat.st_uid == user.uid.as_raw()
}
