//! What tests ask of /proc, where there is no event to wait for: asked again until it holds or a deadline passes.

use super::DEADLINE;
use std::fs;
use std::time::{Duration, Instant};

/// Asks until it is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    within(DEADLINE, what, &mut so);
}

/// Asks until it is so; it must be within this time.
pub fn within(limit: Duration, what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !so() {
        assert!(Instant::now() < end, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a process runs: it is there, and is no zombie.
pub fn runs(pid: i32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Its state's letter.
pub fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 1..].trim_start().chars().next()
}

/// Running processes whose environment holds this entry.
pub fn with_entry(entry: &str) -> Vec<i32> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| runs(*pid))
        .filter(|pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|b| *b == 0).any(|found| found == entry.as_bytes())
        })
        .collect()
}

/// The number in a file, once it is there and whole (with its newline).
pub fn number_in(path: &std::path::Path) -> i32 {
    let mut number = None;
    until(&format!("a number in {}", path.display()), || {
        let text = fs::read_to_string(path).unwrap_or_default();
        number = text.strip_suffix('\n').and_then(|t| t.trim().parse().ok());
        number.is_some()
    });
    number.unwrap()
}
