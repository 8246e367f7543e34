//! The names in a job's directory, written and read back. A name is read only if writing it again gives the same
//! bytes, so that every file has one name and nothing else passes for one.

use dc_model::{Attempt, Restart, SubtaskId};
use std::ffi::OsStr;

/// The job record; where it is, the job is.
pub const JOB: &str = "job";
/// Locked by the dcrun that owns the job.
pub const LOCK: &str = "lock";
/// The directory of checkpoints, one directory a subtask in it.
pub const CKPT: &str = "ckpt";
/// The directory of results.
pub const RESULT: &str = "result";
/// Mode of every directory of a job.
pub const DIR_MODE: u32 = 0o700;
/// Mode of every file of a job.
pub const FILE_MODE: u32 = 0o600;

/// Segment of the journal, one an epoch, from 1 on: `journal.000001`.
#[must_use]
pub fn journal(epoch: u32) -> String {
    format!("journal.{epoch:06}")
}

/// The epoch of a journal segment's name.
#[must_use]
pub fn parse_journal(name: &OsStr) -> Option<u32> {
    let text = name.to_str()?;
    let epoch = number(text.strip_prefix("journal.")?)?;
    (epoch > 0 && journal(epoch) == text).then_some(epoch)
}

/// Directory of a subtask's checkpoints, in [`CKPT`]: `00000007`.
#[must_use]
pub fn subtask_dir(subtask: SubtaskId) -> String {
    format!("{:08}", subtask.0)
}

/// The subtask of such a directory's name.
#[must_use]
pub fn parse_subtask_dir(name: &OsStr) -> Option<SubtaskId> {
    let text = name.to_str()?;
    let subtask = SubtaskId(number(text)?);
    (subtask_dir(subtask) == text).then_some(subtask)
}

/// A checkpoint, in its subtask's directory: `a000002-s00000000000000000120.ckpt`.
#[must_use]
pub fn checkpoint(at: Restart) -> String {
    format!("a{:06}-s{:020}.ckpt", at.attempt.0, at.step)
}

/// The attempt and step of a checkpoint's name.
#[must_use]
pub fn parse_checkpoint(name: &OsStr) -> Option<Restart> {
    let text = name.to_str()?;
    let (attempt, step) = text.strip_prefix('a')?.strip_suffix(".ckpt")?.split_once("-s")?;
    let at = Restart { attempt: Attempt(number(attempt)?), step: number(step)? };
    (checkpoint(at) == text).then_some(at)
}

/// A result, in [`RESULT`]: `00000007-a000002.result`.
#[must_use]
pub fn result(subtask: SubtaskId, attempt: Attempt) -> String {
    format!("{:08}-a{:06}.result", subtask.0, attempt.0)
}

/// The subtask and attempt of a result's name.
#[must_use]
pub fn parse_result(name: &OsStr) -> Option<(SubtaskId, Attempt)> {
    let text = name.to_str()?;
    let (subtask, attempt) = text.strip_suffix(".result")?.split_once("-a")?;
    let (subtask, attempt) = (SubtaskId(number(subtask)?), Attempt(number(attempt)?));
    (result(subtask, attempt) == text).then_some((subtask, attempt))
}

/// Digits only: no sign, no space, no overflow.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_as_drawn() {
        assert_eq!(journal(1), "journal.000001");
        assert_eq!(subtask_dir(SubtaskId(7)), "00000007");
        let at = Restart { attempt: Attempt(2), step: 120 };
        assert_eq!(checkpoint(at), "a000002-s00000000000000000120.ckpt");
        assert_eq!(result(SubtaskId(7), Attempt(2)), "00000007-a000002.result");
    }

    #[test]
    fn only_the_one_way_of_writing_it_is_read() {
        for bad in [
            "journal.1",
            "journal.000000",
            "journal.+00001",
            "journal.0000001",
            "journal.99999999999",
            "a2-s120.ckpt",
            "a000002-s120.ckpt",
            "a000002-s00000000000000000120.ckpt~",
            "a000002-s99999999999999999999.ckpt",
            "0000007",
            "00000007 ",
            "000000007",
            "7-a2.result",
            "00000007-a000002.result.1",
            "",
            "journal.",
            ".tmp-1",
        ] {
            let name = OsStr::new(bad);
            assert_eq!(parse_journal(name), None, "{bad:?}");
            assert_eq!(parse_checkpoint(name), None, "{bad:?}");
            assert_eq!(parse_subtask_dir(name), None, "{bad:?}");
            assert_eq!(parse_result(name), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_read_back(a in any::<u32>(), b in any::<u32>(), step in any::<u64>()) {
            let at = Restart { attempt: Attempt(b), step };
            prop_assert_eq!(parse_checkpoint(OsStr::new(&checkpoint(at))), Some(at));
            let (subtask, attempt) = (SubtaskId(a), Attempt(b));
            prop_assert_eq!(parse_result(OsStr::new(&result(subtask, attempt))), Some((subtask, attempt)));
            prop_assert_eq!(parse_subtask_dir(OsStr::new(&subtask_dir(subtask))), Some(subtask));
            prop_assert_eq!(parse_journal(OsStr::new(&journal(a.max(1)))), Some(a.max(1)));
        }
    }
}
