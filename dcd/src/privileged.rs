//! What dcd, which runs as its own user, asks of `dc-exec` for another user's job: its starter, a connection to it, its
//! files, its end, its removal. Each asking is a process of a few milliseconds; none of them is on the launch path.

use crate::process::calls::{Whose, reap_blocking};
use dc_exec::{Asked, Request, Stage, Told, Verb};
use dc_model::JobUuid;
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// Why it was not done.
#[derive(Debug, Error)]
pub enum PrivilegedError {
    /// dc-exec refuses, or the system refused it.
    #[error("dc-exec refuses: {text}")]
    Refused {
        /// At which step.
        stage: Stage,
        /// The system's error; 0 where dc-exec itself refuses.
        errno: i32,
        /// Step and reason for people: printable ASCII.
        text: String,
    },
    /// It ended without a word.
    #[error(
        "{path} ended without an answer: is it of this version? `{path} check` says what is wrong with it"
    )]
    Silent {
        /// Its file, escaped.
        path: String,
    },
    /// Its process could not be made, or asked.
    #[error("cannot ask {path}: {}; is it installed for this user's group, mode 4750?", .errno.desc())]
    Os {
        /// Its file, escaped.
        path: String,
        /// Why.
        errno: Errno,
    },
    /// Somebody else than the job's user answers at the starter's socket.
    #[error("user {found} answers in the place of user {wanted}'s starter")]
    Stranger {
        /// Who.
        found: u32,
        /// Who should.
        wanted: u32,
    },
}

/// Whose job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owned {
    /// The job.
    pub job: JobUuid,
    /// Its user's number.
    pub uid: u32,
}

/// A dc-exec.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Privileged {
    exe: PathBuf,
}

impl Privileged {
    /// The one of this file.
    #[must_use]
    pub fn new(exe: &Path) -> Self {
        Self { exe: exe.to_owned() }
    }

    /// Starts the job's starter in its directory, which is made. What it says goes to `stderr`. The process is a child of
    /// the caller's, which reaps it: it ends with 0 when the starter takes connections.
    ///
    /// # Errors
    /// When it is refused: then nothing was started.
    pub fn start(
        &self,
        of: Owned,
        digest: [u8; 32],
        first_lease: Duration,
        stderr: BorrowedFd<'_>,
    ) -> Result<Pid, PrivilegedError> {
        let first_lease_ms = u32::try_from(first_lease.as_millis()).unwrap_or(u32::MAX);
        let request = Request { digest, first_lease_ms, ..request(Verb::Start, of) };
        let (pid, told) = self.ask(&request, stderr, None)?;
        match told {
            Told::Started => Ok(pid),
            other => {
                let _ = reap_blocking(pid);
                self.done(other).and(Err(self.silent()))
            }
        }
    }

    /// The starter's program as the job's user on an errand: it looks whether the job's starter lives, or kills all that is
    /// left of it. The process is a child of the caller's; none: there is no directory of the job's.
    ///
    /// # Errors
    /// When it is refused: then nothing was started.
    pub fn sweep(
        &self,
        of: Owned,
        does_kill: bool,
        stderr: BorrowedFd<'_>,
    ) -> Result<Option<Pid>, PrivilegedError> {
        let signal = if does_kill { nix::libc::SIGKILL } else { 0 };
        let (pid, told) = self.ask(&Request { signal, ..request(Verb::Sweep, of) }, stderr, None)?;
        if let Told::Started = told {
            return Ok(Some(pid));
        }
        let _ = reap_blocking(pid);
        self.done(told).map(|_| None)
    }

    /// A connection to the job's starter.
    ///
    /// # Errors
    /// When none answers, or somebody else does.
    pub fn connect(&self, of: Owned) -> Result<UnixStream, PrivilegedError> {
        let stream = UnixStream::from(self.handed(&request(Verb::Connect, of))?);
        let peer = getsockopt(&stream, PeerCredentials).map_err(|errno| self.os(errno))?;
        match peer.uid() {
            found if found == of.uid => Ok(stream),
            found => Err(PrivilegedError::Stranger { found, wanted: of.uid }),
        }
    }

