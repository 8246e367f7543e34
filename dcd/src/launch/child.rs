//! What a child does between clone and exec, stage by stage as [`LaunchStage`] numbers them, and the memory in which
//! it is told what, and tells how far it came.
//!
//! Unsafe because the child runs in its parent's memory (`CLONE_VM`): it must only make system calls on memory that was
//! prepared and stays in place, never allocate, lock, panic, or touch what is the parent thread's own (errno).
#![allow(unsafe_code)]

use super::raw::call;
use dc_model::LaunchStage;
use nix::errno::Errno;
use nix::libc::{self, c_char, c_int, c_ulong, c_void};
use std::os::fd::RawFd;
use std::ptr::null;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};

/// Words of a CPU mask as long as any kernel's.
pub const MASK_WORDS: usize = dc_model::cpuset::CPUS_MAX as usize / 64;
/// Words of a mask of NUMA nodes: 1024 of them, as many as Linux can be built for.
pub const NODE_WORDS: usize = 16;
const MPOL_PREFERRED: usize = 1;
const SHELL: &std::ffi::CStr = c"/bin/sh";
/// Bytes of a signal set as the kernel has it.
const KERNEL_SIGSET_BYTES: usize = 8;

/// Where a held child has its forerunner's pidfd; what lies above is closed.
const PIDFD: RawFd = 3;

/// The gate before exec: it waits, it has gone through, it must never.
const HELD: u32 = 0;
const GOING: u32 = 1;
const REVOKED: u32 = 2;

/// What the child reads, and where it writes what became of it. Pointers are to memory that outlives the exec.
#[derive(Debug)]
pub struct Orders {
    pub program: *const c_char,
    pub parent: libc::pid_t,
    /// One free place, then argv, then null: with the place filled it is the argv of a shell.
    pub argv: *mut *const c_char,
    pub envp: *const *const c_char,
    /// Null: the parent's own directory.
    pub cwd: *const c_char,
    /// Empty: not bound.
    pub cpus: Vec<u64>,
    pub nodes: Option<[c_ulong; NODE_WORDS]>,
    /// None: the parent's own.
    pub stdin: Option<RawFd>,
    pub stdout: RawFd,
    pub stderr: RawFd,
    pub mask: libc::sigset_t,
    pub files_max: Option<(u64, u64)>,
    /// Whose end it waits for before exec: a pidfd.
    pub forerunner: Option<RawFd>,
    pub report: Report,
}

/// What the child tells.
#[derive(Debug)]
pub struct Report {
    /// 0, or the number of the stage that failed.
    stage: AtomicU8,
    errno: AtomicI32,
    memory_errno: AtomicI32,
    bound_bytes: AtomicUsize,
    bound: [AtomicU64; MASK_WORDS],
    gate: AtomicU32,
    /// When it went through the gate, by CLOCK_MONOTONIC.
    began_ns: AtomicU64,
    /// Not 0 until the child has left this memory, by exec or exit: the kernel clears it.
    pub inside: AtomicU32,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            stage: AtomicU8::new(0),
            errno: AtomicI32::new(0),
            memory_errno: AtomicI32::new(0),
            bound_bytes: AtomicUsize::new(0),
            bound: [const { AtomicU64::new(0) }; MASK_WORDS],
            gate: AtomicU32::new(HELD),
            began_ns: AtomicU64::new(0),
            inside: AtomicU32::new(0),
        }
    }
}

impl Report {
    /// As for a child that is to be made; the mask that was read back keeps its words until they are written again.
    pub fn reset(&mut self, inside: u32) {
        *self.stage.get_mut() = 0;
        *self.errno.get_mut() = 0;
        *self.memory_errno.get_mut() = 0;
        *self.bound_bytes.get_mut() = 0;
        *self.gate.get_mut() = HELD;
        *self.began_ns.get_mut() = 0;
        *self.inside.get_mut() = inside;
    }

    /// The stage that failed, and its errno.
    pub fn failed(&self) -> Option<(LaunchStage, i32)> {
        let stage = LaunchStage::from_number(self.stage.load(Acquire))?;
        Some((stage, self.errno.load(Relaxed)))
    }

    /// The errno of a memory policy that the system does not let us set.
    pub fn memory_refused(&self) -> Option<i32> {
        let errno = self.memory_errno.load(Relaxed);
        (errno != 0).then_some(errno)
    }

