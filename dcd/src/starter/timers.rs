//! What is to happen later: a heap of instants. A timer whose object is gone by then is let go when it fires.

use super::gang::Deadline;
use super::streams::StreamKey;
use super::table::AttemptKey;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// The grace of a stopped attempt is over.
    Grace(AttemptKey),
    /// Half of it is over.
    HalfGrace(AttemptKey),
    /// The job has lasted: it gets a control group.
    Group,
    /// An attempt that runs is to be looked at.
    Look(AttemptKey),
    /// Something of a gang, by its count, is waited for no longer.
    Gang(u64, Deadline),
    /// A stream whose rank has ended is closed.
    Drain(StreamKey),
    /// Streams of an ended rank that are drained beside the loop are closed.
    DrainOver(AttemptKey),
}

/// All timers.
#[derive(Default, Debug)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
}

impl Timers {
    /// Sets one.
    pub fn set(&mut self, at: Instant, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    /// The next one that is due.
    pub fn due(&mut self, now: Instant) -> Option<Timer> {
        let Reverse((at, timer)) = *self.heap.peek()?;
        (at <= now).then(|| {
            self.heap.pop();
            timer
        })
    }

    /// How long until the next one.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, _))| at.saturating_duration_since(now))
    }
}
