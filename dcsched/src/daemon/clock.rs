//! The loop's axis: CLOCK_BOOTTIME, which does not jump and goes on while the host sleeps.

use dc_model::Tick;
use nix::time::{ClockId, clock_gettime};

/// Now, in ns.
#[must_use]
pub fn now() -> Tick {
    // There is no Linux on which it fails.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |at| {
        let (s, ns) = (u64::try_from(at.tv_sec()).unwrap_or(0), u64::try_from(at.tv_nsec()).unwrap_or(0));
        s.saturating_mul(1_000_000_000).saturating_add(ns)
    })
}