    /// The CPUs it was left with, in words; none when it was not to be bound.
    pub fn bound(&self) -> Option<Vec<u64>> {
        let words = (self.bound_bytes.load(Acquire) / 8).min(MASK_WORDS);
        (words > 0).then(|| self.bound[..words].iter().map(|word| word.load(Relaxed)).collect())
    }

    /// Whether it has gone on to its exec, and when.
    pub fn began_ns(&self) -> Option<u64> {
        (self.gate.load(Acquire) == GOING).then(|| self.began_ns.load(Acquire))
    }

    /// Keeps it from its exec for good; false when it has gone on already.
    pub fn try_revoke(&self) -> bool {
        self.gate.compare_exchange(HELD, REVOKED, AcqRel, Acquire).is_ok()
    }

    /// Whether it is still in this memory.
    pub fn is_inside(&self) -> bool {
        self.inside.load(Acquire) != 0
    }
}

/// The child's one function: never returns to the parent's code.
pub extern "C" fn run(argument: *mut c_void) -> c_int {
    // SAFETY: the parent's `Orders`, which stay in place until exec or exit; but for the report nobody writes them.
    unsafe {
        let orders = &*argument.cast::<Orders>();
        if let Err((stage, errno)) = become_rank(orders) {
            orders.report.errno.store(errno as i32, Relaxed);
            orders.report.stage.store(stage as u8, Release);
        }
        let _ = call(libc::SYS_exit_group, [127]);
    }
    127
}

type Failed = (LaunchStage, Errno);

/// Runs the stages in order; returns when one fails, or when it was revoked.
///
/// # Safety
/// Only in the child, with orders as the launcher makes them.
unsafe fn become_rank(orders: &Orders) -> Result<(), Failed> {
    let Orders { report, .. } = orders;
    let at = |stage| move |errno| (stage, errno);
    // SAFETY: the calls below take plain numbers, or pointers to memory of the parent's that outlives them.
    unsafe {
        call(libc::SYS_setpgid, [0, 0]).map_err(at(LaunchStage::Group))?;
        let death = [libc::PR_SET_PDEATHSIG as usize, libc::SIGKILL as usize, 0, 0, 0];
        call(libc::SYS_prctl, death).map_err(at(LaunchStage::DeathSignal))?;
        if call(libc::SYS_getppid, []) != Ok(orders.parent as usize) {
            // The starter died before the line above could see it.
            return Err((LaunchStage::DeathSignal, Errno::ESRCH));
        }
        if !orders.cpus.is_empty() {
            let cpus = &orders.cpus[..];
            let set = [0, size_of_val(cpus), cpus.as_ptr() as usize];
            call(libc::SYS_sched_setaffinity, set).map_err(at(LaunchStage::Affinity))?;
            // A mask that is allowed in part is cut down without a word, so that it is read back.
            let get = [0, MASK_WORDS * 8, report.bound.as_ptr() as usize];
            let bytes = call(libc::SYS_sched_getaffinity, get).map_err(at(LaunchStage::Affinity))?;
            report.bound_bytes.store(bytes, Release);
        }
        if let Some(nodes) = &orders.nodes {
            match call(libc::SYS_set_mempolicy, [MPOL_PREFERRED, nodes.as_ptr() as usize, NODE_WORDS * 64]) {
                Ok(_) => {}
                Err(errno @ (Errno::EPERM | Errno::ENOSYS)) => {
                    report.memory_errno.store(errno as i32, Relaxed);
                }
                Err(errno) => return Err((LaunchStage::Memory, errno)),
            }
        }
        if !orders.cwd.is_null() {
            call(libc::SYS_chdir, [orders.cwd as usize]).map_err(at(LaunchStage::Directory))?;
        }
        if let Some(stdin) = orders.stdin {
            connect(stdin, libc::STDIN_FILENO).map_err(at(LaunchStage::Streams))?;
        }
        connect(orders.stdout, libc::STDOUT_FILENO).map_err(at(LaunchStage::Streams))?;
        connect(orders.stderr, libc::STDERR_FILENO).map_err(at(LaunchStage::Streams))?;
        if let Some((soft, hard)) = orders.files_max {
            let limit = [soft, hard];
            let set = [0, libc::RLIMIT_NOFILE as usize, limit.as_ptr() as usize, 0];
            call(libc::SYS_prlimit64, set).map_err(at(LaunchStage::Streams))?;
        }
        if let Some(forerunner) = orders.forerunner {
            // While it waits it must hold nothing open whose end somebody else waits for.
            let stays = [forerunner as usize, PIDFD as usize, libc::O_CLOEXEC as usize];
            if forerunner != PIDFD {
                call(libc::SYS_dup3, stays).map_err(at(LaunchStage::Streams))?;
            }
            call(libc::SYS_close_range, [PIDFD as usize + 1, u32::MAX as usize, 0])
                .map_err(at(LaunchStage::Streams))?;
            wait_end(PIDFD).map_err(at(LaunchStage::Clone))?;
            if report.gate.compare_exchange(HELD, GOING, AcqRel, Acquire).is_err() {
                return Ok(());
            }
            report.began_ns.store(now_ns(), Release);
        }
        // Handlers are gone at exec by themselves; what Rust ignores would stay ignored. Zeroes are the kernel's
        // struct for the default action.
        let default_action = [0usize; 4];
        let reset = [libc::SIGPIPE as usize, default_action.as_ptr() as usize, 0, KERNEL_SIGSET_BYTES];
        call(libc::SYS_rt_sigaction, reset).map_err(at(LaunchStage::Signals))?;
        let mask = (&raw const orders.mask) as usize;
        let unmask = [libc::SIG_SETMASK as usize, mask, 0, KERNEL_SIGSET_BYTES];
        call(libc::SYS_rt_sigprocmask, unmask).map_err(at(LaunchStage::Signals))?;
        let (program, envp) = (orders.program as usize, orders.envp as usize);
        let argv = orders.argv.add(1);
        let mut result = call(libc::SYS_execve, [program, argv as usize, envp]);
        if result == Err(Errno::ENOEXEC) && is_text(orders.program) {
            // A script without an interpreter line: a shell's, as execvp(3) has it.
            orders.argv.write(SHELL.as_ptr());
            argv.write(orders.program);
            result = call(libc::SYS_execve, [SHELL.as_ptr() as usize, orders.argv as usize, envp]);
        }
        Err((LaunchStage::Exec, result.err().unwrap_or(Errno::UnknownErrno)))
    }
}