    /// A file of the job's, such as `result/00000001-a000001.result`, opened for reading.
    ///
    /// # Errors
    /// When it is not there, or no plain file of the user's.
    pub fn open(&self, of: Owned, name: &str) -> Result<File, PrivilegedError> {
        let request = Request { name: name.to_owned(), ..request(Verb::Open, of) };
        self.handed(&request).map(File::from)
    }

    /// Sends a signal to the process of a pidfd, as the job's user; SIGKILL also to the job's control group, where it has
    /// one.
    ///
    /// # Errors
    /// When there is nothing to send it to, or it is another user's.
    pub fn kill(&self, of: Owned, signal: i32, pidfd: Option<BorrowedFd<'_>>) -> Result<(), PrivilegedError> {
        self.do_it(&Request { signal, ..request(Verb::Kill, of) }, pidfd)
    }

    /// Removes the job's directory and control group.
    ///
    /// # Errors
    /// While something of it runs, or when something cannot be removed.
    pub fn remove(&self, of: Owned) -> Result<(), PrivilegedError> {
        self.do_it(&request(Verb::Remove, of), None)
    }

    fn do_it(&self, request: &Request, pidfd: Option<BorrowedFd<'_>>) -> Result<(), PrivilegedError> {
        self.told(request, pidfd).and_then(|told| self.done(told)).map(drop)
    }

    fn handed(&self, request: &Request) -> Result<OwnedFd, PrivilegedError> {
        self.told(request, None).and_then(|told| self.done(told))?.ok_or_else(|| self.silent())
    }

    fn done(&self, told: Told) -> Result<Option<OwnedFd>, PrivilegedError> {
        match told {
            Told::Done(handed) => Ok(handed),
            Told::Refused { stage, errno, text } => Err(PrivilegedError::Refused { stage, errno, text }),
            Told::Started | Told::Nothing => Err(self.silent()),
        }
    }

    /// Asks, and reaps what was asked.
    fn told(&self, request: &Request, pidfd: Option<BorrowedFd<'_>>) -> Result<Told, PrivilegedError> {
        // Its line for people comes in the reply too.
        let null = File::options().write(true).open("/dev/null").map_err(|error| self.io(&error))?;
        let (pid, told) = self.ask(request, null.as_fd(), pidfd)?;
        let _ = reap_blocking(pid);
        Ok(told)
    }

    fn ask(
        &self,
        request: &Request,
        stderr: BorrowedFd<'_>,
        pidfd: Option<BorrowedFd<'_>>,
    ) -> Result<(Pid, Told), PrivilegedError> {
        let word = |text: &[u8]| CString::new(text).map_err(|_| self.os(Errno::EINVAL));
        let words = [word(self.exe.as_os_str().as_bytes())?, word(request.verb.word().as_bytes())?];
        let asked = Asked::spawn(&words, &[], request, stderr, pidfd).map_err(|errno| self.os(errno))?;
        let pid = asked.pid;
        asked.wait().map(|told| (pid, told)).map_err(|errno| {
            let _ = crate::process::calls::reap(Whose::Pid(pid));
            self.os(errno)
        })
    }

    fn silent(&self) -> PrivilegedError {
        PrivilegedError::Silent { path: self.shown() }
    }

    fn os(&self, errno: Errno) -> PrivilegedError {
        PrivilegedError::Os { path: self.shown(), errno }
    }

    fn io(&self, error: &io::Error) -> PrivilegedError {
        self.os(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }

    fn shown(&self) -> String {
        self.exe.to_string_lossy().escape_debug().to_string()
    }
}

fn request(verb: Verb, of: Owned) -> Request {
    Request::new(verb, of.uid, of.job.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: Owned = Owned { job: JobUuid([1; 16]), uid: 4201 };

    #[test]
    fn one_that_is_not_there_and_one_that_says_nothing_are_told() {
        let missing = Privileged::new(Path::new("/nonexistent/dc-exec"));
        assert!(matches!(missing.remove(OF), Err(PrivilegedError::Os { errno: Errno::ENOENT, .. })));
        let other = Privileged::new(Path::new("/bin/true"));
        assert!(matches!(other.connect(OF), Err(PrivilegedError::Silent { .. })));
        let null = File::options().write(true).open("/dev/null").unwrap();
        let started = other.start(OF, [0; 32], Duration::from_secs(1), null.as_fd());
        assert!(matches!(started, Err(PrivilegedError::Silent { .. })), "{started:?}");
    }
}
