//! The floor: what this machine can do at most. A bare loop of posix_spawn and waitpid, with so many in flight.
//! The children inherit this process's CPUs; nothing is bound, read, journaled or supervised.

use crate::error::BenchError;
use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// Runs `/bin/true` `count` times, `lanes` at a time, and returns how long that took.
pub fn run(count: usize, lanes: usize) -> Result<Duration, BenchError> {
    let environment: Vec<CString> = std::env::vars_os()
        .filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
        .collect();
    let arguments = [c"true"];
    let failed = |what| BenchError::os(what);
    let actions = PosixSpawnFileActions::init().map_err(failed("posix_spawn_file_actions_init"))?;
    let attributes = PosixSpawnAttr::init().map_err(failed("posix_spawnattr_init"))?;

    let start = Instant::now();
    let (mut spawned, mut running) = (0, 0);
    while spawned < count || running > 0 {
        while spawned < count && running < lanes {
            posix_spawn(c"/bin/true", &actions, &attributes, &arguments, &environment)
                .map_err(failed("cannot spawn /bin/true"))?;
            spawned += 1;
            running += 1;
        }
        match waitpid(None::<Pid>, None) {
            Ok(WaitStatus::Exited(_, 0)) => running -= 1,
            Ok(other) => {
                let how = format!("{other:?}");
                return Err(BenchError::Failed { program: "/bin/true".into(), how, words: String::new() });
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed("waitpid")(errno)),
        }
    }
    Ok(start.elapsed())
}
