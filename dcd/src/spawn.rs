//! dcrun's side of the starter: finding its program, starting it, and the sockets to it.

use crate::process::calls::{End, Whose, peek, reap, reap_blocking, signal_process};
use crate::process::tag;
use crate::starter::{CONTROL, OUTPUT, PROGRESS};
use crate::starters::{FIRST_LEASE_WORD, RECORD_BINDINGS_WORD, SERVE_WORD};
use dc_model::JobUuid;
use nix::libc;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use nix::unistd::Pid;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// The program's file name.
pub const STARTER_NAME: &str = "dc-starter";
/// The variable that names the program's file.
pub const STARTER_VARIABLE: &str = "DC_STARTER";

/// Why there is no starter.
#[derive(Debug, Error)]
pub enum SpawnError {
    /// Its program is nowhere.
    #[error(
        "cannot find {STARTER_NAME} beside dcrun or in ../libexec/dc: install it there, or set {STARTER_VARIABLE} to its path"
    )]
    NotFound,
    /// Sockets for it could not be made.
    #[error("cannot make sockets for the starter: {0}")]
    Sockets(#[source] io::Error),
    /// Its process could not be made.
    #[error(
        "cannot start {path}: {source}; set {STARTER_VARIABLE} to the path of a {STARTER_NAME} that runs"
    )]
    Exec {
        /// Its file, escaped.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// A starter that runs, as its parent sees it. Dropping it closes the sockets: the starter then kills every rank
/// and ends.
#[derive(Debug)]
pub struct Starter {
    /// Messages, both ways; blocking until its owner says otherwise.
    pub control: UnixStream,
    /// Output frames from it; blocking until its owner says otherwise.
    pub output: UnixStream,
    /// Its process, a child of the caller's that the caller reaps.
    pub pid: Pid,
}

impl Starter {
    /// Starts one: in a session of its own, with an empty signal mask and no signal ignored (which ranks inherit),
    /// standard error shared. It carries the job's tag, so that [`crate::sweep::sweep_job`] finds it too: what of it
    /// outlives dcrun by a moment must not launch anything beside the next run.
    ///
    /// # Errors
    /// When sockets or its process cannot be made.
    pub fn spawn(exe: &Path, progress: BorrowedFd<'_>, job: JobUuid) -> Result<Self, SpawnError> {
        let pair = || UnixStream::pair().map_err(SpawnError::Sockets);
        let ((control, its_control), (output, its_output)) = (pair()?, pair()?);
        // Above the numbers they will get: so that no dup2 overwrites the source of another.
        let its_progress = progress.try_clone_to_owned().map_err(SpawnError::Sockets)?;
        let sources = [
            (above(its_control.into())?, CONTROL),
            (above(its_output.into())?, OUTPUT),
            (above(its_progress)?, PROGRESS),
        ];
        let pid = try_spawn(exe, &sources, job).map_err(|errno| SpawnError::Exec {
            path: exe.to_string_lossy().escape_debug().to_string(),
            source: errno.into(),
        })?;
        Ok(Self { control, output, pid })
    }

    /// Whether it has ended, and how; it stays unreaped, so that its number cannot be another's. Never blocks.
    #[must_use]
    pub fn peek(&self) -> Option<End> {
        peek(Whose::Pid(self.pid)).ok().flatten().map(|(_, end)| end)
    }

    /// Reaps it if it has ended. Never blocks.
    #[must_use]
    pub fn try_reap(&self) -> Option<End> {
        reap(Whose::Pid(self.pid)).ok().flatten().map(|(_, end)| end)
    }

    /// Waits until it has ended, and reaps it.
    ///
    /// # Errors
    /// When it is reaped already.
    pub fn wait(&self) -> io::Result<()> {
        Ok(reap_blocking(self.pid)?)
    }

    /// Sends SIGKILL to it; only before it is reaped.
    ///
    /// # Errors
    /// When it is gone.
    pub fn kill(&self) -> io::Result<()> {
        Ok(signal_process(self.pid, libc::SIGKILL as u8)?)
    }
}

/// The same file under a number above those that a starter is given.
fn above(fd: OwnedFd) -> Result<OwnedFd, SpawnError> {
    let mut below = Vec::new();
    let mut fd = fd;
    while fd.as_raw_fd() <= PROGRESS {
        let next = fd.try_clone().map_err(SpawnError::Sockets)?;
        below.push(std::mem::replace(&mut fd, next));
    }
    Ok(fd)
}

fn try_spawn(exe: &Path, sources: &[(OwnedFd, i32)], job: JobUuid) -> nix::Result<Pid> {
    let mut actions = PosixSpawnFileActions::init()?;
    actions.add_open(
        libc::STDIN_FILENO,
        c"/dev/null",
        nix::fcntl::OFlag::O_RDONLY,
        nix::sys::stat::Mode::empty(),
    )?;
    // Its words are dcrun's words: on standard error. Standard output is the ranks'.
    actions.add_dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO)?;
    for (source, number) in sources {
        actions.add_dup2(source.as_raw_fd(), *number)?;
    }
    let attributes = attributes()?;
    posix_spawn(exe, &actions, &attributes, &[c_string(exe.as_os_str())?], &environment(job, None))
}