/// Makes `to` the same open file as `from`, and one that stays open over exec.
///
/// # Safety
/// As [`become_rank`].
unsafe fn connect(from: RawFd, to: RawFd) -> Result<(), Errno> {
    // SAFETY: plain numbers.
    unsafe {
        let stays_open = [to as usize, libc::F_SETFD as usize, 0];
        let same = || call(libc::SYS_fcntl, stays_open);
        let other = || call(libc::SYS_dup3, [from as usize, to as usize, 0]);
        if from == to { same() } else { other() }.map(drop)
    }
}

/// Waits for the end of the process that the pidfd names.
///
/// # Safety
/// As [`become_rank`].
unsafe fn wait_end(pidfd: RawFd) -> Result<(), Errno> {
    loop {
        let mut fd = libc::pollfd { fd: pidfd, events: libc::POLLIN, revents: 0 };
        let (fds, forever) = ((&raw mut fd) as usize, null::<libc::timespec>() as usize);
        // SAFETY: one pollfd that lives on this stack.
        match unsafe { call(libc::SYS_ppoll, [fds, 1, forever, 0, KERNEL_SIGSET_BYTES]) } {
            Ok(_) if fd.revents != 0 => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// CLOCK_MONOTONIC, as [`Instant`](std::time::Instant) counts on Linux.
///
/// # Safety
/// None is needed by who is no child.
pub unsafe fn now_ns() -> u64 {
    let mut now = [0i64; 2];
    // SAFETY: room for one timespec of the kernel's.
    let _ =
        unsafe { call(libc::SYS_clock_gettime, [libc::CLOCK_MONOTONIC as usize, now.as_mut_ptr() as usize]) };
    (now[0] as u64).wrapping_mul(1_000_000_000).wrapping_add(now[1] as u64)
}

/// Whether a file could be a shell's: no zero byte in its first line, as shells have it. A program for another machine
/// is no text.
///
/// # Safety
/// As [`become_rank`]; a terminated path.
unsafe fn is_text(path: *const c_char) -> bool {
    let mut head = [0u8; 128];
    // SAFETY: a terminated path, and a buffer of the length that is said.
    let count = unsafe {
        let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as usize;
        let Ok(fd) = call(libc::SYS_openat, [libc::AT_FDCWD as usize, path as usize, flags, 0]) else {
            return false;
        };
        let count = call(libc::SYS_read, [fd, head.as_mut_ptr() as usize, head.len()]);
        let _ = call(libc::SYS_close, [fd]);
        count.unwrap_or(0)
    };
    let head = head.get(..count).unwrap_or_default();
    !head.iter().take_while(|byte| **byte != b'\n').any(|byte| *byte == 0)
}
