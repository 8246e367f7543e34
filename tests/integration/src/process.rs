//! Processes as /proc shows them: who is there, whose child, with which variable, bound to what.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// One process, as it was when it was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// R, S, D, T, Z …
    pub state: char,
    /// When it started, in ticks since the machine did: with the pid it names a process for ever.
    pub start_ticks: u64,
}

impl Process {
    /// Looks at one; none when there is no such process.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        Some(Self {
            pid,
            name: head.split_once('(')?.1.to_owned(),
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
            start_ticks: fields.nth(17)?.parse().ok()?,
        })
    }

    /// Whether the same process is still there, and not a zombie.
    #[must_use]
    pub fn lives(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now.start_ticks == self.start_ticks && now.state != 'Z')
    }
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Process> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::of).collect()
}

/// Whether a process with this id lives.
#[must_use]
pub fn lives(pid: i32) -> bool {
    Process::of(pid).is_some_and(|process| process.state != 'Z')
}

/// Living children of a process.
#[must_use]
pub fn children(pid: i32) -> Vec<Process> {
    all().into_iter().filter(|process| process.parent == pid && process.state != 'Z').collect()
}

/// Living processes that were started with this variable in their environment. Itself is not among them.
#[must_use]
pub fn tagged(name: &str, value: impl AsRef<OsStr>) -> Vec<Process> {
    let wanted = [name.as_bytes(), b"=", value.as_ref().as_bytes()].concat();
    let own = std::process::id() as i32;
    let has = |process: &Process| {
        let environ = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| variable == wanted)
    };
    all().into_iter().filter(|process| process.pid != own && process.state != 'Z' && has(process)).collect()
}

/// CPUs the process may run on, as in `0-3,8`.
#[must_use]
pub fn cpus(pid: i32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map(|list| list.trim().to_owned())
}

/// The most memory it ever had resident, in KiB.
#[must_use]
pub fn peak_kib(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

/// Sends a signal; whether there was such a process.
pub fn signal(pid: i32, signal: Signal) -> bool {
    assert!(pid > 1, "a process of a test, not {pid}");
    kill(Pid::from_raw(pid), signal).is_ok()
}

/// Sends a signal to a group; whether there was one.
pub fn signal_group(group: i32, signal: Signal) -> bool {
    assert!(group > 1, "a group of a test, not {group}");
    kill(Pid::from_raw(-group), signal).is_ok()
}
