//! clone(2): a child that executes at once, while the caller waits, or one that is held before its exec until another
//! process has ended, while the caller goes on. What the child does is in `child`.
//!
//! Unsafe because the child runs in the parent's memory (`CLONE_VM`): what it was given must stay in place until it has
//! executed or ended. posix_spawn(3) can neither tie a child's life to its parent's, nor hold it.
#![allow(unsafe_code)]

use super::child::{self, NODE_WORDS, Orders, Report};
use super::raw::can_hold;
use super::stack::Stack;
use super::{Launched, Plan, Refused};
use crate::process::calls::{PidFd, reap_blocking, signal_process};
use dc_model::{CpuSet, LaunchStage};
use nix::errno::Errno;
use nix::libc::{self, c_char, c_void};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::ptr::null;
use std::time::{Duration, Instant};

/// Rooms kept for the next to be held.
const SPARE_MAX: usize = 64;

/// Launches ranks. It belongs to one thread, which must live as long as the ranks: they are killed when it ends.
#[derive(Debug)]
pub struct Launcher {
    parent: libc::pid_t,
    can_hold: bool,
    /// For those that execute at once.
    room: Room,
    /// Of those that are held, or on their way to their exec.
    held: HashMap<Pid, Room>,
    spare: Vec<Room>,
    /// The same moment by both names, to tell when a held one went on.
    epoch: (Instant, u64),
}

/// How far a held launch has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is held, or on its way.
    Inside,
    /// It has executed, at this time; or it was killed on the way, which its end tells.
    Executed(Launched, Instant),
    /// A stage failed; it ends by itself.
    Refused(Refused),
    /// It ended without having gone on.
    Never,
}

/// The memory of one launch.
#[derive(Debug)]
struct Room {
    stack: Stack,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    /// At a place of its own, as the child knows it.
    orders: Box<Orders>,
    /// What the vectors point to, where nobody else keeps it.
    strings: Vec<CString>,
}

impl Room {
    fn new() -> nix::Result<Self> {
        let orders = Orders {
            program: null(),
            parent: 0,
            argv: std::ptr::null_mut(),
            envp: null(),
            cwd: null(),
            cpus: Vec::new(),
            nodes: None,
            stdin: None,
            stdout: -1,
            stderr: -1,
            // SAFETY: zeroes are an empty set.
            mask: unsafe { std::mem::zeroed() },
            files_max: None,
            forerunner: None,
            report: Report::default(),
        };
        let (argv, envp, strings) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { stack: Stack::new()?, argv, envp, orders: Box::new(orders), strings })
    }

    /// Writes the orders. They hold pointers into the plan's strings.
    fn fill(
        &mut self,
        plan: &Plan<'_>,
        parent: libc::pid_t,
        forerunner: Option<&PidFd>,
    ) -> Result<(), Refused> {
        self.argv.clear();
        self.argv.push(null());
        self.argv.extend(plan.argv.iter().flat_map(|part| part.iter()).map(|arg| arg.as_ptr()));
        self.argv.push(null());
        self.envp.clear();
        self.envp.extend(plan.env.iter().flat_map(|part| part.iter()).map(|var| var.as_ptr()));
        self.envp.push(null());
        let orders = &mut *self.orders;
        orders.nodes = None;
        if let Some(node) = plan.numa {
            let nodes = orders.nodes.insert([0; NODE_WORDS]);
            let stage = Refused { stage: LaunchStage::Memory, errno: Errno::EINVAL as i32 };
            *nodes.get_mut(node as usize / 64).ok_or(stage)? = 1 << (node % 64);
        }
        orders.program = plan.program.as_ptr();
        orders.parent = parent;
        orders.argv = self.argv.as_mut_ptr();
        orders.envp = self.envp.as_ptr();
        orders.cwd = plan.cwd.map_or(null(), |cwd| cwd.as_ptr());
        orders.cpus.clear();
        orders.cpus.extend_from_slice(plan.cpus.words());
        orders.stdin = plan.stdin.map(|stdin| stdin.as_raw_fd());
        orders.stdout = plan.stdout.as_raw_fd();
        orders.stderr = plan.stderr.as_raw_fd();
        orders.mask = *plan.mask.as_ref();
        orders.files_max = plan.files_max;
        orders.forerunner = forerunner.map(|pidfd| pidfd.as_fd().as_raw_fd());
        orders.report.reset(u32::from(forerunner.is_some()));
        Ok(())
    }

    /// Makes the child.
    fn clone(&mut self, flags: libc::c_int) -> Result<Pid, Refused> {
        let argument = (&raw mut *self.orders).cast::<c_void>();
        let inside = self.orders.report.inside.as_ptr();
        let none = std::ptr::null_mut::<c_void>();
        // SAFETY: the stack is this room's alone and big enough for a few system calls; the room is kept until the
        // child has left it: the caller waits (CLONE_VFORK), or puts it aside.
        let pid = unsafe {
            libc::clone(
                child::run,
                self.stack.top(),
                flags | libc::CLONE_VM | libc::SIGCHLD,
                argument,
                none,
                none,
                inside,
            )
        };
        let refused = |errno: Errno| Refused { stage: LaunchStage::Clone, errno: errno as i32 };
        Errno::result(pid).map(Pid::from_raw).map_err(refused)
    }

    fn launched(&self, pid: Pid) -> Launched {
        let report = &self.orders.report;
        Launched {
            pid,
            memory_refused: report.memory_refused(),
            bound: report.bound().map(CpuSet::from_words),
        }
    }

    fn refused(&self) -> Option<Refused> {
        self.orders.report.failed().map(|(stage, errno)| Refused { stage, errno })
    }
}

