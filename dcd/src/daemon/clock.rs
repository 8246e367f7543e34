//! The one axis of time that dcd uses: CLOCK_BOOTTIME, which no one can set and which counts while the host sleeps. Leases
//! are told to starters on it.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since the host's start.
#[must_use]
pub fn boottime_ns() -> u64 {
    // Linux has had it since 2.6.39; without it a lease of the past is the safe answer.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |now| {
        let (s, ns) = (now.tv_sec().max(0) as u64, now.tv_nsec().max(0) as u64);
        s.saturating_mul(1_000_000_000).saturating_add(ns)
    })
}
