//! When progress is shown next.

use crate::console::Style;

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;

/// A point in time that comes again and again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Beat {
    due_ns: u64,
    period_ns: u64,
}

impl Beat {
    /// Whether it is due; then the next one is set.
    fn take(&mut self, now_ns: u64) -> bool {
        let is_due = now_ns >= self.due_ns;
        if is_due {
            self.due_ns = now_ns + self.period_ns;
        }
        is_due
    }
}

/// What is to be shown now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// The bar, or a line.
    pub display: bool,
    /// An event.
    pub event: bool,
}

/// The beats of the display and of the events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pulse {
    display: Option<Beat>,
    event: Option<Beat>,
}

impl Pulse {
    /// For this style of display, with or without events. Short runs show nothing.
    #[must_use]
    pub fn new(style: Style, has_events: bool) -> Self {
        let display = match style {
            Style::None => None,
            Style::Bar => Some(Beat { due_ns: 400 * MS, period_ns: 200 * MS }),
            Style::Lines => Some(Beat { due_ns: 10 * S, period_ns: 30 * S }),
        };
        Self { display, event: has_events.then_some(Beat { due_ns: S, period_ns: 5 * S }) }
    }

    /// When something is due next.
    #[must_use]
    pub fn due_ns(&self) -> Option<u64> {
        [self.display, self.event].into_iter().flatten().map(|beat| beat.due_ns).min()
    }

    /// Nothing is due any more.
    pub fn stop(&mut self) {
        (self.display, self.event) = (None, None);
    }

    /// What is due now.
    pub fn take(&mut self, now_ns: u64) -> Due {
        let take = |beat: &mut Option<Beat>| beat.as_mut().is_some_and(|beat| beat.take(now_ns));
        Due { display: take(&mut self.display), event: take(&mut self.event) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_after_ten_seconds_then_every_thirty() {
        let mut pulse = Pulse::new(Style::Lines, false);
        assert_eq!(pulse.due_ns(), Some(10 * S));
        assert!(!pulse.take(9 * S).display);
        assert!(pulse.take(10 * S).display);
        assert!(!pulse.take(39 * S).display);
        assert!(pulse.take(41 * S).display);
        assert_eq!(pulse.due_ns(), Some(71 * S));
    }

    #[test]
    fn nothing_wakes_a_quiet_run() {
        assert_eq!(Pulse::new(Style::None, false).due_ns(), None);
        let mut pulse = Pulse::new(Style::None, true);
        assert_eq!(pulse.take(S), Due { display: false, event: true });
    }
}
