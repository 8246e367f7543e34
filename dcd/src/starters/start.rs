//! Making a starter that outlives this process. Its program forks, and the first process ends when the second takes
//! connections, or has failed and said why.

use crate::process::calls::{End, PidFd, Whose, reap};
use crate::spawn::{STARTER_VARIABLE, spawn_server};
use dc_model::JobUuid;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;
use thiserror::Error;

/// So much of what it says is kept.
const SAID_BYTES_MAX: u64 = 4096;

/// Why there is no starter.
#[derive(Debug, Error)]
pub enum StartError {
    /// Its process could not be made.
    #[error("cannot start {path}: {source}; set {STARTER_VARIABLE} to the path of a dc-starter that runs")]
    Exec {
        /// Its file, escaped.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// dc-exec does not start it.
    #[error(transparent)]
    Privileged(#[from] crate::privileged::PrivilegedError),
    /// It has ended at once.
    #[error("the starter ended at once ({how}){}", after_colon(.said))]
    Ended {
        /// How.
        how: String,
        /// What it said, escaped.
        said: String,
    },
}

fn after_colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// A starter that was just started.
#[derive(Debug)]
pub struct Starting {
    pid: Pid,
    pidfd: PidFd,
    said: File,
    is_reaped: bool,
}

/// Starts one for a job in its directory: in a session of its own, with an empty signal mask and no signal ignored, as a
/// child of init (or of whoever has made itself the reaper of orphans: where that is this process, it reaps it). It carries the
/// job's tag. Without a lease it kills its ranks and ends after `first_lease`.
///
/// # Errors
/// When its process cannot be made.
pub fn start(exe: &Path, job: JobUuid, dir: &Path, first_lease: Duration) -> Result<Starting, StartError> {
    start_with(exe, job, dir, first_lease, true)
}

/// As [`start`]; `binds` is false on a machine that is only described: its ranks are told their CPUs and not bound to them.
///
/// # Errors
/// As [`start`].
pub fn start_with(
    exe: &Path,
    job: JobUuid,
    dir: &Path,
    first_lease: Duration,
    binds: bool,
) -> Result<Starting, StartError> {
    let failed = |source: io::Error| StartError::Exec {
        path: exe.to_string_lossy().escape_debug().to_string(),
        source,
    };
    let said = memfd_create("dc-starter", MFdFlags::MFD_CLOEXEC).map_err(|e| failed(e.into()))?;
    let pid = spawn_server(exe, job, dir, (first_lease, binds), &said).map_err(|e| failed(e.into()))?;
    let pidfd = PidFd::open(pid).map_err(|e| failed(e.into()))?;
    Ok(Starting { pid, pidfd, said: File::from(said), is_reaped: false })
}

impl Starting {
    /// One whose process this makes, with its words going to the given descriptor.
    pub(super) fn through(
        spawn: impl FnOnce(BorrowedFd<'_>) -> Result<Pid, StartError>,
    ) -> Result<Self, StartError> {
        let failed = |source: io::Error| StartError::Exec { path: "dc-exec".to_owned(), source };
        let said = memfd_create("dc-starter", MFdFlags::MFD_CLOEXEC).map_err(|e| failed(e.into()))?;
        let pid = spawn(said.as_fd())?;
        let pidfd = PidFd::open(pid).map_err(|e| failed(e.into()))?;
        Ok(Self { pid, pidfd, said: File::from(said), is_reaped: false })
    }

    /// Waits for its end, and gives what its exit status means.
    ///
    /// # Errors
    /// When it means nothing.
    pub(super) fn wait_for<T>(mut self, meaning: impl Fn(u8) -> Option<T>) -> Result<T, StartError> {
        loop {
            let end = match reap(Whose::Pid(self.pid)) {
                Ok(Some((_, end))) => end,
                Ok(None) => {
                    self.pidfd.wait_end(u16::MAX);
                    continue;
                }
                Err(errno) => return Err(self.ended(errno.desc().to_owned())),
            };
            self.is_reaped = true;
            return match end {
                End::Exited(status) => {
                    meaning(status).ok_or_else(|| self.ended(format!("exit status {status}")))
                }
                End::Signalled(signal) => Err(self.ended(format!("signal {signal}"))),
            };
        }
    }

    /// Readable when [`Starting::try_finish`] has an answer.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Whether it takes connections now. Never waits.
    ///
    /// # Errors
    /// When it has failed.
    pub fn try_finish(&mut self) -> Result<bool, StartError> {
        if self.is_reaped {
            return Ok(true);
        }
        let end = match reap(Whose::Pid(self.pid)) {
            Ok(Some((_, end))) => end,
            Ok(None) => return Ok(false),
            Err(errno) => return Err(self.ended(errno.desc().to_owned())),
        };
        self.is_reaped = true;
        match end {
            End::Exited(0) => Ok(true),
            End::Exited(status) => Err(self.ended(format!("exit status {status}"))),
            End::Signalled(signal) => Err(self.ended(format!("signal {signal}"))),
        }
    }

    /// Waits for that.
    ///
    /// # Errors
    /// When it has failed.
    pub fn wait(mut self) -> Result<(), StartError> {
        while !self.try_finish()? {
            self.pidfd.wait_end(u16::MAX);
        }
        Ok(())
    }

    fn ended(&mut self, how: String) -> StartError {
        let mut text = Vec::new();
        let _ = self.said.seek(SeekFrom::Start(0));
        let _ = (&self.said).take(SAID_BYTES_MAX).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<String> = text.lines().map(|line| line.escape_debug().to_string()).collect();
        StartError::Ended { how, said: lines.join("; ") }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        // It ends in a moment by itself: this waits no longer than its start takes.
        if !self.is_reaped {
            let _ = crate::process::calls::reap_blocking(self.pid);
        }
    }
}
