//! The system calls on processes that nix has not, or not for every value: a signal or an exit status may be any
//! number (real-time signals too), and a pidfd names a process for good.
//!
//! Unsafe because they are bare calls into libc. Each takes plain numbers, or memory that lives in this file.
#![allow(unsafe_code)]

use dc_model::CpuSet;
use dc_model::cpuset::CPUS_MAX;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::Pid;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It exited with this status.
    Exited(u8),
    /// This signal ended it.
    Signalled(u8),
}

/// Which children to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// Any child.
    Any,
    /// This one.
    Pid(Pid),
}

fn wait(whose: Whose, flags: libc::c_int) -> nix::Result<Option<(Pid, End)>> {
    let (kind, id) = match whose {
        Whose::Any => (libc::P_ALL, 0),
        Whose::Pid(pid) => (libc::P_PID, pid.as_raw() as libc::id_t),
    };
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the kernel writes one siginfo_t there; zeroes are a valid one, and stay when nothing has ended.
    let result = unsafe { libc::waitid(kind, id, info.as_mut_ptr(), flags) };
    Errno::result(result)?;
    // SAFETY: as above; the fields read are those that waitid fills for a child.
    let (pid, status, code) = unsafe {
        let info = info.assume_init();
        (info.si_pid(), info.si_status(), info.si_code)
    };
    if pid == 0 {
        return Ok(None);
    }
    let end = match code {
        libc::CLD_EXITED => End::Exited(status as u8),
        _ => End::Signalled(status as u8),
    };
    Ok(Some((Pid::from_raw(pid), end)))
}

/// A child that has ended, left unreaped: its pid and its group's number stay its own. Never blocks.
///
/// # Errors
/// ECHILD when there is no child at all.
pub fn peek(whose: Whose) -> nix::Result<Option<(Pid, End)>> {
    wait(whose, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)
}

/// Reaps a child that has ended. Never blocks.
///
/// # Errors
/// ECHILD when there is no such child.
pub fn reap(whose: Whose) -> nix::Result<Option<(Pid, End)>> {
    wait(whose, libc::WEXITED | libc::WNOHANG)
}

/// Reaps a child that is ending, and waits until it has.
///
/// # Errors
/// ECHILD when there is no such child.
pub fn reap_blocking(pid: Pid) -> nix::Result<()> {
    loop {
        match wait(Whose::Pid(pid), libc::WEXITED) {
            Err(Errno::EINTR) => {}
            done => return done.map(drop),
        }
    }
}

/// Sends a signal to a process that cannot have been reaped: a child of the caller's.
///
/// # Errors
/// ESRCH, EPERM, EINVAL.
///
/// # Panics
/// For a pid that stands for more than one process.
pub fn signal_process(pid: Pid, signal: u8) -> nix::Result<()> {
    assert!(pid.as_raw() > 1, "one process, never all of them");
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::kill(pid.as_raw(), libc::c_int::from(signal)) }).map(drop)
}

/// Sends a signal to a process group whose leader cannot have been reaped.
///
/// # Errors
/// ESRCH, EPERM, EINVAL.
///
/// # Panics
/// For a number that stands for more than one group.
pub fn signal_group(leader: Pid, signal: u8) -> nix::Result<()> {
    assert!(leader.as_raw() > 1, "one group, never all processes");
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::kill(-leader.as_raw(), libc::c_int::from(signal)) }).map(drop)
}

/// A descriptor that names this process for good, whoever gets its number later.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Of the process that has this number now.
    ///
    /// # Errors
    /// ESRCH when there is none.
    pub fn open(pid: Pid) -> nix::Result<Self> {
        // SAFETY: plain numbers; a descriptor that is returned belongs to nobody else.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
        let fd = Errno::result(fd)? as RawFd;
        // SAFETY: as above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends SIGKILL to exactly that process.
    ///
    /// # Errors
    /// ESRCH when it is gone, EPERM.
    pub fn kill(&self) -> nix::Result<()> {
        let (fd, none) = (self.0.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
        // SAFETY: an open descriptor, plain numbers, and no siginfo.
        let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, libc::SIGKILL, none, 0) };
        Errno::result(result).map(drop)
    }

    /// The descriptor: readable when the process has ended.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Waits until that process has ended, or for so many ms.
    pub fn wait_end(&self, ms_max: u16) {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, ms_max);
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Takes over a descriptor that has just come through a socket.
#[must_use]
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the system made it for this message alone; nobody else has its number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Closes every descriptor from `first` on.
///
/// # Errors
/// When neither the call nor the list of descriptors is to be had.
pub fn close_from(first: RawFd) -> io::Result<()> {
    // SAFETY: called before anything in this process owns a descriptor from `first` on.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    if result == 0 {
        return Ok(());
    }
    let listed: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in listed.into_iter().filter(|fd| *fd >= first) {
        // SAFETY: as above; that of the listing itself is closed already, and fails harmlessly.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// How many bytes can be read from a pipe at once.
///
/// # Errors
/// When it is not a pipe.
pub fn bytes_readable(pipe: &OwnedFd) -> nix::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: an open descriptor, and a place for the one number that is written.
    Errno::result(unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// The CPUs a thread may run on; 0 stands for the calling one. nix's own stops at 1024 CPUs.
///
/// # Errors
/// ESRCH when there is no such thread.
pub fn affinity(thread: Pid) -> nix::Result<CpuSet> {
    let mut words = vec![0_u64; CPUS_MAX as usize / 64];
    // SAFETY: the kernel writes at most as many bytes as it is told there are.
    let bytes = unsafe {
        libc::syscall(
            libc::SYS_sched_getaffinity,
            thread.as_raw(),
            size_of_val(&words[..]),
            words.as_mut_ptr(),
        )
    };
    words.truncate(Errno::result(bytes)? as usize / size_of::<u64>());
    Ok(CpuSet::from_words(words))
}
