//! Messages from one thread to another that waits in poll: a queue and an eventfd. Neither side ever blocks.

use nix::poll::PollTimeout;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a reader that waits in poll may wait without having looked: a system that refuses the call that wakes it
/// (a filter of system calls, a fault) makes it late, and does not make it wait for ever.
pub const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A queue whose readiness can be polled. Clones are the same queue.
#[derive(Debug)]
pub struct Mailbox<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    queue: Mutex<Vec<T>>,
    event: EventFd,
}

/// `LOOK_AGAIN`, for poll.
#[must_use]
pub fn look_again() -> PollTimeout {
    PollTimeout::try_from(LOOK_AGAIN).unwrap_or(PollTimeout::ZERO)
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Mailbox<T> {
    /// An empty one.
    ///
    /// # Errors
    /// When there is no descriptor to be had.
    pub fn new() -> std::io::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self(Arc::new(Inner { queue: Mutex::new(Vec::new()), event })))
    }

    /// Puts one in; wakes the reader when it is the first.
    pub fn push(&self, item: T) {
        let mut queue = self.queue();
        queue.push(item);
        if queue.len() == 1 {
            // Fails when the counter is full, and then the reader is awake anyway; else `LOOK_AGAIN` is what helps.
            let _ = self.0.event.write(1);
        }
    }

    /// Takes all out, in order. The reader is not woken again for what it has taken.
    pub fn drain(&self, into: &mut Vec<T>) {
        let mut queue = self.queue();
        if !queue.is_empty() {
            let _ = self.0.event.read();
            into.append(&mut queue);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> AsFd for Mailbox<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, poll};

    fn ready(mailbox: &Mailbox<u32>) -> bool {
        let mut fds = [PollFd::new(mailbox.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
    }

    #[test]
    fn ready_as_long_as_something_is_in_it() {
        let mailbox = Mailbox::new().unwrap();
        assert!(!ready(&mailbox));
        mailbox.clone().push(1);
        mailbox.push(2);
        assert!(ready(&mailbox));
        let mut got = vec![0];
        mailbox.drain(&mut got);
        assert_eq!(got, [0, 1, 2]);
        assert!(!ready(&mailbox));
        mailbox.push(3);
        assert!(ready(&mailbox));
    }
}
