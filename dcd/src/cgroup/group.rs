//! A control group for all that a starter starts: what has left its parents, its session and its environment is still
//! in it. Named after the job, so that a resume finds it when dcrun and starter are both dead.

use super::own::{Hierarchy, directory};
use crate::process::calls::PidFd;
use dc_model::JobUuid;
use nix::errno::Errno;
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The variable that says whether there is one: 0 never, 1 from the start, else after a while.
pub const VARIABLE: &str = "DC_CGROUP";

/// The hierarchies that can hold one, the better one first.
const HIERARCHIES: [Hierarchy<'static>; 2] = [Hierarchy::V2, Hierarchy::V1("freezer")];
/// Groups that are looked at to find one by its name.
const LOOKED_AT_MAX: usize = 50_000;
/// How long to go on killing when nobody ends.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN_MS: u16 = 10;

/// One group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    dir: PathBuf,
}

impl Group {
    /// Makes one below this process's own, where this user may; not entered yet.
    #[must_use]
    pub fn make(job: JobUuid) -> Option<Self> {
        Self::make_as(&name(job))
    }

    /// The same for one starter alone, by a number of its own: where two nodes are one host, each has its group.
    #[must_use]
    pub fn make_for(job: JobUuid, starter: u64) -> Option<Self> {
        Self::make_as(&format!("{}.{starter:016x}", name(job)))
    }

    /// Whether a directory's name is that of a job's group.
    #[must_use]
    pub fn is_of(dir: &Path, job: JobUuid) -> bool {
        let named = dir.file_name().and_then(|found| found.to_str());
        let rest = named.and_then(|found| found.strip_prefix(&name(job)));
        dir.is_absolute() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    fn make_as(name: &str) -> Option<Self> {
        HIERARCHIES.into_iter().find_map(|hierarchy| {
            let (own, _) = directory(hierarchy)?;
            let group = Self { dir: own.join(name) };
            match fs::create_dir(&group.dir) {
                Ok(()) => {}
                // An earlier starter's, of this run.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(_) => return None,
            }
            Some(group)
        })
    }

    /// The one that somebody else told of.
    #[must_use]
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Those of a job, wherever this user sees them.
    #[must_use]
    pub fn of_job(job: JobUuid) -> Vec<Self> {
        let name = name(job);
        let mut found = Vec::new();
        let mut looked_at = 0;
        for (_, top) in HIERARCHIES.into_iter().filter_map(directory) {
            let mut left = vec![top];
            while let Some(dir) = left.pop() {
                looked_at += 1;
                if looked_at > LOOKED_AT_MAX {
                    return found;
                }
                for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                    if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        continue;
                    }
                    if entry.file_name() == name.as_str() {
                        found.push(Self { dir: entry.path() });
                    } else {
                        left.push(entry.path());
                    }
                }
            }
        }
        found
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Puts a process into it; all that it starts from then on is in it too.
    ///
    /// # Errors
    /// When this user may not, or the process is gone.
    pub fn take(&self, pid: Pid) -> io::Result<()> {
        fs::write(self.dir.join("cgroup.procs"), pid.to_string())
    }

    /// Takes this process out of it again.
    ///
    /// # Errors
    /// When this user may not.
    pub fn leave(&self) -> io::Result<()> {
        let above = self.dir.parent().ok_or(io::ErrorKind::NotFound)?;
        fs::write(above.join("cgroup.procs"), std::process::id().to_string())
    }

    /// Whether a process is in it.
    #[must_use]
    pub fn has(&self, pid: Pid) -> bool {
        let pids = fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
        pids.lines().any(|line| line.parse() == Ok(pid.as_raw()))
    }

    /// Kills all in it, and removes it. Returns how many were seen.
    ///
    /// # Errors
    /// When it cannot be read, or some stay because the kernel does not let them go (ETIMEDOUT).
    pub fn kill(&self) -> io::Result<usize> {
        let mut seen = std::collections::HashSet::new();
        let mut last_change = Instant::now();
        loop {
            let pids = match fs::read_to_string(self.dir.join("cgroup.procs")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(seen.len()),
                // ENODEV: it was removed since it was opened.
                Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => return Ok(seen.len()),
                other => other?,
            };
            let pids: Vec<Pid> = pids.lines().filter_map(|pid| pid.parse().ok().map(Pid::from_raw)).collect();
            if pids.is_empty() && fs::remove_dir(&self.dir).is_ok() {
                return Ok(seen.len());
            }
            let fds: Vec<PidFd> = pids.iter().filter_map(|pid| PidFd::open(*pid).ok()).collect();
            if fs::write(self.dir.join("cgroup.kill"), "1").is_err() {
                self.kill_held(&fds);
            }
            if pids.iter().filter(|pid| seen.insert(**pid)).count() > 0 {
                last_change = Instant::now();
            } else if last_change.elapsed() > PATIENCE {
                return Err(Errno::ETIMEDOUT.into());
            }
            match fds.first() {
                Some(fd) => fd.wait_end(LOOK_AGAIN_MS),
                None => std::thread::yield_now(),
            }
        }
    }

    /// For kernels that cannot kill a group in one go: held, so that none forks while it is killed.
    fn kill_held(&self, fds: &[PidFd]) {
        let hold = |v2: &str, v1: &str| {
            let _ = fs::write(self.dir.join("cgroup.freeze"), v2);
            let _ = fs::write(self.dir.join("freezer.state"), v1);
        };
        hold("1", "FROZEN");
        for fd in fds {
            let _ = fd.kill();
        }
        hold("0", "THAWED");
    }

    /// Removes it, if nobody is in it.
    pub fn remove(&self) {
        let _ = fs::remove_dir(&self.dir);
    }
}

fn name(job: JobUuid) -> String {
    format!("dc-{job}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn all_in_it_are_killed_and_it_is_found_by_its_job() {
        let job = JobUuid(std::array::from_fn(|i| i as u8 ^ std::process::id() as u8));
        let Some(group) = Group::make(job) else {
            eprintln!("skipped: no control group can be made here");
            return;
        };
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        if let Err(error) = group.take(Pid::from_raw(child.id() as i32)) {
            child.kill().unwrap();
            child.wait().unwrap();
            group.remove();
            eprintln!("skipped: no process can be put into a control group here: {error}");
            return;
        }
        assert_eq!(Group::of_job(job).first(), Some(&group));
        std::thread::spawn(move || child.wait());
        assert_eq!(group.kill().unwrap(), 1);
        assert_eq!(Group::of_job(job), []);
        assert_eq!(group.kill().unwrap(), 0, "it is gone already");
    }
}
