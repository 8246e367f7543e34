//! A thread that looks after the end of the lease beside the loop. Mostly the loop is there in time; where it hangs in a
//! system call (a file system that does not answer) ranks are killed from here.

use super::lease::{boottime_ns, set_timer};
use crate::sweep::strike_from_beside;
use nix::errno::Errno;
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use nix::unistd::read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long after the lease's end the loop is waited for.
const LOOP_MAX: Duration = Duration::from_millis(250);
/// How soon it is looked again for what was made meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const STACK_BYTES: usize = 256 << 10;

#[derive(Debug)]
struct Shared {
    timer: TimerFd,
    /// When ranks are killed from here; 0: never.
    at_ns: AtomicU64,
}

/// The loop's side of it.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
}

impl Watch {
    /// Begins the thread; nothing is looked after yet.
    ///
    /// # Errors
    /// When there is no thread or timer to be had.
    pub fn start() -> nix::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC)?;
        let shared = Arc::new(Shared { timer, at_ns: AtomicU64::new(0) });
        let thread = std::thread::Builder::new().name("lease".to_owned()).stack_size(STACK_BYTES);
        let its = Arc::clone(&shared);
        thread.spawn(move || its.run()).map_err(|_| Errno::EAGAIN)?;
        Ok(Self { shared })
    }

    /// The loop will see to the end of the lease at this instant, by CLOCK_BOOTTIME.
    pub fn expect(&self, lease_ends_ns: u64) {
        let at_ns = lease_ends_ns.saturating_add(LOOP_MAX.as_nanos() as u64);
        self.shared.at_ns.store(at_ns, Ordering::Release);
        set_timer(&self.shared.timer, at_ns);
    }

    /// It has seen to it.
    pub fn rest(&self) {
        self.shared.at_ns.store(0, Ordering::Release);
    }
}

impl Shared {
    fn run(&self) {
        let mut count = [0; 8];
        loop {
            match read(&self.timer, &mut count) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
            // It may have been renewed, or seen to, in this moment.
            let is_due = || (1..=boottime_ns()).contains(&self.at_ns.load(Ordering::Acquire));
            while is_due() {
                strike_from_beside();
                std::thread::sleep(LOOK_AGAIN);
            }
        }
    }
}
