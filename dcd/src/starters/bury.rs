//! What a starter that was killed may have left: processes that had left their rank's group, and the names in its
//! directory.

use super::lock::{Lock, noted, open_dir};
use super::{LOCK, SOCKET};
use crate::cgroup::group::Group;
use crate::sweep::sweep_job_in;
use dc_model::JobUuid;
use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Kills every process that a dead starter of this directory has left, and removes its socket. Nothing of the job runs
/// on behalf of this directory when it returns. Returns how many were killed; none where the starter lives. It may take a
/// moment: until the killed are gone.
///
/// # Errors
/// When they cannot be looked for, or some stay because the kernel does not let them go (ETIMEDOUT).
pub fn bury(job: JobUuid, dir: &Path) -> io::Result<usize> {
    let fd = open_dir(dir)?;
    let group = noted(&fd)?;
    // Held until all is done, so that no other begins meanwhile.
    let Ok(_lock) = Lock::take(&fd)? else { return Ok(0) };
    let mut killed = 0;
    let group = PathBuf::from(OsString::from_vec(group));
    // Its user may have written anything there: only a group that is named after the job is the job's.
    if Group::is_of(&group, job) {
        killed += Group::at(group).kill()?;
    }
    killed += sweep_job_in(job, dir)?;
    for name in [SOCKET, LOCK] {
        match unlinkat(&fd, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(killed)
}
