//! The names in a state directory, written and read back. A name is read only if writing it again gives the same bytes.

use std::ffi::OsStr;

/// The identity; where it is, the state directory is.
pub(crate) const CLUSTER: &str = "cluster";
/// Mode of the directory.
pub(crate) const DIR_MODE: u32 = 0o700;
/// Mode of every file in it.
pub(crate) const FILE_MODE: u32 = 0o600;

/// A segment of the journal: `journal.000001`.
pub(crate) fn segment(number: u32) -> String {
    format!("journal.{number:06}")
}

/// A snapshot: `snapshot.000001`.
pub(crate) fn snapshot(number: u32) -> String {
    format!("snapshot.{number:06}")
}

/// The number of a segment's name.
pub(crate) fn parse_segment(name: &OsStr) -> Option<u32> {
    parse(name, "journal.", segment)
}

/// The number of a snapshot's name.
pub(crate) fn parse_snapshot(name: &OsStr) -> Option<u32> {
    parse(name, "snapshot.", snapshot)
}

fn parse(name: &OsStr, prefix: &str, write: fn(u32) -> String) -> Option<u32> {
    let text = name.to_str()?;
    let number = text.strip_prefix(prefix)?.parse().ok()?;
    (number > 0 && write(number) == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_name() {
        for number in [1, 7, 999_999, 1_000_000, u32::MAX] {
            assert_eq!(parse_segment(OsStr::new(&segment(number))), Some(number));
            assert_eq!(parse_snapshot(OsStr::new(&snapshot(number))), Some(number));
        }
        for name in [
            "journal.000000",
            "journal.1",
            "journal.+00001",
            "journal.0000001",
            "journal.",
            "snapshot.000001",
        ] {
            assert_eq!(parse_segment(OsStr::new(name)), None, "{name}");
        }
    }
}
