//! The floor: what this machine can do at most. A bare loop of posix_spawn and waitpid, with so many in flight.
//! The children inherit this process's CPUs; nothing is bound, read, journaled or supervised.

use crate::error::BenchError;
use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// Starts one program again and again.
pub struct Spawner {
    actions: PosixSpawnFileActions,
    attributes: PosixSpawnAttr,
    environment: Vec<CString>,
    program: CString,
    arguments: Vec<CString>,
}

impl Spawner {
    /// For a program with all its arguments, the first of which is its name.
    pub fn new(program: &CStr, arguments: Vec<CString>) -> Result<Self, BenchError> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
            .collect();
        Ok(Self {
            actions: PosixSpawnFileActions::init()
                .map_err(BenchError::os("posix_spawn_file_actions_init"))?,
            attributes: PosixSpawnAttr::init().map_err(BenchError::os("posix_spawnattr_init"))?,
            environment,
            program: program.to_owned(),
            arguments,
        })
    }

    pub fn spawn(&self) -> Result<Pid, BenchError> {
        posix_spawn(
            self.program.as_c_str(),
            &self.actions,
            &self.attributes,
            &self.arguments,
            &self.environment,
        )
        .map_err(BenchError::os("cannot spawn"))
    }
}

/// Waits for this child, however it ends.
pub fn wait_for(pid: Pid) -> Result<WaitStatus, BenchError> {
    loop {
        match waitpid(pid, None) {
            Err(Errno::EINTR) => {}
            result => return result.map_err(BenchError::os("waitpid")),
        }
    }
}

fn bin_true() -> Result<Spawner, BenchError> {
    Spawner::new(c"/bin/true", vec![c"true".to_owned()])
}

/// Runs `/bin/true` `count` times, `lanes` at a time, and returns how long that took.
pub fn run(count: usize, lanes: usize) -> Result<Duration, BenchError> {
    let spawner = bin_true()?;
    let start = Instant::now();
    let (mut spawned, mut running) = (0, 0);
    while spawned < count || running > 0 {
        while spawned < count && running < lanes {
            spawner.spawn()?;
            spawned += 1;
            running += 1;
        }
        // Any child.
        has_ended_well(wait_for(Pid::from_raw(-1))?)?;
        running -= 1;
    }
    Ok(start.elapsed())
}

/// Runs `/bin/true`, one at a time, for so long; returns how many and how long each took from its start to its end.
pub fn run_for(time: Duration) -> Result<Vec<Duration>, BenchError> {
    let spawner = bin_true()?;
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        let begin = Instant::now();
        has_ended_well(wait_for(spawner.spawn()?)?)?;
        times.push(begin.elapsed());
    }
    Ok(times)
}

fn has_ended_well(status: WaitStatus) -> Result<(), BenchError> {
    match status {
        WaitStatus::Exited(_, 0) => Ok(()),
        other => {
            let how = format!("{other:?}");
            Err(BenchError::Failed { program: "/bin/true".into(), how, words: String::new() })
        }
    }
}
