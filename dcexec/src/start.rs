//! Starting the starter: this process becomes it. Nothing of the caller's goes along but standard error, the control
//! group where none is configured, and resource limits that the configuration does not set.

use crate::account::Account;
use crate::calls;
use crate::config::Config;
use crate::directory::Jobs;
use crate::group::Groups;
use crate::program::Answer;
use crate::reply::{Reply, Said};
use crate::request::Request;
use crate::stage::{Refused, Stage};
use crate::trusted::{self, Kind, Owners};
use crate::user::become_user;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::resource::setrlimit;
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{Pid, alarm, dup2_stdin, dup2_stdout, execveat, getpid, getsid, setsid};
use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

/// The starter's; a rank's is the job's own.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The starter's option before the milliseconds of its first lease.
const FIRST_LEASE: &str = "--first-lease-ms";
/// How the system protects a process when memory is short.
const OOM: &str = "/proc/self/oom_score_adj";

/// Does not come back where all goes well.
///
/// # Errors
/// The step that failed: nothing was started.
pub fn start(
    config: &Config,
    request: &Request,
    user: &Account,
    caller: u32,
    answer: &Answer,
) -> Result<(), Refused> {
    let starter = open_starter(config)?;
    let groups = Groups::open(config, caller)?;
    Jobs::open(config, caller)?.find_or_make(request, user)?;
    let directory = config.jobs.join(request.job_text());
    let lease = request.first_lease_ms.to_string();
    let first = [
        "dc-starter".as_ref(),
        "serve".as_ref(),
        directory.as_os_str(),
        FIRST_LEASE.as_ref(),
        lease.as_ref(),
    ];
    let argv: Vec<_> =
        first.into_iter().map(word).take(if request.first_lease_ms == 0 { 3 } else { 5 }).collect();
    let environment = environment(request, user, directory.as_os_str());
    let before = || groups.map_or(Ok(()), |groups| groups.enter(request, user));
    become_starter(config, user, answer, &starter, (&argv, &environment), before)
}

/// The starter's program as the job's user, to look at the job's directory or to kill what a starter left: the kernel
/// shows whose a process is by its environment to that user alone. Comes back well where the job has no directory, and else
/// not at all where all goes well.
///
/// # Errors
/// The step that failed: nothing was started.
pub fn sweep(
    config: &Config,
    request: &Request,
    user: &Account,
    caller: u32,
    answer: &Answer,
) -> Result<(), Refused> {
    let starter = open_starter(config)?;
    if Jobs::open(config, caller)?.find(request, user)?.is_none() {
        return Ok(());
    }
    let (directory, job) = (config.jobs.join(request.job_text()), request.job_text());
    let words: [&OsStr; 5] =
        ["dc-starter".as_ref(), "sweep".as_ref(), directory.as_os_str(), job.as_ref(), "kill".as_ref()];
    let argv: Vec<_> = words.into_iter().map(word).take(if request.signal == 0 { 4 } else { 5 }).collect();
    // Without the job's tag: it would be one of those that are to be killed.
    let environment = [word(OsStr::from_bytes(&[b"PATH=", PATH.as_bytes()].concat()))];
    become_starter(config, user, answer, &starter, (&argv, &environment), || Ok(()))
}

fn become_starter(
    config: &Config,
    user: &Account,
    answer: &Answer,
    starter: &OwnedFd,
    (argv, environment): (&[CString], &[CString]),
    before: impl FnOnce() -> Result<(), Refused>,
) -> Result<(), Refused> {
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(Refused::by(Stage::Descriptors, "/dev/null"))?;

    surroundings()?;
    before()?;
    for limit in &config.limits {
        let what = format!("{:?}", limit.resource);
        setrlimit(limit.resource, limit.max, limit.max).map_err(Refused::by(Stage::Limits, what))?;
    }
    become_user(user, config.no_new_privs)?;
    let descriptors = || Refused::by(Stage::Descriptors, "cannot be replaced");
    dup2_stdin(&null).map_err(descriptors())?;
    dup2_stdout(&null).map_err(descriptors())?;
    calls::close_from(3, true).map_err(descriptors())?;
    calls::reset_signals().map_err(Refused::by(Stage::Exec, "signals"))?;
    alarm::cancel();
    answer.send(&Reply::of(Said::Going)).map_err(Refused::by(Stage::Exec, "cannot answer"))?;
    let Err(errno) = execveat(starter, c"", argv, environment, AtFlags::AT_EMPTY_PATH);
    Err(Refused::by(Stage::Exec, config.starter.display().to_string())(errno))
}

/// The starter's file, opened: what is executed is what was checked.
///
/// # Errors
/// When it is not root's alone, or would give rights itself.
pub fn open_starter(config: &Config) -> Result<OwnedFd, Refused> {
    let file = trusted::open(&config.starter, Kind::File, Owners::ROOT, Stage::Starter)?;
    let say = |why: &str| Refused::rule(Stage::Starter, format!("{} {why}", config.starter.display()));
    let mode = fstat(&file).map_err(Refused::by(Stage::Starter, "fstat"))?.st_mode;
    if mode & 0o6000 != 0 {
        return Err(say("is setuid or setgid: chmod 755"));
    }
    if mode & 0o001 == 0 {
        return Err(say("is not executable by everybody: chmod 755"));
    }
    Ok(file)
}

/// Built from nothing. The job's own variables travel to the starter, which sets them at the last exec.
fn environment(request: &Request, user: &Account, directory: &OsStr) -> Vec<CString> {
    let entry = |name: &str, value: &OsStr| {
        word(OsStr::from_bytes(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
    };
    vec![
        entry("PATH", PATH.as_ref()),
        entry("HOME", user.home.as_os_str()),
        entry("USER", user.name.as_ref()),
        entry("LOGNAME", user.name.as_ref()),
        entry("SHELL", user.shell.as_os_str()),
        entry("DC_JOB_UUID", request.job_text().as_ref()),
        entry("DC_SPOOL", directory),
    ]
}

/// What the system's accounts say, or plain text: without zero bytes.
fn word(text: &OsStr) -> CString {
    CString::new(text.as_bytes()).unwrap_or_default()
}

/// A session of its own, no key of the caller's, and no protection from the system's want of memory that is dcd's.
fn surroundings() -> Result<(), Refused> {
    let say = |what: &str| Refused::by(Stage::Surroundings, what.to_owned());
    let leads = || getsid(None).is_ok_and(|session: Pid| session == getpid());
    match setsid() {
        Ok(_) => {}
        Err(Errno::EPERM) if leads() => {}
        Err(errno) => return Err(say("setsid")(errno)),
    }
    match calls::join_new_keyring() {
        // No keys in this kernel, or a sandbox that hides them: then there are none to inherit either.
        Ok(()) | Err(Errno::ENOSYS | Errno::EPERM) => {}
        Err(errno) => return Err(say("keyring")(errno)),
    }
    let failed = |error: std::io::Error| say(OOM)(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw));
    let protected = std::fs::read_to_string(OOM).map_err(failed)?;
    if protected.starts_with('-') {
        std::fs::write(OOM, "0").map_err(failed)?;
    }
    Ok(())
}
