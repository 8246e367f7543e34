//! What may block, beside the loop: a few threads that take one act after another, and a bell that wakes the loop when one
//! has an answer. Threads are made when they are needed.

use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Threads: a hung sweep or a slow disk holds up one of them.
const THREADS_MAX: usize = 8;

/// The way to the loop, from any thread.
#[derive(Debug)]
pub struct Sends<T> {
    queue: Sender<T>,
    bell: Arc<EventFd>,
}

impl<T> Clone for Sends<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), bell: Arc::clone(&self.bell) }
    }
}

impl<T> Sends<T> {
    /// Puts one into the loop's queue. When the loop is gone nobody needs it.
    pub fn send(&self, item: T) {
        let _ = self.queue.send(item);
        // Fails when the counter is full, and then the loop is awake anyway.
        let _ = self.bell.write(1);
    }
}

type Act<T> = Box<dyn FnOnce() -> T + Send>;

#[derive(Debug)]
struct Waiting<T> {
    acts: VecDeque<ActOf<T>>,
    idle: usize,
    threads: usize,
}

struct ActOf<T>(Act<T>);

impl<T> std::fmt::Debug for ActOf<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Act")
    }
}

#[derive(Debug)]
struct Shared<T> {
    waiting: Mutex<Waiting<T>>,
    more: Condvar,
}

impl<T> Shared<T> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<T>> {
        // An act that panicked held no lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop's end.
#[derive(Debug)]
pub struct Works<T> {
    shared: Arc<Shared<T>>,
    sends: Sends<T>,
    answers: Receiver<T>,
}

impl<T: Send + 'static> Works<T> {
    /// No thread yet.
    ///
    /// # Errors
    /// When there is no descriptor for the bell.
    pub fn new() -> io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let (queue, answers) = channel();
        let waiting = Waiting { acts: VecDeque::new(), idle: 0, threads: 0 };
        let shared = Shared { waiting: Mutex::new(waiting), more: Condvar::new() };
        Ok(Self { shared: Arc::new(shared), sends: Sends { queue, bell: Arc::new(bell) }, answers })
    }

    /// A way to the loop for others.
    #[must_use]
    pub fn sends(&self) -> Sends<T> {
        self.sends.clone()
    }

    /// To be polled for reading.
    #[must_use]
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.sends.bell.as_fd()
    }

    /// Does this beside the loop; its answer comes by [`Works::next`].
    pub fn start(&self, act: impl FnOnce() -> T + Send + 'static) {
        let mut waiting = self.shared.waiting();
        waiting.acts.push_back(ActOf(Box::new(act)));
        if waiting.idle >= waiting.acts.len() || waiting.threads >= THREADS_MAX {
            self.shared.more.notify_one();
            return;
        }
        let (shared, sends) = (Arc::clone(&self.shared), self.sends.clone());
        match std::thread::Builder::new().name("work".to_owned()).spawn(move || serve(&shared, &sends)) {
            Ok(_) => waiting.threads += 1,
            // Others will come to it; without any it is done here, late rather than never.
            Err(_) if waiting.threads > 0 => self.shared.more.notify_one(),
            Err(_) => {
                let act = waiting.acts.pop_back();
                drop(waiting);
                if let Some(ActOf(act)) = act {
                    self.sends.send(act());
                }
            }
        }
    }

    /// Silences the bell; then take all with [`Works::next`].
    pub fn on_bell(&self) {
        let _ = self.sends.bell.read();
    }

    /// The next answer that is there.
    #[must_use]
    pub fn next(&self) -> Option<T> {
        self.answers.try_recv().ok()
    }
}

fn serve<T>(shared: &Shared<T>, sends: &Sends<T>) {
    loop {
        let act = {
            let mut waiting = shared.waiting();
            loop {
                if let Some(act) = waiting.acts.pop_front() {
                    break act;
                }
                waiting.idle += 1;
                waiting = shared.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                waiting.idle -= 1;
            }
        };
        sends.send(act.0());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    #[test]
    fn answers_wake_the_loop_and_a_slow_act_holds_up_nobody() {
        let works = Works::new().unwrap();
        let (go, wait) = channel::<()>();
        works.start(move || {
            wait.recv().unwrap();
            0
        });
        for i in 1..=20 {
            works.start(move || i);
        }
        let mut got = Vec::new();
        while got.len() < 20 {
            let mut fds = [PollFd::new(works.bell(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut fds, PollTimeout::from(20_000u16)), Ok(1), "an answer in time");
            works.on_bell();
            got.extend(std::iter::from_fn(|| works.next()));
        }
        got.sort_unstable();
        assert_eq!(got, (1..=20).collect::<Vec<_>>());
        go.send(()).unwrap();
    }
}
