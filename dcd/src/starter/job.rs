//! What the starter was told once of the job it serves.

use super::env::Environment;
use crate::launch::Refused;
use dc_model::wire::Hello;
use dc_model::{CpuSet, JobUuid, LaunchStage};
use nix::errno::Errno;
use nix::sched::{CpuSet as Mask, sched_getaffinity};
use nix::unistd::Pid;
use std::ffi::{CString, NulError};
use std::path::PathBuf;
use std::time::Duration;

/// The job, made ready for launches.
#[derive(Debug)]
pub struct Job {
    /// Its name.
    pub uuid: JobUuid,
    /// Its spool directory.
    pub spool: PathBuf,
    /// The kernel's file.
    pub program: CString,
    /// The kernel's arguments.
    pub argv: Vec<CString>,
    /// The directory each rank must still enter; `None` when the starter is in it, and ranks with it.
    pub cwd: Option<CString>,
    /// The ranks' environment.
    pub env: Environment,
    /// Between a signal and SIGKILL.
    pub grace: Duration,
}

impl Job {
    /// From dcrun's first message.
    ///
    /// # Errors
    /// When a string holds a zero byte.
    pub fn new(hello: &Hello) -> Result<Self, NulError> {
        use std::os::unix::ffi::OsStringExt;
        let host = nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
        let cwd = CString::new(&hello.cwd[..])?;
        // Entered once here: where that fails, each rank tries, and says so.
        let entered = nix::unistd::chdir(cwd.as_c_str()).is_ok();
        Ok(Self {
            uuid: hello.job,
            spool: PathBuf::from(std::ffi::OsString::from_vec(hello.spool.clone())),
            program: CString::new(&hello.program[..])?,
            argv: hello.argv.iter().map(|arg| CString::new(&arg[..])).collect::<Result<_, _>>()?,
            cwd: (!entered).then_some(cwd),
            env: Environment::new(hello, &host, std::process::id(), allowed())?,
            grace: Duration::from_millis(hello.grace_ms),
        })
    }
}

/// The CPUs this process may use.
fn allowed() -> CpuSet {
    let mask = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..Mask::count()).filter(|cpu| mask.is_set(*cpu).unwrap_or(false)).map(|cpu| cpu as u32).collect()
}

/// A string with a zero byte can be no argument: as execve(2) would have it.
#[must_use]
pub fn not_a_string(_: NulError) -> Refused {
    Refused { stage: LaunchStage::Exec, errno: Errno::EINVAL as i32 }
}
