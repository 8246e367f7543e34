//! Signals of the daemon, as a descriptor: SIGTERM and SIGINT end it, SIGHUP has it read its configuration again.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// To end.
    End,
    /// To read the configuration again.
    Reload,
}

/// The descriptor.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Takes the signals. Before any thread is started, so that none of them gets one.
    ///
    /// # Errors
    /// The system's.
    pub fn take() -> Result<Self, Errno> {
        let set: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map(Self)
    }

    /// The next one that came.
    pub fn next_wish(&mut self) -> Option<Wish> {
        let info = self.0.read_signal().ok().flatten()?;
        let number = i32::try_from(info.ssi_signo).ok()?;
        Some(if number == Signal::SIGHUP as i32 { Wish::Reload } else { Wish::End })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
