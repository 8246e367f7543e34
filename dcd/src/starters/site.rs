//! A job's directory on this node and who does what there: this process where the job is its own user's; `dc-exec` where dcd
//! runs as a user of its own. What is told and what comes back are the same both ways. All of it but [`Site::new`] may wait.

use super::connect::{ConnectError, socket_of};
use super::errand;
use super::start::{StartError, Starting};
use super::{Life, bury, life};
use crate::privileged::{Owned, Privileged, PrivilegedError};
use crate::sweep::sweep_job_in;
use dc_exec::Stage;
use dc_model::JobUuid;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    job: JobUuid,
    dir: PathBuf,
    by: Option<(Privileged, Owned)>,
}

impl Site {
    /// Of a job and its directory; `exec` and the job's user where dc-exec is needed.
    #[must_use]
    pub fn new(job: JobUuid, dir: PathBuf, exec: Option<(&Privileged, u32)>) -> Self {
        let by = exec.map(|(exec, uid)| (exec.clone(), Owned { job, uid }));
        Self { job, dir, by }
    }

    /// Of a directory that is there: its owner is the job's user. Root's own is what a crash left before it was anybody's, and
    /// there is nothing in it.
    ///
    /// # Errors
    /// When it is not there; ENOENT for root's own too, where dc-exec makes them.
    pub fn of(job: JobUuid, dir: PathBuf, exec: Option<&Privileged>) -> io::Result<Self> {
        let stat = std::fs::symlink_metadata(&dir)?;
        if exec.is_some() && stat.uid() == 0 {
            return Err(Errno::ENOENT.into());
        }
        Ok(Self::new(job, dir, exec.map(|exec| (exec, stat.uid()))))
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> JobUuid {
        self.job
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether dc-exec is needed, so that each of these takes some milliseconds.
    #[must_use]
    pub fn is_others(&self) -> bool {
        self.by.is_some()
    }

    /// Makes another user's directory and starts the starter in it. None where the job is this user's own.
    ///
    /// # Errors
    /// When nothing was started.
    pub fn start_as_user(&self, first_lease: Duration) -> Option<Result<(), StartError>> {
        let (exec, of) = self.by.as_ref()?;
        let begun = Starting::through(|said| {
            // Nothing can be proved to it yet, so there is nothing that a digest would be compared with.
            exec.start(*of, [0; 32], first_lease, said).map_err(StartError::from)
        });
        Some(begun.and_then(Starting::wait))
    }

    /// A connection to the starter.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(&self) -> Result<OwnedFd, ConnectError> {
        let Some((exec, of)) = &self.by else { return socket_of(&self.dir) };
        let dir = || self.dir.to_string_lossy().escape_debug().to_string();
        match exec.connect(*of) {
            Ok(stream) => Ok(stream.into()),
            Err(PrivilegedError::Stranger { found, .. }) => {
                Err(ConnectError::Stranger { dir: dir(), uid: found })
            }
            Err(PrivilegedError::Refused { stage: Stage::Connect | Stage::Directory, errno, .. })
                if [Errno::ENOENT, Errno::ECONNREFUSED, Errno::EAGAIN, Errno::UnknownErrno]
                    .contains(&Errno::from_raw(errno)) =>
            {
                // It takes its lock before it listens.
                match self.life() {
                    Ok(Life::Alive) => Err(ConnectError::NotYet { dir: dir() }),
                    Ok(_) => Err(ConnectError::Dead { dir: dir() }),
                    Err(error) => Err(ConnectError::Exec { dir: dir(), why: error.to_string() }),
                }
            }
            Err(error) => Err(ConnectError::Exec { dir: dir(), why: error.to_string() }),
        }
    }

    /// Whether it has a starter.
    ///
    /// # Errors
    /// When that cannot be known.
    pub fn life(&self) -> io::Result<Life> {
        match &self.by {
            None => life(&self.dir),
            Some((exec, of)) => self.errand(exec, *of, false),
        }
    }

    /// Kills what a dead starter left; `by_force`: a living one too. Says whether one lives all the same.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn bury(&self, by_force: bool) -> io::Result<Life> {
        let Some((exec, of)) = &self.by else {
            if by_force {
                sweep_job_in(self.job, &self.dir)?;
            }
            bury(self.job, &self.dir)?;
            return life(&self.dir);
        };
        let found = self.errand(exec, *of, false)?;
        if found == Life::Absent || found == Life::Alive && !by_force {
            return Ok(found);
        }
        // Whatever has cleared its environment is in the control group, where there is one; where there is none it says so.
        let _ = exec.kill(*of, nix::libc::SIGKILL, None);
        self.errand(exec, *of, true)
    }

    fn errand(&self, exec: &Privileged, of: Owned, does_kill: bool) -> io::Result<Life> {
        let other = |error: StartError| io::Error::other(error.to_string());
        let mut is_there = true;
        let begun = Starting::through(|said| match exec.sweep(of, does_kill, said)? {
            Some(pid) => Ok(pid),
            None => {
                is_there = false;
                Err(StartError::Ended { how: "no directory".to_owned(), said: String::new() })
            }
        });
        match begun {
            Err(_) if !is_there => Ok(Life::Absent),
            Err(error) => Err(other(error)),
            Ok(starting) => starting.wait_for(errand::found).map_err(other),
        }
    }

    /// Removes another user's directory. None where the job is this user's own.
    ///
    /// # Errors
    /// While something of it runs, or when something cannot be removed.
    pub fn remove_as_user(&self) -> Option<Result<(), PrivilegedError>> {
        self.by.as_ref().map(|(exec, of)| exec.remove(*of))
    }

    /// A file of the job's, opened for reading: `name` is below its directory, and no link on the way is followed.
    ///
    /// # Errors
    /// When it is not there, or no plain file; ENOENT tells the first.
    pub fn open_in_job(&self, name: &str) -> io::Result<File> {
        if let Some((exec, of)) = &self.by {
            return exec.open(*of, name).map_err(|error| match error {
                PrivilegedError::Refused { errno, .. } if errno == Errno::ENOENT as i32 => {
                    Errno::ENOENT.into()
                }
                error => io::Error::other(error.to_string()),
            });
        }
        let dir = super::lock::open_dir(&self.dir)?;
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let file = File::from(openat2(&dir, name, OpenHow::new().flags(flags).resolve(resolve))?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(Errno::EINVAL.into()) }
    }
}