/// A session of its own, an empty signal mask, no signal ignored.
fn attributes() -> nix::Result<PosixSpawnAttr> {
    let mut attributes = PosixSpawnAttr::init()?;
    let session = PosixSpawnFlags::from_bits_retain(i32::from(libc::POSIX_SPAWN_SETSID));
    attributes.set_flags(
        session | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    attributes.set_sigmask(&SigSet::empty())?;
    // What dcrun's caller ignores would be ignored by every rank: a kernel could not be stopped by SIGTERM.
    attributes.set_sigdefault(&SigSet::all())?;
    Ok(attributes)
}

fn c_string(text: &OsStr) -> nix::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| nix::errno::Errno::EINVAL)
}

/// Starts one that serves a directory, as [`crate::starters::start`] has it: what it says before it does goes to `said`.
pub(crate) fn spawn_server(
    exe: &Path,
    job: JobUuid,
    dir: &Path,
    (first_lease, binds): (Duration, bool),
    said: &OwnedFd,
) -> nix::Result<Pid> {
    let mut actions = PosixSpawnFileActions::init()?;
    let read_only = nix::fcntl::OFlag::O_RDONLY;
    actions.add_open(libc::STDIN_FILENO, c"/dev/null", read_only, nix::sys::stat::Mode::empty())?;
    // A number of its own: what is duplicated onto itself would stay close-on-exec.
    let said = above(said.try_clone().map_err(errno)?).map_err(|_| nix::errno::Errno::EMFILE)?;
    actions.add_dup2(said.as_raw_fd(), libc::STDOUT_FILENO)?;
    actions.add_dup2(said.as_raw_fd(), libc::STDERR_FILENO)?;
    let first_lease_ms = first_lease.as_millis().to_string();
    let mut words = vec![
        c_string(exe.as_os_str())?,
        c_string(SERVE_WORD.as_ref())?,
        c_string(dir.as_os_str())?,
        c_string(FIRST_LEASE_WORD.as_ref())?,
        c_string(first_lease_ms.as_ref())?,
    ];
    if !binds {
        words.push(c_string(RECORD_BINDINGS_WORD.as_ref())?);
    }
    posix_spawn(exe, &actions, &attributes()?, &words, &environment(job, Some(dir)))
}

fn errno(error: io::Error) -> nix::errno::Errno {
    nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// This process's environment, with the job's tag in the place of one that an outer job may have left there, and its
/// directory where there may be several on this host.
fn environment(job: JobUuid, dir: Option<&Path>) -> Vec<CString> {
    let entry = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
    };
    let is_outer =
        |name: &OsStr| tag::NAMES.iter().any(|tag| name == *tag) || dir.is_some() && name == tag::SPOOL;
    let others = std::env::vars_os().filter(|(name, _)| !is_outer(name));
    let own = [(tag::JOB.into(), job.to_string().into())];
    let dir = dir.map(|dir| (tag::SPOOL.into(), dir.as_os_str().to_owned()));
    others.chain(own).chain(dir).filter_map(entry).collect()
}

/// The starter's program: the file that `DC_STARTER` names, else beside this program, else in ../libexec/dc.
///
/// # Errors
/// When it is in none of these places.
pub fn find_starter() -> Result<PathBuf, SpawnError> {
    let named = std::env::var_os(STARTER_VARIABLE);
    let beside = std::env::current_exe().ok();
    find_in(named.as_deref(), beside.as_deref()).ok_or(SpawnError::NotFound)
}

fn find_in(named: Option<&OsStr>, this_program: Option<&Path>) -> Option<PathBuf> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        // What the user names is not second-guessed: if it does not run, the error says which file.
        return Some(PathBuf::from(named));
    }
    let directory = this_program?.parent()?;
    let places = [directory.join(STARTER_NAME), directory.join("../libexec/dc").join(STARTER_NAME)];
    places.into_iter().find(|place| place.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn the_named_program_goes_first_then_the_one_beside() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        let libexec = dir.path().join("libexec/dc");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(&libexec).unwrap();
        let dcrun = bin.join("dcrun");
        assert_eq!(find_in(None, Some(&dcrun)), None);
        std::fs::write(libexec.join(STARTER_NAME), "").unwrap();
        assert_eq!(find_in(None, Some(&dcrun)), Some(bin.join("../libexec/dc").join(STARTER_NAME)));
        std::fs::write(bin.join(STARTER_NAME), "").unwrap();
        assert_eq!(find_in(Some(OsStr::new("")), Some(&dcrun)), Some(bin.join(STARTER_NAME)));
        assert_eq!(find_in(Some(OsStr::new("/x/s")), Some(&dcrun)), Some(PathBuf::from("/x/s")));
    }

    #[test]
    fn descriptors_move_above_those_a_starter_is_given() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let fd = above(file.as_fd().try_clone_to_owned().unwrap()).unwrap();
        assert!(fd.as_raw_fd() > PROGRESS);
    }
}
