//! Control groups as this process finds them: which hierarchies are mounted, and what it may make and turn on in each.

use super::{CPUSET, FREEZER, MEMORY, PIDS};
use crate::cgroup::own::{Hierarchy, directory};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What there is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupFacts {
    /// Version 2; none where it is not mounted, or this process is in no group of it.
    pub v2: Option<V2>,
    /// Controllers of version 1 that are mounted.
    pub v1: Vec<V1>,
}

/// This process's group of version 2.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct V2 {
    /// Its directory.
    pub dir: PathBuf,
    /// Groups can be made in it.
    pub can_make: bool,
    /// These have cgroup.kill (Linux 5.14).
    pub has_kill: bool,
    /// Controllers that it could hand on (cgroup.controllers).
    pub controllers: BTreeSet<String>,
    /// Those that it hands on (cgroup.subtree_control).
    pub handed_on: BTreeSet<String>,
    /// More of them can be handed on.
    pub can_hand_on: bool,
}

/// This process's group of a controller of version 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct V1 {
    /// Which controller.
    pub controller: &'static str,
    /// Its directory.
    pub dir: PathBuf,
    /// Groups can be made in it.
    pub can_make: bool,
}

impl V2 {
    /// Whether groups in it can be limited by this controller.
    #[must_use]
    pub fn limits(&self, controller: &str) -> bool {
        let has = self.controllers.contains(controller);
        self.can_make && has && (self.can_hand_on || self.handed_on.contains(controller))
    }
}

impl GroupFacts {
    /// Whether groups of this controller of version 1 can be made.
    #[must_use]
    pub fn can_make_v1(&self, controller: &str) -> bool {
        self.v1.iter().any(|v1| v1.controller == controller && v1.can_make)
    }
}

/// Looks; makes a group in each hierarchy and removes it again.
#[must_use]
pub fn probe() -> GroupFacts {
    let v1 = [MEMORY, PIDS, CPUSET, FREEZER].into_iter().filter_map(|controller| {
        let (dir, _) = directory(Hierarchy::V1(controller))?;
        Some(V1 { controller, can_make: try_make(&dir).0, dir })
    });
    GroupFacts { v2: directory(Hierarchy::V2).map(|(dir, _)| probe_v2(dir)), v1: v1.collect() }
}

fn probe_v2(dir: PathBuf) -> V2 {
    let words = |file: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(dir.join(file)).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    };
    let (can_make, has_kill) = try_make(&dir);
    // Opened and not written: what is handed on is for who needs it.
    let can_hand_on = fs::File::options().write(true).open(dir.join("cgroup.subtree_control")).is_ok();
    V2 {
        can_make,
        has_kill,
        controllers: words("cgroup.controllers"),
        handed_on: words("cgroup.subtree_control"),
        can_hand_on,
        dir,
    }
}

/// Whether a group can be made in one, and whether it has cgroup.kill.
fn try_make(dir: &Path) -> (bool, bool) {
    let inner = dir.join(format!("dc-probe-{}", std::process::id()));
    if fs::create_dir(&inner).is_err() {
        return (false, false);
    }
    let has_kill = inner.join("cgroup.kill").exists();
    // Nobody is in it.
    let _ = fs::remove_dir(&inner);
    (true, has_kill)
}
