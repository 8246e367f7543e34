//! Time limits as people write them: Slurm's six forms, and numbers with a unit.

use std::fmt;
use std::time::Duration;

const SECOND_MS: u64 = 1000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A length of time above 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TimeSpec {
    /// It, in milliseconds; a whole number of seconds when it was read from text.
    pub ms: u64,
}

/// Why a text is not a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TimeSpecError {
    /// No such form.
    #[error("not a time: wanted minutes, min:sec, h:m:s, d-h, d-h:m, d-h:m:s, or a number with s, m, h or d")]
    Form,
    /// More milliseconds than a u64 holds.
    #[error("the time is far too long")]
    Overflow,
}

impl TimeSpec {
    /// As a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

/// Reads `min`, `min:sec`, `h:m:s`, `d-h`, `d-h:m`, `d-h:m:s`, and `30s`, `30m`, `2h`, `1d`. Nothing when it is 0,
/// which means no limit, as in Slurm. As there, no field has an upper bound: `90:00` is an hour and a half.
///
/// # Errors
/// Another form, or a time beyond bounds.
pub fn parse(text: &str) -> Result<Option<TimeSpec>, TimeSpecError> {
    let (fields, units): (Vec<&str>, &[u64]) = match text.split_once('-') {
        Some((days, rest)) => {
            let fields: Vec<&str> = [days].into_iter().chain(rest.split(':')).collect();
            (fields, &[DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS])
        }
        None => {
            let unit = match text.as_bytes().last() {
                Some(b's') => Some(&[SECOND_MS]),
                Some(b'm') => Some(&[MINUTE_MS]),
                Some(b'h') => Some(&[HOUR_MS]),
                Some(b'd') => Some(&[DAY_MS]),
                _ => None,
            };
            match (unit, text.split(':').collect::<Vec<_>>()) {
                (Some(unit), _) => (vec![&text[..text.len() - 1]], unit),
                (None, fields) if fields.len() == 3 => (fields, &[HOUR_MS, MINUTE_MS, SECOND_MS]),
                (None, fields) => (fields, &[MINUTE_MS, SECOND_MS]),
            }
        }
    };
    // All fields are looked at before any is too large, so that the message is about the form first.
    if fields.len() > units.len() || !fields.iter().all(|field| is_number(field)) {
        return Err(TimeSpecError::Form);
    }
    let mut ms: u64 = 0;
    for (field, unit) in fields.iter().zip(units) {
        let number: u64 = field.parse().map_err(|_| TimeSpecError::Overflow)?;
        let part = number.checked_mul(*unit).ok_or(TimeSpecError::Overflow)?;
        ms = ms.checked_add(part).ok_or(TimeSpecError::Overflow)?;
    }
    Ok((ms > 0).then_some(TimeSpec { ms }))
}

fn is_number(field: &str) -> bool {
    !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for TimeSpec {
    /// As Slurm shows it: `[d-]hh:mm:ss`, with milliseconds where there are any. [`parse`] reads it again
    /// where there are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.ms / DAY_MS;
        if days > 0 {
            write!(f, "{days}-")?;
        }
        let (hours, minutes) = (self.ms % DAY_MS / HOUR_MS, self.ms % HOUR_MS / MINUTE_MS);
        write!(f, "{hours:02}:{minutes:02}:{:02}", self.ms % MINUTE_MS / SECOND_MS)?;
        match self.ms % SECOND_MS {
            0 => Ok(()),
            ms => write!(f, ".{ms:03}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(text: &str) -> Option<u64> {
        parse(text).unwrap_or_else(|e| panic!("{text:?}: {e}")).map(|time| time.ms)
    }

    #[test]
    fn all_forms_are_read() {
        for (text, seconds) in [
            ("30", 1800),
            ("1:30", 90),
            ("90:75", 5475),
            ("2:03:04", 7384),
            ("1-2", 93_600),
            ("1-2:03", 93_780),
            ("1-2:03:04", 93_784),
            ("0-0:00:01", 1),
            ("30s", 30),
            ("30m", 1800),
            ("2h", 7200),
            ("1d", 86_400),
            ("007", 420),
        ] {
            assert_eq!(ms(text), Some(seconds * 1000), "{text}");
        }
    }

    #[test]
    fn zero_is_no_limit() {
        for text in ["0", "0:0", "0:00:00", "0-0", "0s", "0d"] {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "-",
            "x",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1.5",
            "1:",
            ":1",
            "1:2:3:4",
            "1-",
            "-1:2",
            "1-2-3",
            "1-2:3:4:5",
            "s",
            "5x",
            "1:30s",
            "1-2h",
            "٣",
            "5µ",
            "1ms",
        ] {
            assert_eq!(parse(text), Err(TimeSpecError::Form), "{text}");
        }
        for text in
            ["99999999999999999999", "18446744073709551615", "213503982335d", "213503982334-99:99999999"]
        {
            assert_eq!(parse(text), Err(TimeSpecError::Overflow), "{text}");
        }
        assert!(parse("213503982334d").is_ok());
    }

    #[test]
    fn shown_as_slurm_does() {
        let shown = |ms| TimeSpec { ms }.to_string();
        assert_eq!(shown(90_000), "00:01:30");
        assert_eq!(shown(93_784_000), "1-02:03:04");
        assert_eq!(shown(1_005), "00:00:01.005");
    }

    proptest! {
        #[test]
        fn reads_what_it_shows(seconds in 1u64..1 << 50) {
            let time = TimeSpec { ms: seconds * 1000 };
            prop_assert_eq!(parse(&time.to_string()), Ok(Some(time)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9smhd:. -]{0,12}|\\PC{0,8}") {
            let _ = parse(&text);
        }
    }
}
