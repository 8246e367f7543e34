//! Messages from one thread to another that waits in poll: a queue and a bell. Neither side ever blocks.

use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// A queue whose readiness can be polled. Clones are the same queue.
#[derive(Debug)]
pub struct Mailbox<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    queue: Mutex<Vec<T>>,
    bell: EventFd,
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
    pub fn new() -> io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self(Arc::new(Inner { queue: Mutex::new(Vec::new()), bell })))
    }

    /// Puts one in.
    pub fn send(&self, item: T) {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).push(item);
        // Fails when the counter is full, and then the reader is awake anyway.
        let _ = self.0.bell.write(1);
    }

    /// Takes all, in order.
    #[must_use]
    pub fn take(&self) -> Vec<T> {
        let _ = self.0.bell.read();
        std::mem::take(&mut self.0.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// To be polled for reading.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.bell.as_fd()
    }
}