impl Launcher {
    /// One for the calling thread.
    ///
    /// # Errors
    /// When there is no memory for a stack.
    pub fn new() -> nix::Result<Self> {
        // SAFETY: this is no child.
        let epoch = (Instant::now(), unsafe { child::now_ns() });
        let parent = nix::unistd::getpid().as_raw();
        Ok(Self {
            parent,
            can_hold: can_hold(),
            room: Room::new()?,
            held: HashMap::new(),
            spare: Vec::new(),
            epoch,
        })
    }

    /// Creates the process and returns when its exec has succeeded.
    ///
    /// # Errors
    /// The stage that failed and its errno; the child is gone then.
    pub fn launch(&mut self, plan: &Plan<'_>) -> Result<Launched, Refused> {
        self.room.fill(plan, self.parent, None)?;
        let pid = self.room.clone(libc::CLONE_VFORK)?;
        if let Some(refused) = self.room.refused() {
            let _ = reap_blocking(pid);
            return Err(refused);
        }
        Ok(self.room.launched(pid))
    }

    /// Creates the process, and holds it before its exec until `forerunner`, a child that is not reaped, has ended;
    /// nobody is asked then. The plan's strings must outlive it: those that only the caller has go to
    /// [`Launcher::keep`].
    ///
    /// # Errors
    /// Where it cannot be done; it may be launched later all the same.
    pub fn hold(&mut self, plan: &Plan<'_>, forerunner: Pid) -> Result<Pid, Refused> {
        let refused = |errno: Errno| Refused { stage: LaunchStage::Clone, errno: errno as i32 };
        if !self.can_hold {
            return Err(refused(Errno::ENOSYS));
        }
        let forerunner = PidFd::open(forerunner).map_err(refused)?;
        let mut room = match self.spare.pop() {
            Some(room) => room,
            None => Room::new().map_err(refused)?,
        };
        room.fill(plan, self.parent, Some(&forerunner))?;
        let pid = room.clone(libc::CLONE_CHILD_CLEARTID)?;
        self.held.insert(pid, room);
        Ok(pid)
    }

    /// Keeps strings that a held process was given.
    pub fn keep(&mut self, pid: Pid, strings: impl IntoIterator<Item = CString>) {
        if let Some(room) = self.held.get_mut(&pid) {
            room.strings.clear();
            room.strings.extend(strings);
        }
    }

    /// How far a held process has come, as long as it is not forgotten.
    #[must_use]
    pub fn fate(&self, pid: Pid) -> Option<Fate> {
        let room = self.held.get(&pid)?;
        let report = &room.orders.report;
        Some(match (room.refused(), report.began_ns()) {
            (Some(refused), _) => Fate::Refused(refused),
            _ if report.is_inside() => Fate::Inside,
            (None, Some(began_ns)) => {
                let since_ns = began_ns.saturating_sub(self.epoch.1);
                Fate::Executed(room.launched(pid), self.epoch.0 + Duration::from_nanos(since_ns))
            }
            (None, None) => Fate::Never,
        })
    }

    /// Keeps a held process from its exec for good; false when it has gone on already.
    pub fn try_revoke(&mut self, pid: Pid) -> bool {
        self.held.get(&pid).is_some_and(|room| room.orders.report.try_revoke())
    }

    /// The process has executed, or is reaped.
    pub fn forget(&mut self, pid: Pid) {
        if let Some(room) = self.held.remove(&pid)
            && self.spare.len() < SPARE_MAX
        {
            self.spare.push(room);
        }
    }
}

impl Drop for Launcher {
    /// Nobody is left in memory that goes away.
    fn drop(&mut self) {
        for (pid, room) in &self.held {
            if room.orders.report.is_inside() {
                let _ = signal_process(*pid, libc::SIGKILL as u8);
                let _ = reap_blocking(*pid);
            }
        }
    }
}
