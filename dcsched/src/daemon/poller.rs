//! Which descriptors are ready: epoll, level-triggered, each with a number of its own.

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::os::fd::AsFd;

/// Taken at once, at most.
const EVENTS_MAX: usize = 256;

/// What to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Interest {
    /// It can be read from.
    pub read: bool,
    /// It can be written to.
    pub write: bool,
}

impl Interest {
    /// To be read from.
    pub const READ: Self = Self { read: true, write: false };

    fn flags(self) -> EpollFlags {
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, self.read);
        flags.set(EpollFlags::EPOLLOUT, self.write);
        flags
    }
}

/// What is ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready {
    /// Whose descriptor.
    pub token: u64,
    /// It can be read from, or has ended.
    pub read: bool,
    /// It can be written to, or has failed.
    pub write: bool,
    /// It has ended both ways, or failed: that is told whatever is waited for.
    pub ended: bool,
}

/// The set of descriptors.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

impl Poller {
    /// An empty one.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> Result<Self, Errno> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, events: vec![EpollEvent::empty(); EVENTS_MAX] })
    }

    /// Adds a descriptor. Closing it takes it out.
    ///
    /// # Errors
    /// The system's.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> Result<(), Errno> {
        self.epoll.add(fd, EpollEvent::new(interest.flags(), token))
    }

    /// Waits for something else of it.
    ///
    /// # Errors
    /// The system's.
    pub fn change(&self, fd: impl AsFd, token: u64, interest: Interest) -> Result<(), Errno> {
        self.epoll.modify(fd, &mut EpollEvent::new(interest.flags(), token))
    }

    /// Takes it out: not even its end is told any more.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self, fd: impl AsFd) -> Result<(), Errno> {
        self.epoll.delete(fd)
    }

    /// Waits for at most so long (`None`: for ever), and says what is ready.
    ///
    /// # Errors
    /// The system's; a signal is none.
    pub fn wait(&mut self, wait_ns: Option<u64>, ready: &mut Vec<Ready>) -> Result<(), Errno> {
        // Rounded up, so that what is waited for has come.
        let ms = wait_ns.map(|ns| u32::try_from(ns.div_ceil(1_000_000)).unwrap_or(u32::MAX).min(3_600_000));
        let timeout = match ms {
            None => EpollTimeout::NONE,
            Some(ms) => EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX),
        };
        ready.clear();
        let count = match self.epoll.wait(&mut self.events, timeout) {
            Err(Errno::EINTR) => 0,
            other => other?,
        };
        let ended = EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        ready.extend(self.events.iter().take(count).map(|event| Ready {
            token: event.data(),
            read: event.events().intersects(EpollFlags::EPOLLIN | ended),
            write: event.events().intersects(EpollFlags::EPOLLOUT | EpollFlags::EPOLLERR),
            ended: event.events().intersects(ended),
        }));
        Ok(())
    }
}
