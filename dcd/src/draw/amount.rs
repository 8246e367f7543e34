//! Numbers as people read them: durations, counts, per cents.

/// A duration: `0.4 s`, `12 s`, `1:05`, `2:03:04`, `3-04:05:06`.
#[must_use]
pub fn duration(ns: u64) -> String {
    let s = ns / 1_000_000_000;
    let (days, hours, minutes, seconds) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if s < 10 => format!("{}.{} s", s, ns / 100_000_000 % 10),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes}:{seconds:02}"),
        (0, _, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// A duration that is to be compared with another: three digits after the point below 100 seconds.
#[must_use]
pub fn measured(ns: u64) -> String {
    match ns {
        0..100_000_000_000 => format!("{}.{:03} s", ns / 1_000_000_000, ns / 1_000_000 % 1000),
        _ => duration(ns),
    }
}

/// A count with its thousands apart.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Whole per cents, rounded down: 100 only when all is done.
#[must_use]
pub fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 { 100 } else { (u128::from(part) * 100 / u128::from(whole)).min(100) as u64 }
}

/// The singular for 1, else the plural.
#[must_use]
pub fn plural(n: u64, one: &'static str, many: &'static str) -> &'static str {
    if n == 1 { one } else { many }
}

/// A count with its noun: `1 rank`, `2,500 ranks`.
#[must_use]
pub fn counted(n: u64, one: &'static str, many: &'static str) -> String {
    format!("{} {}", count(n), plural(n, one, many))
}

/// An amount of memory: `64 GiB`, `1.5 TiB`; rounded.
#[must_use]
pub fn memory(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(size < 10.0 && size.fract() > 0.05);
    format!("{size:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let s = 1_000_000_000;
        let shown: Vec<_> = [0, s * 4 / 10, 9 * s, 59 * s, 65 * s, 3600 * s, 90_061 * s].map(duration).into();
        assert_eq!(shown, ["0.0 s", "0.4 s", "9.0 s", "59 s", "1:05", "1:00:00", "1-01:01:01"]);
    }

    #[test]
    fn measured_ones() {
        let shown: Vec<_> = [0, 12_345_678, 99_999_000_000, 100_000_000_000].map(measured).into();
        assert_eq!(shown, ["0.000 s", "0.012 s", "99.999 s", "1:40"]);
    }

    #[test]
    fn memories() {
        let shown = [0, 1 << 20, 3 << 29, 64 << 30, u64::MAX].map(memory);
        assert_eq!(shown, ["0 KiB", "1 MiB", "1.5 GiB", "64 GiB", "16384 PiB"]);
    }

    #[test]
    fn counts() {
        assert_eq!([1, 2500].map(|n| counted(n, "rank", "ranks")), ["1 rank", "2,500 ranks"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [percent(1, 3), percent(3, 3), percent(0, 0), percent(u64::MAX, u64::MAX)],
            [33, 100, 100, 100]
        );
    }
}
