//! The loop over all connections that are through: one thread, epoll, and memory only for what a slow end has not taken.

use super::super::daemon::{Interest, Poller};
use super::pair::{CHUNK_BYTES, Pair};
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{debug, warn};

/// A connection on which nothing goes for so long, either way, is over, in ns. Both ends say that they live more often.
const IDLE_NS: u64 = 150_000_000_000;
/// One of whose ends is gone lasts no longer than this without a byte, in ns.
const BROKEN_NS: u64 = 5_000_000_000;
/// How often that is looked at, in ns.
const SWEEP_NS: u64 = 1_000_000_000;
/// The number of the one descriptor that is no socket.
const WAKE: u64 = u64::MAX;

struct Inbox {
    pairs: Mutex<Vec<Pair>>,
    wake: EventFd,
}

/// The loop, as those who bring it connections see it.
pub(super) struct Pump(Arc<Inbox>);

impl Pump {
    /// Starts it.
    pub fn start() -> io::Result<Self> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let inbox = Arc::new(Inbox { pairs: Mutex::default(), wake });
        let poller = Poller::new()?;
        poller.add(&inbox.wake, WAKE, Interest::READ)?;
        let mut running = Running {
            inbox: Arc::clone(&inbox),
            poller,
            pairs: HashMap::new(),
            next: 0,
            scratch: vec![0; CHUNK_BYTES],
            swept_ns: crate::daemon::now(),
        };
        std::thread::Builder::new().name("pump".to_owned()).spawn(move || {
            if let Err(error) = running.run() {
                // No connection goes on; whoever starts relays starts another one.
                tracing::error!("the relay cannot go on: {error}");
                std::process::exit(1);
            }
        })?;
        Ok(Self(inbox))
    }

    /// From now on this one is moved too.
    pub fn take(&self, pair: Pair) {
        self.0.pairs.lock().unwrap_or_else(PoisonError::into_inner).push(pair);
        // Full means that it is awake.
        let _ = self.0.wake.write(1);
    }
}

struct Held {
    pair: Pair,
    /// What is waited for at each side; none: it is not in the set.
    waits: [Option<Interest>; 2],
    began_ns: u64,
}

struct Running {
    inbox: Arc<Inbox>,
    poller: Poller,
    pairs: HashMap<u64, Held>,
    next: u64,
    scratch: Vec<u8>,
    swept_ns: u64,
}

impl Running {
    fn run(&mut self) -> Result<(), Errno> {
        let mut ready = Vec::new();
        loop {
            self.poller.wait(Some(SWEEP_NS), &mut ready)?;
            for one in &ready {
                if one.token == WAKE {
                    let _ = self.inbox.wake.read();
                    self.begin();
                    continue;
                }
                let (id, side) = (one.token / 2, (one.token % 2) as usize);
                // Of a pair that ended in this turn the other side may be told still.
                if let Some(held) = self.pairs.get_mut(&id) {
                    let (read, write) = (one.read || one.ended, one.write || one.ended);
                    held.pair.on_ready(side, read, write, &mut self.scratch);
                    self.settle(id);
                }
            }
            self.sweep();
        }
    }

    fn begin(&mut self) {
        let new = std::mem::take(&mut *self.inbox.pairs.lock().unwrap_or_else(PoisonError::into_inner));
        for pair in new {
            let id = self.next;
            self.next += 1;
            self.pairs.insert(id, Held { pair, waits: [None; 2], began_ns: crate::daemon::now() });
            self.settle(id);
        }
    }

    /// Waits for what a pair wants now, or ends it.
    fn settle(&mut self, id: u64) {
        let Some(held) = self.pairs.get_mut(&id) else { return };
        if held.pair.is_over() {
            self.end(id, "it has ended");
            return;
        }
        for side in 0..2 {
            let wanted = Some(held.pair.interest(side)).filter(|it| it.read || it.write);
            let (socket, token) = (held.pair.side(side), id * 2 + side as u64);
            let changed = match (held.waits[side], wanted) {
                (before, after) if before == after => Ok(()),
                (None, Some(interest)) => self.poller.add(socket, token, interest),
                (Some(_), Some(interest)) => self.poller.change(socket, token, interest),
                (_, None) => self.poller.remove(socket),
            };
            if let Err(error) = changed {
                warn!("{}: {error}", held.pair.what);
                self.end(id, "it cannot be waited for");
                return;
            }
            held.waits[side] = wanted;
        }
    }

    fn sweep(&mut self) {
        let now = crate::daemon::now();
        if now.saturating_sub(self.swept_ns) < SWEEP_NS {
            return;
        }
        self.swept_ns = now;
        let is_over = |held: &Held| {
            let most = if held.pair.is_broken() { BROKEN_NS } else { IDLE_NS };
            now.saturating_sub(held.pair.moved_ns) >= most
        };
        let over: Vec<u64> = self.pairs.iter().filter(|(_, held)| is_over(held)).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|id| self.end(id, "nothing goes any more"));
    }

    fn end(&mut self, id: u64, why: &str) {
        let Some(held) = self.pairs.remove(&id) else { return };
        let [to, from] = held.pair.bytes();
        let ms = crate::daemon::now().saturating_sub(held.began_ns) / 1_000_000;
        debug!("{}: {to} bytes to the node, {from} from it, {ms} ms: {why}", held.pair.what);
    }
}
