//! clone(2) and what the child does before exec: stages numbered as in [`LaunchStage`].
//!
//! Unsafe because the child runs in the parent's memory (`CLONE_VM`) while the parent's thread waits (`CLONE_VFORK`):
//! it must only make system calls on memory that was prepared, never allocate, lock or panic. posix_spawn(3) cannot
//! tie a child's life to its parent's, which is why this file is there.
#![allow(unsafe_code)]

use super::stack::Stack;
use super::{Launched, Plan, Refused};
use crate::process::calls::reap_blocking;
use dc_model::{CpuSet, LaunchStage};
use nix::errno::Errno;
use nix::libc::{self, c_char, c_int, c_ulong, c_void};
use nix::unistd::Pid;
use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::os::fd::AsRawFd;
use std::ptr::null;

/// Words of a CPU mask as long as any kernel's.
const MASK_WORDS: usize = dc_model::cpuset::CPUS_MAX as usize / 64;
const MPOL_PREFERRED: c_int = 1;
/// Words of a mask of NUMA nodes: 1024 of them, as many as Linux can be built for.
const NODE_WORDS: usize = 16;
const SHELL: &std::ffi::CStr = c"/bin/sh";

/// Launches ranks. It belongs to one thread, which must live as long as the ranks: they are killed when it ends.
#[derive(Debug)]
pub struct Launcher {
    stack: Stack,
    parent: libc::pid_t,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    bound: Box<[u64; MASK_WORDS]>,
}

/// What the child reads, and where it writes what became of it.
struct Shared<'a> {
    plan: &'a Plan<'a>,
    parent: libc::pid_t,
    /// One free place, then argv, then null: with the place filled it is the argv of a shell.
    argv: *mut *const c_char,
    envp: *const *const c_char,
    nodes: [c_ulong; NODE_WORDS],
    default_action: libc::sigaction,
    bound: *mut u64,
    report: UnsafeCell<Report>,
}

#[derive(Clone, Copy, Default)]
struct Report {
    /// 0, or the number of the stage that failed.
    stage: u8,
    errno: i32,
    memory_errno: i32,
    bound_bytes: usize,
}

impl Launcher {
    /// One for the calling thread.
    ///
    /// # Errors
    /// When there is no memory for a stack.
    pub fn new() -> nix::Result<Self> {
        let bound = Box::new([0; MASK_WORDS]);
        let parent = nix::unistd::getpid().as_raw();
        Ok(Self { stack: Stack::new()?, parent, argv: Vec::new(), envp: Vec::new(), bound })
    }

    /// Creates the process and returns when its exec has succeeded.
    ///
    /// # Errors
    /// The stage that failed and its errno; the child is gone then.
    pub fn launch(&mut self, plan: &Plan<'_>) -> Result<Launched, Refused> {
        let refused = |stage, errno: Errno| Refused { stage, errno: errno as i32 };
        self.argv.clear();
        self.argv.push(null());
        self.argv.extend(plan.argv.iter().flat_map(|part| part.iter()).map(|arg| arg.as_ptr()));
        self.argv.push(null());
        self.envp.clear();
        self.envp.extend(plan.env.iter().flat_map(|part| part.iter()).map(|var| var.as_ptr()));
        self.envp.push(null());
        let mut nodes = [0; NODE_WORDS];
        if let Some(node) = plan.numa {
            let word =
                nodes.get_mut(node as usize / 64).ok_or(refused(LaunchStage::Memory, Errno::EINVAL))?;
            *word = 1 << (node % 64);
        }
        // SAFETY: zeroes are a valid sigaction: the default action, no flags, an empty mask.
        let default_action = unsafe { std::mem::zeroed::<libc::sigaction>() };
        let shared = Shared {
            plan,
            parent: self.parent,
            argv: self.argv.as_mut_ptr(),
            envp: self.envp.as_ptr(),
            nodes,
            default_action,
            bound: self.bound.as_mut_ptr(),
            report: UnsafeCell::new(Report::default()),
        };
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let argument = (&raw const shared).cast_mut().cast::<c_void>();
        // SAFETY: the stack is this launcher's alone and big enough for a few system calls; CLONE_VFORK keeps this
        // thread, and with it `shared` and all it points to, in place until the child has executed or ended.
        let pid = unsafe { libc::clone(child, self.stack.top(), flags, argument) };
        let pid = Pid::from_raw(Errno::result(pid).map_err(|errno| refused(LaunchStage::Clone, errno))?);
        // SAFETY: the child is done with it. It was written behind the compiler's back, hence volatile.
        let report = unsafe { shared.report.get().read_volatile() };
        if let Some(stage) = LaunchStage::from_number(report.stage) {
            let _ = reap_blocking(pid);
            return Err(Refused { stage, errno: report.errno });
        }
        let memory_refused = (report.memory_errno != 0).then_some(report.memory_errno);
        let bound = (report.bound_bytes > 0).then(|| {
            let words = (report.bound_bytes / 8).min(MASK_WORDS);
            // SAFETY: the child's system call wrote so many bytes there; the pointer is the boxed array's.
            CpuSet::from_words((0..words).map(|i| unsafe { shared.bound.add(i).read_volatile() }).collect())
        });
        Ok(Launched { pid, memory_refused, bound })
    }
}

