//! What a host can and cannot do as a node, each with what helps. The checks are functions of facts; only [`probe`] looks
//! at the host.

mod facts;
mod files;
mod kernel;
mod outside;
mod probe;
mod probe_disk;
mod resources;
mod syscalls;

pub use facts::{Cores, Disk, Facts, Namespaces, Owned, Port, Space};
pub use probe::probe;

/// How a check ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// As it should be.
    Good,
    /// It works, with less than there could be.
    Weak,
    /// Something that is needed is missing.
    Bad,
}

impl Level {
    /// As it is shown.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Weak => "weak",
            Self::Bad => "bad",
        }
    }
}

/// What one check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What was looked at: one word.
    pub check: &'static str,
    /// How it ended.
    pub level: Level,
    /// What was found, in one line.
    pub says: String,
    /// What helps, in one line; always there unless all is good.
    pub remedy: Option<String>,
}

impl Finding {
    fn good(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, level: Level::Good, says: says.into(), remedy: None }
    }

    fn weak(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, level: Level::Weak, says: says.into(), remedy: Some(remedy.into()) }
    }

    fn bad(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, level: Level::Bad, says: says.into(), remedy: Some(remedy.into()) }
    }
}

/// A check.
type Check = fn(&Facts) -> Finding;

/// All of them, in the order in which they are told.
const CHECKS: [Check; 18] = [
    kernel::kill,
    kernel::memory,
    kernel::pids,
    kernel::cpuset,
    kernel::namespaces,
    kernel::pidfd,
    kernel::clone3,
    kernel::clock,
    resources::files,
    resources::processes,
    resources::shm,
    resources::overcommit,
    files::spool,
    files::state,
    files::key,
    outside::port,
    outside::topology,
    outside::launchers,
];

/// What the facts mean.
#[must_use]
pub fn all(facts: &Facts) -> Vec<Finding> {
    CHECKS.iter().map(|check| check(facts)).collect()
}

/// Whether all that is needed is there.
#[must_use]
pub fn is_fit(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level < Level::Bad)
}

#[cfg(test)]
#[path = "doctor_tests.rs"]
mod tests;
