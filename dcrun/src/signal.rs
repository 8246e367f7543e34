//! Signals as people write them.

use nix::sys::signal::Signal;

/// The highest signal.
const SIGNAL_MAX: u8 = 64;

/// A signal by its number, or its name with or without SIG.
#[must_use]
pub fn parse(text: &str) -> Option<u8> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().filter(|number| (1..=SIGNAL_MAX).contains(number));
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    name.parse::<Signal>().ok().and_then(|signal| u8::try_from(signal as i32).ok())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_and_numbers() {
        for (text, wanted) in [
            ("USR1", Some(10)),
            ("sigterm", Some(15)),
            ("9", Some(9)),
            ("64", Some(64)),
            ("65", None),
            ("0", None),
            ("", None),
            ("SIG", None),
            ("+9", None),
            ("USR3", None),
        ] {
            assert_eq!(parse(text), wanted, "{text:?}");
        }
    }
}