/// The child's one function: never returns to the parent's code.
extern "C" fn child(argument: *mut c_void) -> c_int {
    // SAFETY: the parent's `shared`, which stays in place until exec or exit; nobody else writes the report.
    unsafe {
        let shared = &*argument.cast::<Shared<'_>>();
        let report = shared.report.get();
        if let Err((stage, errno)) = become_rank(shared, report) {
            (&raw mut (*report).stage).write_volatile(stage as u8);
            (&raw mut (*report).errno).write_volatile(errno as i32);
        }
        libc::_exit(127)
    }
}

type Failed = (LaunchStage, Errno);

/// Runs the stages in order; returns only when one fails.
///
/// # Safety
/// Only in the child, with memory prepared as [`Launcher::launch`] does.
unsafe fn become_rank(shared: &Shared<'_>, report: *mut Report) -> Result<(), Failed> {
    let plan = shared.plan;
    let tried = |stage, result: c_int| if result < 0 { Err((stage, Errno::last())) } else { Ok(()) };
    // SAFETY: the calls below take plain numbers, or pointers to memory of the parent's that outlives them.
    unsafe {
        tried(LaunchStage::Group, libc::setpgid(0, 0))?;
        tried(LaunchStage::DeathSignal, libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        if libc::getppid() != shared.parent {
            // The starter died before the line above could see it.
            return Err((LaunchStage::DeathSignal, Errno::ESRCH));
        }
        let cpus = plan.cpus.words();
        if !cpus.is_empty() {
            let set = libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(cpus), cpus.as_ptr());
            tried(LaunchStage::Affinity, set as c_int)?;
            // A mask that is allowed in part is cut down without a word, so that it is read back.
            let bytes = libc::syscall(libc::SYS_sched_getaffinity, 0, MASK_WORDS * 8, shared.bound);
            tried(LaunchStage::Affinity, bytes as c_int)?;
            (&raw mut (*report).bound_bytes).write_volatile(bytes as usize);
        }
        if plan.numa.is_some() {
            let (nodes, nodes_max) = (shared.nodes.as_ptr(), NODE_WORDS * 64);
            if libc::syscall(libc::SYS_set_mempolicy, MPOL_PREFERRED, nodes, nodes_max) < 0 {
                let errno = Errno::last();
                if !matches!(errno, Errno::EPERM | Errno::ENOSYS) {
                    return Err((LaunchStage::Memory, errno));
                }
                (&raw mut (*report).memory_errno).write_volatile(errno as i32);
            }
        }
        if let Some(cwd) = plan.cwd {
            tried(LaunchStage::Directory, libc::chdir(cwd.as_ptr()))?;
        }
        tried(LaunchStage::Streams, libc::dup2(plan.stdout.as_raw_fd(), libc::STDOUT_FILENO))?;
        tried(LaunchStage::Streams, libc::dup2(plan.stderr.as_raw_fd(), libc::STDERR_FILENO))?;
        if let Some((soft, hard)) = plan.files_max {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
            tried(LaunchStage::Streams, libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit))?;
        }
        // Handlers are gone at exec by themselves; what Rust ignores would stay ignored.
        tried(
            LaunchStage::Signals,
            libc::sigaction(libc::SIGPIPE, &raw const shared.default_action, std::ptr::null_mut()),
        )?;
        let mask: *const libc::sigset_t = plan.mask.as_ref();
        tried(LaunchStage::Signals, libc::sigprocmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()))?;
        let argv = shared.argv.add(1);
        libc::execve(plan.program.as_ptr(), argv, shared.envp);
        let mut errno = Errno::last();
        if errno == Errno::ENOEXEC && is_text(plan.program) {
            // A script without an interpreter line: a shell's, as execvp(3) has it.
            shared.argv.write(SHELL.as_ptr());
            argv.write(plan.program.as_ptr());
            libc::execve(SHELL.as_ptr(), shared.argv, shared.envp);
            errno = Errno::last();
        }
        Err((LaunchStage::Exec, errno))
    }
}

/// Whether a file could be a shell's: no zero byte in its first line, as shells have it. A program for another machine
/// is no text. For the child: system calls only, nothing is allocated.
fn is_text(path: &CStr) -> bool {
    let mut head = [0u8; 128];
    // SAFETY: a terminated path, and a buffer of the length that is said.
    let count = unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let count = libc::read(fd, head.as_mut_ptr().cast(), head.len());
        libc::close(fd);
        count
    };
    let head = usize::try_from(count).ok().and_then(|count| head.get(..count)).unwrap_or_default();
    !head.iter().take_while(|byte| **byte != b'\n').any(|byte| *byte == 0)
}
