//! Removing what a job left. What is in its directory was made by the user, who may still be at it: it is removed as the
//! user, below the opened directory. Root removes the name alone, which only an empty directory can lose.

use crate::account::Account;
use crate::calls;
use crate::clear::clear;
use crate::config::Config;
use crate::directory::Jobs;
use crate::group::Groups;
use crate::program::Answer;
use crate::reply::Reply;
use crate::request::Request;
use crate::stage::{Refused, Stage};
use crate::user::become_user;
use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, alarm, fsync, unlinkat};

/// A child that takes longer is ended.
const SECONDS_MAX: u32 = 600;

/// Removes the job's control group and directory. One that is not there is removed.
///
/// # Errors
/// When something cannot be, or is another user's. True where the child has answered already.
pub fn remove(
    config: &Config,
    request: &Request,
    user: &Account,
    caller: u32,
    answer: &Answer,
) -> Result<bool, Refused> {
    let jobs = Jobs::open(config, caller)?;
    let found = jobs.find(request, user)?;
    if let Some(groups) = Groups::open(config, caller)? {
        groups.remove(request, user)?;
    }
    alarm::cancel();
    if let Some(directory) = found {
        let status = calls::in_child(|| {
            alarm::set(SECONDS_MAX);
            let cleared = become_user(user, config.no_new_privs)
                .and_then(|()| clear(&directory).map_err(Refused::by(Stage::Remove, request.job_text())));
            cleared.map_or_else(|refused| answer.send(&Reply::from(&refused)).map_or(2, |()| 1), |()| 0)
        });
        match status {
            Ok(0) => {}
            Ok(1) => return Ok(true),
            Ok(_) => return Err(Refused::rule(Stage::Remove, "the process that removes was ended")),
            Err(_) => return Err(Refused::rule(Stage::Remove, "the process that removes could not be made")),
        }
    }
    match unlinkat(&jobs.0, request.job_text().as_str(), UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(Refused::by(Stage::Remove, request.job_text())(errno)),
    }
    fsync(&jobs.0).map_err(Refused::by(Stage::Remove, "cannot sync the directory of jobs"))?;
    Ok(false)
}
