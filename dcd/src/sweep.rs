//! Killing what is left of a job: every descendant of this process, or every process that carries a job's tag. It
//! goes on until there is none, so that kernels that fork while they are being killed lose.

use crate::cgroup::group::Group;
use crate::process::calls::{PidFd, Whose, reap, signal_group, signal_process};
use crate::process::children;
use crate::process::tag;
use dc_model::JobUuid;
use nix::errno::Errno;
use nix::libc::SIGKILL;
use nix::unistd::Pid;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long to go on when nothing new turns up and nothing ends: the rest is in the kernel's hands, and dies when it
/// leaves them.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait for one of the killed to end before looking again.
const LOOK_AGAIN_MS: u16 = 20;
/// Levels of a tree that are killed in one go; what is deeper comes up when its parents are gone.
const LEVELS_MAX: usize = 64;

/// Makes this process the one that orphans of its descendants come to.
///
/// # Errors
/// When the kernel does not know of that.
pub fn become_subreaper() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Kills and reaps all descendants of this process but the children in `keep` and theirs. Returns how many of
/// its children were reaped.
///
/// # Errors
/// When /proc cannot be read, or some stay because the kernel does not let them go (ETIMEDOUT).
pub fn kill_descendants(keep: &[Pid]) -> io::Result<usize> {
    let me = nix::unistd::getpid();
    let mut seen = HashSet::new();
    let (mut reaped, mut last_change) = (0, Instant::now());
    loop {
        let children: Vec<Pid> = children::of(me)?.into_iter().filter(|pid| !keep.contains(pid)).collect();
        if children.is_empty() {
            return Ok(reaped);
        }
        for &child in &children {
            kill_tree(child);
            if seen.insert(child) {
                last_change = Instant::now();
            }
        }
        let ended = children.iter().filter(|child| matches!(reap(Whose::Pid(**child)), Ok(Some(_)))).count();
        reaped += ended;
        if ended > 0 {
            last_change = Instant::now();
            // The number may come back as another's.
            seen.clear();
        } else if last_change.elapsed() > PATIENCE {
            return Err(Errno::ETIMEDOUT.into());
        } else if let Some(child) = children.first() {
            PidFd::open(*child).map(|fd| fd.wait_end(LOOK_AGAIN_MS)).ok();
        }
    }
}

/// Kills all descendants of this process once, and reaps none: whose ends they are is found out by who waits for them.
pub fn strike_descendants() {
    for child in children::of(nix::unistd::getpid()).unwrap_or_default() {
        kill_tree(child);
    }
}

/// The same by a thread that does not know what another reaps meanwhile.
pub fn strike_from_beside() {
    kill_levels(below(nix::unistd::getpid()));
}

/// Kills a child of ours with its group, then what is below it, level by level.
fn kill_tree(child: Pid) {
    // Read first: its children come to us when it is gone, and would be found only a round later.
    let level = below(child);
    let _ = signal_group(child, SIGKILL as u8);
    let _ = signal_process(child, SIGKILL as u8);
    kill_levels(level);
}

/// Kills these, each with its parent, and what is below them.
fn kill_levels(mut level: Vec<(Pid, Pid)>) {
    for _ in 0..LEVELS_MAX {
        let next: Vec<(Pid, Pid)> = level.iter().flat_map(|(_, pid)| below(*pid)).collect();
        for (parent, pid) in &level {
            // Not our child: held by a descriptor, then looked at again, it is surely the one that was meant.
            let Ok(fd) = PidFd::open(*pid) else { continue };
            let now = children::parent_of(*pid);
            if now == Some(*parent) || now == Some(nix::unistd::getpid()) {
                let _ = fd.kill();
            }
        }
        if next.is_empty() {
            return;
        }
        level = next;
    }
}

/// The children of a process, each with it.
fn below(parent: Pid) -> Vec<(Pid, Pid)> {
    children::of(parent).unwrap_or_default().into_iter().map(|pid| (parent, pid)).collect()
}

/// Kills every process that is in a control group of the job's, and every one that carries the job's tag in its
/// environment, but this one and those it descends from.
/// What does not let its environment be read (another user's) is not ours to kill. Returns how many were killed.
///
/// # Errors
/// When /proc cannot be read, or some stay because the kernel does not let them go (ETIMEDOUT).
pub fn sweep_job(job: JobUuid) -> io::Result<usize> {
    Ok(kill_groups(job)? + sweep_tagged(|pid| tag::of(pid).is_some_and(|tag| tag.job == job))?)
}

/// The same for what was started in one of the job's directories alone, and not for its control groups: another starter
/// of the job may live on this host.
///
/// # Errors
/// As [`sweep_job`].
pub fn sweep_job_in(job: JobUuid, dir: &Path) -> io::Result<usize> {
    let dir = std::fs::canonicalize(dir)?;
    let is_here =
        |named: PathBuf| named == dir || std::fs::canonicalize(named).is_ok_and(|named| named == dir);
    sweep_tagged(|pid| {
        tag::of(pid).is_some_and(|tag| tag.job == job) && tag::spool_of(pid).is_some_and(is_here)
    })
}

fn sweep_tagged(is_meant: impl Fn(Pid) -> bool) -> io::Result<usize> {
    let kin = lineage();
    let (mut killed, mut last_change) = (0, Instant::now());
    let mut seen = HashSet::new();
    loop {
        let mut found = Vec::new();
        for pid in children::all()? {
            if kin.contains(&pid) {
                continue;
            }
            // The descriptor before the look: if the number changes hands between, it names who is gone.
            let Ok(fd) = PidFd::open(pid) else { continue };
            if is_meant(pid) && fd.kill().is_ok() {
                found.push(fd);
                if seen.insert(pid) {
                    killed += 1;
                    last_change = Instant::now();
                }
            }
        }
        let Some(first) = found.first() else { return Ok(killed) };
        if last_change.elapsed() > PATIENCE {
            return Err(Errno::ETIMEDOUT.into());
        }
        first.wait_end(LOOK_AGAIN_MS);
    }
}

/// Kills what is in the job's control groups: those too who have cleared their environment.
///
/// # Errors
/// When one cannot be read, or some stay because the kernel does not let them go (ETIMEDOUT).
pub fn kill_groups(job: JobUuid) -> io::Result<usize> {
    let kin = lineage();
    // One that this process is in itself is another run's, which this one is a rank of.
    let others = Group::of_job(job).into_iter().filter(|group| !kin.iter().any(|pid| group.has(*pid)));
    others.map(|group| group.kill()).sum()
}

/// This process and all it descends from.
fn lineage() -> Vec<Pid> {
    std::iter::successors(Some(nix::unistd::getpid()), |pid| {
        children::parent_of(*pid).filter(|parent| parent.as_raw() > 0)
    })
    .collect()
}
