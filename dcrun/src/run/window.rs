//! How many grants to keep ahead of the launches: so many that cores never wait for the disk.

use super::journal::GROUP_AGE;
use std::time::Duration;

/// At least so many grants, however fast the disk.
const GRANTS_MIN: u32 = 64;
/// At most so many, however slow.
const GRANTS_MAX: u32 = 4096;
/// So many syncs' worth of launches are kept ahead.
const SYNCS_AHEAD: u32 = 4;

/// Measures launches and syncs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Window {
    /// Ranks that can run at once.
    slots: u32,
    /// Smoothed time of a sync, in ns.
    sync_ns: f64,
    /// Smoothed rate, in launches a second.
    rate: f64,
    launches: u32,
    since_ns: u64,
    grants: u32,
}

impl Window {
    /// For a job that runs at most `slots` ranks at once.
    #[must_use]
    pub fn new(slots: u32, now_ns: u64) -> Self {
        Self { slots, sync_ns: 0.0, rate: 0.0, launches: 0, since_ns: now_ns, grants: 0 }
    }

    /// One more launch.
    pub fn on_launch(&mut self) {
        self.launches += 1;
    }

    /// A sync took so long: the new window, when it is another.
    pub fn on_sync(&mut self, now_ns: u64, sync: Duration) -> Option<u32> {
        let smooth = |old: f64, new: f64| if old == 0.0 { new } else { old * 0.75 + new * 0.25 };
        self.sync_ns = smooth(self.sync_ns, sync.as_nanos() as f64);
        let passed_s = now_ns.saturating_sub(self.since_ns).max(1) as f64 / 1e9;
        self.rate = smooth(self.rate, f64::from(self.launches) / passed_s);
        (self.launches, self.since_ns) = (0, now_ns);
        let ahead_s = GROUP_AGE.as_secs_f64() + f64::from(SYNCS_AHEAD) * self.sync_ns / 1e9;
        let min = GRANTS_MIN.max(self.slots.saturating_mul(2)).min(GRANTS_MAX);
        let grants = ((self.rate * ahead_s).ceil() as u32).clamp(min, GRANTS_MAX);
        (std::mem::replace(&mut self.grants, grants) != grants).then_some(grants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_disk_and_the_rate() {
        let mut window = Window::new(2, 0);
        assert_eq!(window.on_sync(1_000_000, Duration::from_micros(100)), Some(64));
        for _ in 0..3000 {
            window.on_launch();
        }
        assert_eq!(window.on_sync(1_001_000_000, Duration::from_millis(50)), Some(181));
        (0..300_000).for_each(|_| window.on_launch());
        assert_eq!(window.on_sync(1_002_000_000, Duration::from_secs(1)), Some(4096));
        assert_eq!(Window::new(9999, 0).on_sync(1, Duration::ZERO), Some(4096));
    }
}
