//! Times and sizes as lists show them: clock times in local time, in JSON as RFC 3339 has them.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// The instant at which the scheduler was asked, and where.
#[derive(Clone, Debug)]
pub(super) struct Now {
    at: Timestamp,
    zone: TimeZone,
}

impl Now {
    pub fn here() -> Self {
        Self { at: Timestamp::now(), zone: TimeZone::system() }
    }

    fn shifted(&self, ms: i64) -> Option<Timestamp> {
        let shifted = self.at.checked_add(SignedDuration::from_millis(ms)).ok()?;
        // Thousandths would say more than is known.
        Timestamp::from_second(shifted.as_second()).ok()
    }

    /// So long ago; negative: to come.
    fn ago(&self, ms: Option<u64>) -> Option<Timestamp> {
        ms.and_then(|ms| self.shifted(i64::try_from(ms).ok()?.checked_neg()?))
    }

    fn ahead(&self, ms: Option<u64>) -> Option<Timestamp> {
        ms.and_then(|ms| self.shifted(i64::try_from(ms).ok()?))
    }

    /// Clock time of what was so long ago: today's without its date.
    pub fn clock_ago(&self, ms: Option<u64>) -> String {
        self.clock(self.ago(ms))
    }

    /// Clock time of what is so far ahead.
    pub fn clock_ahead(&self, ms: Option<u64>) -> String {
        self.clock(self.ahead(ms))
    }

    pub fn rfc3339_ago(&self, ms: Option<u64>) -> Option<String> {
        self.ago(ms).map(|at| at.to_string())
    }

    pub fn rfc3339_ahead(&self, ms: Option<u64>) -> Option<String> {
        self.ahead(ms).map(|at| at.to_string())
    }

    fn clock(&self, at: Option<Timestamp>) -> String {
        let Some(at) = at else { return String::new() };
        let (at, now) = (at.to_zoned(self.zone.clone()), self.at.to_zoned(self.zone.clone()));
        let format = if at.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%dT%H:%M" };
        at.strftime(format).to_string()
    }

    /// Now, with its date.
    pub fn long(&self) -> String {
        self.at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

/// `m:ss`, `h:mm:ss` or `d-hh:mm:ss`.
pub(super) fn span(ms: Option<u64>) -> String {
    let Some(s) = ms.map(|ms| ms / 1000) else { return String::new() };
    let (days, hours, minutes, seconds) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// Memory with one unit, such as `62.7G`; binary units, as `--mem` takes them.
pub(super) fn memory(bytes: u64) -> String {
    let units = ["K", "M", "G", "T", "P"];
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1}{}", units.get(unit).copied().unwrap_or_default())
}

/// Hundredths or thousandths as a decimal number.
pub(super) fn decimal(value: u32, parts: u32) -> f64 {
    f64::from(value) / f64::from(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_times_are_local_and_name_another_day() {
        let zone = TimeZone::posix("CET-1").unwrap();
        let now = Now { at: "2026-03-01T22:59:00.5Z".parse().unwrap(), zone };
        assert_eq!(now.clock_ahead(Some(0)), "23:59:00");
        assert_eq!(now.clock_ago(Some(3_600_000)), "22:59:00");
        assert_eq!(now.clock_ahead(Some(60_000)), "2026-03-02T00:00");
        assert_eq!(now.clock_ahead(None), "");
        assert_eq!(now.rfc3339_ahead(Some(1500)).unwrap(), "2026-03-01T22:59:02Z");
        assert_eq!(now.clock_ahead(Some(u64::MAX)), "", "the end of all days");
    }

    #[test]
    fn spans_and_memory() {
        let said = |s: u64| span(Some(s * 1000));
        assert_eq!((said(5), said(61), said(3600)), ("0:05".into(), "1:01".into(), "1:00:00".into()));
        assert_eq!((said(90_061), span(None)), ("1-01:01:01".into(), String::new()));
        assert_eq!(
            (memory(0), memory(1 << 30), memory(1023 << 30)),
            ("0.0K".into(), "1.0G".into(), "1.0T".into())
        );
    }
}
