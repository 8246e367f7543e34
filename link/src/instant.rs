//! Moments of the calendar as the files write them: UTC, RFC 3339, whole seconds. Only what is kept over years and
//! restarts (the end of a key's or a token's life) goes by the calendar; no timeout does.

use std::fmt;

const DAY_S: u64 = 86_400;
/// The last one that has four digits of year.
const LAST_S: u64 = 253_402_300_799;

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// What the system's clock says.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |since| since.as_secs()))
    }

    /// So many seconds later; no later than the end of the year 9999.
    #[must_use]
    pub fn plus_s(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds).min(LAST_S))
    }

    /// Reads `2027-01-31T12:00:00Z`: this form, a date that exists, not before 1970.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let b = text.as_bytes();
        if b.len() != 20 {
            return None;
        }
        let fixed = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')];
        if fixed.iter().any(|(at, byte)| b[*at] != *byte) {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<u64> {
            b[from..to]
                .iter()
                .try_fold(0, |sum, d| d.is_ascii_digit().then(|| sum * 10 + u64::from(d - b'0')))
        };
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if year < 1970 || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days_before_year(year) + days_before_month(year, month)? + day.checked_sub(1)?;
        let at = Self(days * DAY_S + hour * 3600 + minute * 60 + second);
        // A day that the month does not have would come back as one of the next.
        (at.to_string() == text).then_some(at)
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_before_year(year: u64) -> u64 {
    let y = year - 1;
    (year - 1970) * 365 + (y / 4 - y / 100 + y / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400)
}

fn month_days(year: u64) -> [u64; 12] {
    [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

fn days_before_month(year: u64, month: u64) -> Option<u64> {
    let before = usize::try_from(month.checked_sub(1)?).ok().filter(|before| *before < 12)?;
    Some(month_days(year)[..before].iter().sum())
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.min(LAST_S);
        let (days, second) = (seconds / DAY_S, seconds % DAY_S);
        let mut year = 1970 + days / 366;
        while year < 9999 && days_before_year(year + 1) <= days {
            year += 1;
        }
        let mut day = days - days_before_year(year);
        let mut month = 1;
        for length in month_days(year) {
            if day < length {
                break;
            }
            day -= length;
            month += 1;
        }
        let (hour, minute) = (second / 3600, second / 60 % 60);
        write!(f, "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{:02}Z", day + 1, second % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_no_day_that_is_not() {
        let known = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST_S, "9999-12-31T23:59:59Z"),
        ];
        for (seconds, text) in known {
            assert_eq!(UnixSeconds(seconds).to_string(), text);
            assert_eq!(UnixSeconds::parse(text), Some(UnixSeconds(seconds)));
        }
        for day in 0..60_000 {
            let at = UnixSeconds(day * DAY_S + 3_661);
            assert_eq!(UnixSeconds::parse(&at.to_string()), Some(at));
        }
        for bad in [
            "2023-02-29T00:00:00Z",
            "2023-00-01T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-01-00T00:00:00Z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:00:60Z",
            "1969-12-31T23:59:59Z",
            "2023-01-01T00:00:00z",
            "2023-01-01 00:00:00Z",
            "+023-01-01T00:00:00Z",
            "2023-01-01",
            "",
        ] {
            assert_eq!(UnixSeconds::parse(bad), None, "{bad}");
        }
        assert_eq!(UnixSeconds(u64::MAX).plus_s(1).to_string(), "9999-12-31T23:59:59Z");
    }
}
