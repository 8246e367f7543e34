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

const INSTANT_NS_MAX: i64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

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
    /// The latest that was said; 0 before that.
    said_ns: u64,
    /// Where ranks are killed.
    ends_ns: u64,
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
        let ends_ns = boottime_ns().saturating_add(nanoseconds(first));
        let (state, watch) = (State::Awaited, Watch::start()?);
        let lease = Self { state, timer, said_ns: 0, ends_ns, length: first, watch };
        lease.set_to_end();
        Ok(lease)
    }

    /// The descriptor that is readable when the timer has run out.
    #[must_use]
    pub fn timer(&self) -> &TimerFd {
        &self.timer
    }

    /// Whether it has run out, and nothing may run.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over | State::Ended)
    }

    /// Whether something may be launched: the timer may have run out unseen.
    #[must_use]
    pub fn lets_launch(&self) -> bool {
        !self.is_over() && boottime_ns() < self.ends_ns
    }

    /// Whether the timer has run out since it was set; it is the event then.
    pub fn has_run_out(&mut self) -> bool {
        let mut count = [0; 8];
        nix::unistd::read(&self.timer, &mut count).is_ok_and(|bytes| bytes == count.len())
    }

    /// Somebody says until when ranks may run; whether that counts: it is later than what was said before, and still to
    /// come, or the first.
    #[must_use]
    pub fn takes(&mut self, until_ns: u64) -> bool {
        let now_ns = boottime_ns();
        let is_news = until_ns > self.said_ns && (until_ns > now_ns || self.state == State::Awaited);
        if is_news {
            (self.said_ns, self.ends_ns) = (until_ns, until_ns);
            self.length = Duration::from_nanos(until_ns.saturating_sub(now_ns));
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
    pub fn set_to_end(&self) {
        self.set(self.ends_ns);
        self.watch.expect(self.ends_ns);
    }

    /// The timer runs for as long as the story is told.
    pub fn set_to_story(&self) {
        self.watch.rest();
        let story = self.length.saturating_mul(STORY_LEASES).max(STORY_MIN);
        self.set(boottime_ns().saturating_add(nanoseconds(story)));
    }

    fn set(&self, until_ns: u64) {
        set_timer(&self.timer, until_ns);
    }
}

/// Sets a timer to an instant, by its own clock. What is more than a hundred years of uptime is as good as never.
pub fn set_timer(timer: &TimerFd, at_ns: u64) {
    let at = TimeSpec::nanoseconds(i64::try_from(at_ns).unwrap_or(i64::MAX).min(INSTANT_NS_MAX));
    // It fails for what is no time at all, and ours are.
    let _ = timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME);
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
