//! The beginning of a starter that serves: it leaves its parent's session and its parent, and says by its first process's
//! end that it takes connections.
//!
//! Unsafe because it forks: right at its start, when it has one thread.
#![allow(unsafe_code)]

use super::Serve;
use super::door::{Door, DoorError, TIMER};
use super::lease::Lease;
use crate::process::calls::{End, Whose, close_from, reap, reap_blocking};
use crate::starter::inherited::PROGRESS;
use crate::starter::{Control, OutputSocket, Starter};
use crate::starters::{FIRST_LEASE_WORD, RECORD_BINDINGS_WORD, SERVE_WORD};
use dc_model::exit;
use dc_spool::layout;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, read, setsid, write};
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use thiserror::Error;

/// How long it waits for its first lease, where nobody says.
const FIRST_LEASE: Duration = Duration::from_secs(60);
const FIRST_LEASE_MS_MAX: u64 = 24 * 3600 * 1000;

#[derive(Debug, Error)]
enum BeginError {
    #[error(
        "usage: dc-starter {SERVE_WORD} DIRECTORY [{FIRST_LEASE_WORD} MS] [{RECORD_BINDINGS_WORD}]; it is meant to be started by dcd"
    )]
    Usage,
    #[error(transparent)]
    Door(#[from] DoorError),
    #[error("{0} failed: {1}")]
    Os(&'static str, #[source] io::Error),
}

struct Request {
    dir: PathBuf,
    first_lease: Duration,
    binds: bool,
}

fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Request, BeginError> {
    let dir = PathBuf::from(words.next().filter(|dir| !dir.is_empty()).ok_or(BeginError::Usage)?);
    let mut word = words.next();
    let mut first_lease = FIRST_LEASE;
    if word.as_ref().is_some_and(|word| word == FIRST_LEASE_WORD) {
        let ms = words.next().and_then(|ms| ms.to_str()?.parse().ok());
        let ms = ms.filter(|ms| (1..=FIRST_LEASE_MS_MAX).contains(ms));
        first_lease = Duration::from_millis(ms.ok_or(BeginError::Usage)?);
        word = words.next();
    }
    let binds = word.as_ref().is_none_or(|word| word != RECORD_BINDINGS_WORD);
    if !binds {
        word = words.next();
    }
    if word.is_some() {
        return Err(BeginError::Usage);
    }
    Ok(Request { dir, first_lease, binds })
}

/// The program, with the words after `serve`.
#[must_use]
pub fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    match parse(words).and_then(|request| begin(&request)) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "dc-starter: {error}");
            ExitCode::from(exit::DC_ERROR)
        }
    }
}

fn os(what: &'static str) -> impl Fn(Errno) -> BeginError {
    move |errno| BeginError::Os(what, errno.into())
}

fn begin(request: &Request) -> Result<ExitCode, BeginError> {
    close_from(PROGRESS - 2).map_err(|e| BeginError::Os("close_range", e))?;
    // The ranks' progress file will have this number; what it is comes with the job.
    let progress = progress_place().map_err(os("dup"))?;
    let (news, teller) = pipe2(OFlag::O_CLOEXEC).map_err(os("pipe"))?;
    // SAFETY: this process has one thread.
    match unsafe { fork() }.map_err(os("fork"))? {
        ForkResult::Parent { child } => {
            drop(teller);
            let mut byte = [0];
            loop {
                match read(&news, &mut byte) {
                    // It serves: init is its parent from now on.
                    Ok(1) => return Ok(ExitCode::SUCCESS),
                    Err(Errno::EINTR) => {}
                    _ => break,
                }
            }
            let end = reap(Whose::Pid(child)).ok().flatten();
            if end.is_none() {
                let _ = reap_blocking(child);
            }
            let code = match end {
                Some((_, End::Exited(code))) if code != 0 => code,
                _ => exit::DC_ERROR,
            };
            Ok(ExitCode::from(code))
        }
        ForkResult::Child => {
            drop(news);
            let _ = setsid();
            let starter = make(request, progress)?;
            // From here on its words go by its reports.
            let null = File::options().read(true).write(true).open("/dev/null");
            let null = null.map_err(|e| BeginError::Os("opening /dev/null", e))?;
            dup2_stdin(&null).map_err(os("dup2"))?;
            dup2_stdout(&null).map_err(os("dup2"))?;
            dup2_stderr(&null).map_err(os("dup2"))?;
            let _ = write(&teller, &[1]);
            drop((teller, null));
            starter.serve();
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The number at which ranks find their progress file, taken.
fn progress_place() -> nix::Result<OwnedFd> {
    let null = File::open("/dev/null").map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))?;
    let fd = fcntl(&null, FcntlArg::F_DUPFD_CLOEXEC(PROGRESS))?;
    // SAFETY: just made, and nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    if fd.as_raw_fd() == PROGRESS { Ok(fd) } else { Err(Errno::EBUSY) }
}

fn make(request: &Request, progress: OwnedFd) -> Result<Starter, BeginError> {
    let door = Door::open(&request.dir)?;
    make_layout(&request.dir)?;
    // No directory that somebody wants to unmount is held.
    let _ = std::env::set_current_dir("/");
    let starter_inc = random().map_err(|e| BeginError::Os("reading /dev/urandom", e))?;
    let (control, output) = (Control::serving(), OutputSocket::serving(starter_inc));
    let mut starter =
        Starter::new(control, output, progress).map_err(|e| BeginError::Os("the beginning", e))?;
    // Behind that: its thread must be no other's to be signalled.
    let lease = Lease::await_first(request.first_lease).map_err(os("timerfd"))?;
    door.watch(lease.timer(), TIMER).map_err(os("epoll"))?;
    starter.binds = request.binds;
    starter.serve = Some(Box::new(Serve::new(door, lease, starter_inc)));
    Ok(starter)
}

/// Where dcd is another user it cannot make what a job's directory has: then it is empty, and this is the first there.
fn make_layout(dir: &Path) -> Result<(), BeginError> {
    for name in [layout::CKPT, layout::RESULT] {
        match DirBuilder::new().mode(layout::DIR_MODE).create(dir.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(|error| BeginError::Os("making the directories of a job", error))?,
        }
    }
    Ok(())
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_words_are_a_directory_and_a_time() {
        let parsed = |words: &[&str]| {
            parse(words.iter().map(OsString::from)).ok().map(|r| (r.dir, r.first_lease.as_millis()))
        };
        assert_eq!(parsed(&["/d"]), Some(("/d".into(), 60_000)));
        assert_eq!(parsed(&["d", FIRST_LEASE_WORD, "250"]), Some(("d".into(), 250)));
        for bad in [
            &[][..],
            &[""],
            &["/d", "250"],
            &["/d", FIRST_LEASE_WORD],
            &["/d", FIRST_LEASE_WORD, "0"],
            &["/d", FIRST_LEASE_WORD, "-1"],
            &["/d", FIRST_LEASE_WORD, "99999999999"],
            &["/d", FIRST_LEASE_WORD, "9", "9"],
        ] {
            assert_eq!(parsed(bad), None, "{bad:?}");
        }
    }
}
