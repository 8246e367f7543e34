//! When what waits to be sent must go. Most of it at once; what nobody acts on, such as that a rank has started, may
//! wait a moment for company, so that ranks that live for a moment do not wake dcrun more than once each.

use std::time::{Duration, Instant};

/// How long it may wait.
const COMPANY_MAX: Duration = Duration::from_millis(2);

/// Of one socket's waiting bytes.
#[derive(Clone, Copy, Default, Debug)]
pub struct Haste {
    urgent: bool,
    since: Option<Instant>,
}

impl Haste {
    /// Something was added.
    pub fn add(&mut self, urgent: bool) {
        self.urgent |= urgent;
        if !self.urgent && self.since.is_none() {
            self.since = Some(Instant::now());
        }
    }

    /// Whether what waits must go now. What was tried already, and did not go, is tried again.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.urgent || self.since.is_none_or(|since| now.saturating_duration_since(since) >= COMPANY_MAX)
    }

    /// How long until it must, when nothing else is added.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| (since + COMPANY_MAX).saturating_duration_since(now))
    }

    /// All has been sent, or is stuck until the socket takes more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_goes_at_once_and_the_rest_in_a_moment() {
        let mut haste = Haste::default();
        let now = Instant::now();
        assert!(haste.wait(now).is_none());
        haste.add(false);
        assert!(!haste.is_due(now) && haste.wait(now).is_some());
        assert!(haste.is_due(now + 2 * COMPANY_MAX));
        haste.add(true);
        assert!(haste.is_due(now));
        haste.clear();
        assert!(haste.is_due(now) && haste.wait(now).is_none(), "what is left is stuck");
    }
}
