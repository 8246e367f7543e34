//! What this host lets dcd do to its ranks: how it can kill all of them, and what of them it can limit. Found once, at
//! the start; a node tells it when it registers.

mod groups;

pub use groups::{GroupFacts, V1, V2, probe};

use dc_config::Kill;
use dc_model::cluster::node::{KillMode, LimitModes};

/// Controllers of limits, by both versions' names.
pub const MEMORY: &str = "memory";
/// See [`MEMORY`].
pub const PIDS: &str = "pids";
/// See [`MEMORY`].
pub const CPUSET: &str = "cpuset";
/// Of version 1: holds all of a group while it is killed.
pub const FREEZER: &str = "freezer";

/// What it can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Abilities {
    /// How it kills.
    pub kill: KillMode,
    /// What it limits.
    pub limits: LimitModes,
}

impl Abilities {
    /// Those of this process. Makes and removes a control group in each hierarchy to see.
    #[must_use]
    pub fn detect() -> Self {
        Self::of(&probe())
    }

    /// What follows from the facts.
    #[must_use]
    pub fn of(groups: &GroupFacts) -> Self {
        let kill = match &groups.v2 {
            Some(v2) if v2.can_make && v2.has_kill => KillMode::Cgroup2,
            // Held and then killed one by one, as in version 1.
            Some(v2) if v2.can_make => KillMode::Cgroup1,
            _ if groups.can_make_v1(FREEZER) => KillMode::Cgroup1,
            _ => KillMode::Subreaper,
        };
        let limits = |controller: &str| {
            groups.v2.as_ref().is_some_and(|v2| v2.limits(controller)) || groups.can_make_v1(controller)
        };
        Self {
            kill,
            limits: LimitModes { memory: limits(MEMORY), pids: limits(PIDS), cpuset: limits(CPUSET) },
        }
    }

    /// The kill mode for what dc.toml says: the best there is, or the one that is named.
    ///
    /// # Errors
    /// When the host has not what is named: one line, for people.
    pub fn choose(&self, wanted: Kill) -> Result<KillMode, String> {
        let (named, word) = match wanted {
            Kill::Auto => return Ok(self.kill),
            Kill::Subreaper => (KillMode::Subreaper, "subreaper"),
            Kill::Cgroup1 => (KillMode::Cgroup1, "cgroup1"),
            Kill::Cgroup2 => (KillMode::Cgroup2, "cgroup2"),
        };
        // What kills better may always stand in for less, but for the one that is another hierarchy's.
        if named == self.kill || named == KillMode::Subreaper {
            return Ok(named);
        }
        let found = match self.kill {
            KillMode::Subreaper => "subreaper",
            KillMode::Cgroup1 => "cgroup1",
            KillMode::Cgroup2 => "cgroup2",
        };
        Err(format!(
            "kill = \"{word}\" cannot be had here, only \"{found}\": dcd doctor says what is missing"
        ))
    }
}

#[cfg(test)]
#[path = "abilities_tests.rs"]
mod tests;
