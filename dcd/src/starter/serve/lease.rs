//! The lease: until when ranks may run, whoever is there to say so. By CLOCK_BOOTTIME, which goes on while the machine
//! sleeps and which nobody sets. The table is in docs/starter-states.md, and a test holds the two together.

use super::watch::Watch;
use crate::starter::words::words;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::clock_gettime;
use std::time::Duration;

/// How many leases it stays to tell its story when one is over.
const STORY_LEASES: u32 = 10;
/// A story takes no less, however short leases are.
const STORY_MIN: Duration = Duration::from_secs(1);

words! {
    /// Where the lease stands.
    State {
        /// Nobody has said anything about it yet.
        Awaited = "awaited",
        /// Ranks may run.
        Held = "held",
        /// It has run out: nothing runs.
        Over = "over",
        /// Nobody came to hear the story.
        Ended = "ended",
    }
}

words! {
    /// What happens to it.
    Event {
        /// Somebody has said until when.
        Renewed = "renewed",
        /// The timer.
        RanOut = "ran out",
    }
}

words! {
    /// What follows.
    Act {
        /// The timer is set to the new end.
        SetTimer = "set timer",
        /// Everything is killed at once.
        KillAll = "kill all",
        /// The timer is set to the end of the story.
        Stay = "stay",
        /// The starter ends.
        End = "end",
    }
}

/// What follows.
#[must_use]
pub fn next(state: State, event: Event) -> (State, &'static [Act]) {
    match (state, event) {
        (State::Awaited | State::Held | State::Over, Event::Renewed) => (State::Held, &[Act::SetTimer]),
        (State::Awaited | State::Held, Event::RanOut) => (State::Over, &[Act::KillAll, Act::Stay]),
        (State::Over, Event::RanOut) => (State::Ended, &[Act::End]),
        (State::Ended, Event::Renewed | Event::RanOut) => (State::Ended, &[]),
    }
}

/// CLOCK_BOOTTIME now, in ns.
#[must_use]
pub fn boottime_ns() -> u64 {
    clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .ok()
        .and_then(|now| u64::try_from(now.num_nanoseconds()).ok())
        .unwrap_or(0)
}

/// The lease and its timer.
#[derive(Debug)]
pub struct Lease {
    state: State,
    timer: TimerFd,
    until_ns: u64,
    length: Duration,
    watch: Watch,
}

impl Lease {
    /// None was given yet; so long is waited for the first.
    ///
    /// # Errors
    /// When there is no timer or thread to be had.
    pub fn await_first(first: Duration) -> nix::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        let until_ns = boottime_ns().saturating_add(nanoseconds(first));
        let mut lease =
            Self { state: State::Awaited, timer, until_ns, length: first, watch: Watch::start()? };
        lease.set_to_end();
        // A lease of any length is later than none at all.
        lease.until_ns = 0;
        Ok(lease)
    }

    /// The descriptor that is readable when the timer has run out.
    #[must_use]
    pub fn timer(&self) -> &TimerFd {
        &self.timer
    }

    /// Whether it has run out, and nothing may run. By the clock too: whoever stood still for a while may read an order of
    /// before the end before it reads that the timer has run out.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let has_passed = self.until_ns > 0 && boottime_ns() >= self.until_ns;
        has_passed || matches!(self.state, State::Over | State::Ended)
    }

    /// Whether the timer has run out since it was set; it is the event then.
    pub fn has_run_out(&mut self) -> bool {
        let mut count = [0; 8];
        nix::unistd::read(&self.timer, &mut count).is_ok_and(|bytes| bytes == count.len())
    }

    /// Somebody says until when ranks may run; whether that is later than what was known, and still to come.
    #[must_use]
    pub fn takes(&mut self, until_ns: u64) -> bool {
        let now_ns = boottime_ns();
        let is_news = until_ns > self.until_ns && until_ns > now_ns;
        if is_news {
            self.until_ns = until_ns;
            self.length = Duration::from_nanos(until_ns - now_ns);
        }
        is_news
    }

    /// The next state, and what follows.
    pub fn on(&mut self, event: Event) -> &'static [Act] {
        let (state, acts) = next(self.state, event);
        self.state = state;
        acts
    }

    /// The timer runs until the lease's end.
    pub fn set_to_end(&mut self) {
        self.set(self.until_ns);
        self.watch.expect(self.until_ns);
    }

    /// The timer runs for as long as the story is told.
    pub fn set_to_story(&mut self) {
        self.watch.rest();
        let story = self.length.saturating_mul(STORY_LEASES).max(STORY_MIN);
        self.set(boottime_ns().saturating_add(nanoseconds(story)));
    }

    fn set(&mut self, until_ns: u64) {
        let until = TimeSpec::nanoseconds(i64::try_from(until_ns).unwrap_or(i64::MAX));
        // It fails for what is no time at all, and ours are.
        let _ = self.timer.set(Expiration::OneShot(until), TimerSetTimeFlags::TFD_TIMER_ABSTIME);
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
