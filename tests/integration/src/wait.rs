//! Waiting for a condition that nothing announces, with a deadline.

use std::time::{Duration, Instant};

/// How long anything may take. Generous: machines that test are busy.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Looks again and again until `look` has found something.
///
/// # Panics
/// After [`DEADLINE`], with what was waited for.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, look).unwrap_or_else(|| panic!("waited {DEADLINE:?} for {what}"))
}

/// As [`until`], with a limit of its own and no panic.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if start.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}
