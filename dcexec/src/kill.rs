//! Signalling what runs of a job. A process is named by a pidfd of the caller's, and signalled as the user: the kernel
//! says whether it may be. All of a job ends by its control group, which root alone can make and name.

use crate::account::Account;
use crate::calls;
use crate::config::Config;
use crate::directory::beneath;
use crate::group::Groups;
use crate::request::Request;
use crate::stage::{Refused, Stage};
use crate::user::become_user;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::unistd::write;
use std::os::fd::{AsFd, BorrowedFd};

/// The descriptor that may hold a pidfd.
pub const PIDFD: i32 = 3;

/// Sends the request's signal.
///
/// # Errors
/// When there is nothing that it could be sent to, or the system refuses.
pub fn kill(
    config: &Config,
    request: &Request,
    user: &Account,
    caller: u32,
    pidfd: Option<BorrowedFd<'_>>,
) -> Result<(), Refused> {
    let group = match Groups::open(config, caller)? {
        Some(groups) if request.signal == libc::SIGKILL => groups.find(request, user)?,
        _ => None,
    };
    let all = group.map(|group| beneath(group.as_fd(), "cgroup.kill", OFlag::O_WRONLY));
    let all = all.transpose().map_err(Refused::by(Stage::Kill, "cgroup.kill"))?;
    become_user(user, config.no_new_privs)?;
    if let Some(all) = &all {
        write(all, b"1").map_err(Refused::by(Stage::Kill, "cgroup.kill"))?;
    }
    match pidfd {
        Some(pidfd) => match calls::pidfd_signal(pidfd, request.signal) {
            // It has ended: what was wanted.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(Refused::by(Stage::Kill, format!("signal {}", request.signal))(errno)),
        },
        None if all.is_some() => Ok(()),
        None => {
            Err(Refused::rule(Stage::Kill, "no control group of the job's, and no pidfd as descriptor 3"))
        }
    }
}
