//! One launch: everything is prepared here, so that the child between clone and exec only makes system calls.
//! Which stage failed, and with what errno, comes back with the refusal.

mod child;
mod clone;
mod raw;
mod stack;

pub use clone::{Fate, Launcher};

use dc_model::{CpuSet, LaunchStage};
use nix::sys::signal::SigSet;
use nix::unistd::Pid;
use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

/// What is to be run, and how. Arguments and environment come in two parts: what all launches share, and this one's.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The file to execute.
    pub program: &'a CStr,
    /// The arguments, argv\[0\] first.
    pub argv: [&'a [CString]; 2],
    /// The environment, `NAME=value` each.
    pub env: [&'a [CString]; 2],
    /// The directory to enter; `None`: the launcher's own.
    pub cwd: Option<&'a CStr>,
    /// CPUs to bind it to; empty: not bound.
    pub cpus: &'a CpuSet,
    /// The NUMA node to prefer memory from.
    pub numa: Option<u32>,
    /// Its standard input; none: the launcher's own.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Its standard output.
    pub stdout: BorrowedFd<'a>,
    /// Its standard error.
    pub stderr: BorrowedFd<'a>,
    /// The signal mask it begins with.
    pub mask: &'a SigSet,
    /// The soft and hard limit of open files it begins with; `None`: the launcher's own.
    pub files_max: Option<(u64, u64)>,
}

/// A rank whose exec has succeeded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launched {
    /// Its process, and the leader of its group.
    pub pid: Pid,
    /// The errno of a memory policy that the system does not let us set.
    pub memory_refused: Option<i32>,
    /// The CPUs it was left with, read back before exec; `None` when it was not to be bound.
    pub bound: Option<CpuSet>,
}

/// A launch that failed; nothing of it is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Where.
    pub stage: LaunchStage,
    /// Its errno.
    pub errno: i32,
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;
