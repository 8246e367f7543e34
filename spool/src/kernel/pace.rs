//! When a checkpoint is due: after a fixed interval, or so seldom that checkpoints cost about 5 % of the time.

use std::time::Duration;

/// Without a fixed interval: never sooner than this after the last.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Without a fixed interval: this many times what the last one took.
const COST_FACTOR: u32 = 20;

/// Decides from durations alone; it has no clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    fixed: Option<Duration>,
    /// When the last one ended, or the program began, on the caller's axis.
    last: Duration,
    cost: Duration,
    /// Whether the request to checkpoint now has been answered.
    answered: bool,
}

impl Pace {
    /// Starts at `now`; `fixed` is the interval the user chose.
    #[must_use]
    pub fn new(fixed: Option<Duration>, now: Duration) -> Self {
        Self { fixed, last: now, cost: Duration::ZERO, answered: false }
    }

    /// Whether one is due at `now`. `wanted`: dc asks for one at once, which is answered by one.
    #[must_use]
    pub fn due(&self, now: Duration, wanted: bool) -> bool {
        let interval = self.fixed.unwrap_or_else(|| INTERVAL_MIN.max(self.cost.saturating_mul(COST_FACTOR)));
        (wanted && !self.answered) || now.saturating_sub(self.last) >= interval
    }

    /// One was tried from `began` to `now`, well or not: on a full disk the next step need not try again.
    pub fn tried(&mut self, began: Duration, now: Duration, wanted: bool) {
        self.cost = now.saturating_sub(began);
        self.last = now;
        self.answered |= wanted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_twentieth_of_the_time() {
        let mut pace = Pace::new(None, ms(0));
        assert!(!pace.due(ms(999), false));
        assert!(pace.due(ms(1000), false));
        pace.tried(ms(1000), ms(1010), false);
        assert!(!pace.due(ms(2009), false) && pace.due(ms(2010), false), "a second at least");
        pace.tried(ms(2010), ms(2510), false);
        assert!(!pace.due(ms(12_509), false) && pace.due(ms(12_510), false), "20 times half a second");
    }

    #[test]
    fn a_fixed_interval_is_obeyed() {
        let mut pace = Pace::new(Some(ms(50)), ms(0));
        assert!(!pace.due(ms(49), false) && pace.due(ms(50), false));
        pace.tried(ms(50), ms(5050), false);
        assert!(!pace.due(ms(5099), false) && pace.due(ms(5100), false));
        assert!(Pace::new(Some(ms(0)), ms(7)).due(ms(7), false), "0: each time it is asked");
    }

    #[test]
    fn a_request_is_answered_once() {
        let mut pace = Pace::new(None, ms(0));
        assert!(pace.due(ms(1), true));
        pace.tried(ms(1), ms(2), true);
        assert!(!pace.due(ms(3), true));
        assert!(pace.due(ms(1002), true));
    }
}
