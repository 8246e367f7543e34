//! System calls that nix has not, or only as unsafe functions.
//!
//! Unsafe because they are calls into C. This program has one thread, so that a fork's child may go on as its parent
//! could, and nobody reads the environment while it is emptied.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc::{self, c_int, c_long, c_ulong};
use nix::unistd::{ForkResult, fork};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The largest number of a signal.
const SIGNALS_MAX: c_int = 64;
/// Bytes of a signal set as the kernel has it.
const SIGSET_BYTES: usize = 8;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
const KEYCTL_JOIN_SESSION_KEYRING: c_long = 1;

/// Forgets every variable that the caller set.
///
/// # Errors
/// When C says that it cannot.
pub fn clear_environment() -> nix::Result<()> {
    // SAFETY: one thread.
    match unsafe { libc::clearenv() } {
        0 => Ok(()),
        _ => Err(Errno::ENOMEM),
    }
}

/// Every signal has its default action, and none is blocked.
///
/// # Errors
/// What the system says.
pub fn reset_signals() -> nix::Result<()> {
    // The kernel's struct for the default action is zeroes. Not by C's functions: they leave out two signals of C's own.
    let default_action = [0usize; 4];
    for signal in (1..=SIGNALS_MAX).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        let (new, old) = (default_action.as_ptr(), std::ptr::null_mut::<usize>());
        // SAFETY: no handler is set, and the struct is as long as any kernel's of 64 bits.
        Errno::result(unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, new, old, SIGSET_BYTES) })?;
    }
    // SAFETY: a set that lives on this stack.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        Errno::result(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut())).map(drop)
    }
}

/// Descriptors from `first` on: closed now, or at exec.
///
/// # Errors
/// What the system says.
pub fn close_from(first: u32, at_exec: bool) -> nix::Result<()> {
    let flags: c_ulong = if at_exec { 4 } else { 0 };
    // SAFETY: plain numbers; the caller owns nothing that it closes.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_close_range, c_ulong::from(first), c_ulong::from(u32::MAX), flags)
    })
    .map(drop)
}

/// A copy of this process, which does `work` and ends with what it gives; waits for it.
///
/// # Errors
/// When it cannot be made; its status when it failed.
pub fn in_child(work: impl FnOnce() -> u8) -> io::Result<c_int> {
    // SAFETY: one thread.
    match unsafe { fork() }? {
        ForkResult::Child => {
            let status = work();
            // SAFETY: ends it, without what the parent will do at its own end.
            unsafe { libc::_exit(c_int::from(status)) }
        }
        ForkResult::Parent { child } => {
            let mut status = 0;
            loop {
                // SAFETY: a child of this process's, and a place for its status.
                match Errno::result(unsafe { libc::waitpid(child.as_raw(), &raw mut status, 0) }) {
                    Err(Errno::EINTR) => {}
                    Err(errno) => return Err(errno.into()),
                    Ok(_) => return Ok(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 }),
                }
            }
        }
    }
}

/// A session keyring of its own: the caller's keys are not the user's.
///
/// # Errors
/// What the system says.
pub fn join_new_keyring() -> nix::Result<()> {
    // SAFETY: no name, so that nothing is read.
    Errno::result(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0 as c_ulong) })
        .map(drop)
}

/// The kernel's header and its two halves of effective, permitted and inheritable.
type Capabilities = [[u32; 3]; 2];

/// Gives up every capability that may be left, the ambient and inheritable ones too.
///
/// # Errors
/// What the system says.
pub fn clear_capabilities() -> nix::Result<()> {
    let header = [CAPABILITY_VERSION_3, 0];
    let none: Capabilities = Default::default();
    // SAFETY: header and data as version 3 has them; plain numbers.
    unsafe {
        let zero: c_ulong = 0;
        let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong;
        Errno::result(libc::prctl(libc::PR_CAP_AMBIENT, clear, zero, zero, zero))?;
        Errno::result(libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr())).map(drop)
    }
}

/// Whether no capability is left.
///
/// # Errors
/// What the system says.
pub fn has_no_capabilities() -> nix::Result<bool> {
    let mut header = [CAPABILITY_VERSION_3, 0];
    let mut found: Capabilities = [[u32::MAX; 3]; 2];
    // SAFETY: header and room as version 3 has them.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), found.as_mut_ptr()) })?;
    Ok(found == Capabilities::default())
}

/// Signals the process that a pidfd names.
///
/// # Errors
/// What the system says; EBADF where it is no pidfd.
pub fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: c_int) -> nix::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    let (number, zero) = (pidfd.as_raw_fd(), 0 as c_ulong);
    // SAFETY: plain numbers, and no siginfo.
    Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, number, signal, none, zero) }).map(drop)
}

/// A descriptor that the caller of this program handed over under a number; none where there is none.
#[must_use]
pub fn handed(number: c_int) -> Option<BorrowedFd<'static>> {
    // SAFETY: it is asked for first, and stays open until this process ends.
    unsafe { (libc::fcntl(number, libc::F_GETFD) >= 0).then(|| BorrowedFd::borrow_raw(number)) }
}

/// A descriptor that has just been received.
#[must_use]
pub fn own(fd: c_int) -> OwnedFd {
    // SAFETY: the kernel made it for this process, and nobody else knows its number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
