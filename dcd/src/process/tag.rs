//! The tag that every rank carries in its environment and hands down: job, subtask, attempt. What a process did to
//! its own environment since is its business: one without a tag is simply not known by it.

use dc_model::{Attempt, JobUuid, SubtaskId};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The variable with the job's uuid.
pub const JOB: &str = "DC_JOB_UUID";
/// The variable with the job's directory.
pub const SPOOL: &str = "DC_SPOOL";
/// All variables of a tag.
pub const NAMES: [&str; 3] = [JOB, "DC_SUBTASK", "DC_ATTEMPT"];

/// Whose process this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    /// The job.
    pub job: JobUuid,
    /// The subtask, when it was a rank's.
    pub subtask: Option<SubtaskId>,
    /// The attempt, when it was a rank's.
    pub attempt: Option<Attempt>,
}

/// The tag of a process, if it carries one that can be read.
#[must_use]
pub fn of(pid: Pid) -> Option<Tag> {
    parse(&std::fs::read(format!("/proc/{pid}/environ")).ok()?)
}

/// The job's directory that a process was told of.
#[must_use]
pub fn spool_of(pid: Pid) -> Option<PathBuf> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value =
        environ.split(|b| *b == 0).find_map(|entry| entry.strip_prefix(SPOOL.as_bytes())?.strip_prefix(b"="));
    value.map(|value| PathBuf::from(OsStr::from_bytes(value)))
}

fn parse(environ: &[u8]) -> Option<Tag> {
    let value = |name: &[u8]| {
        environ
            .split(|b| *b == 0)
            .find_map(|entry| entry.strip_prefix(name))
            .and_then(|value| std::str::from_utf8(value).ok())
    };
    Some(Tag {
        job: JobUuid::parse(value(b"DC_JOB_UUID=")?)?,
        subtask: value(b"DC_SUBTASK=").and_then(|v| v.parse().ok()).map(SubtaskId),
        attempt: value(b"DC_ATTEMPT=").and_then(|v| v.parse().ok()).map(Attempt),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_from_an_environment() {
        let job = JobUuid([3; 16]);
        let text = format!("A=1\0DC_JOB_UUID={job}\0DC_SUBTASK=7\0DC_ATTEMPT=2\0");
        let tag = Tag { job, subtask: Some(SubtaskId(7)), attempt: Some(Attempt(2)) };
        assert_eq!(parse(text.as_bytes()), Some(tag));
        assert_eq!(parse(b"A=1\0"), None);
        assert_eq!(parse(b"DC_JOB_UUID=\xff\0"), None);
        assert_eq!(parse(b""), None);
    }
}
