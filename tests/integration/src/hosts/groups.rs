//! Control groups of a host: one in each hierarchy that dc looks at, so that what runs in two hosts of one machine never
//! meets in a group, and so that all of a host can be frozen at once.

use super::kit::GroupOf;
use crate::process;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PREFIX: &str = "dc-host-";
const CONTROLLERS: [&str; 4] = ["freezer", "memory", "pids", "cpuset"];

/// Makes them below this process's own; none where that is not allowed.
pub(super) fn make(name: &str) -> Vec<GroupOf> {
    let own = std::process::id();
    let mut made = Vec::new();
    for place in places() {
        let dir = place.dir.join(format!("{PREFIX}{own}-{name}"));
        if fs::create_dir(&dir).is_err() {
            continue;
        }
        // A group of CPUs takes nobody before it has some.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if place.controllers.split(',').any(|controller| controller == "cpuset")
                && let Ok(value) = fs::read(place.dir.join(file))
            {
                let _ = fs::write(dir.join(file), value);
            }
        }
        made.push(GroupOf { dir, ..place });
    }
    made
}

/// Puts this process into them; those that do not take it are left out by the host.
pub(super) fn enter(groups: &[GroupOf]) -> Vec<GroupOf> {
    let enters = |group: &&GroupOf| fs::write(group.dir.join("cgroup.procs"), "0").is_ok();
    groups.iter().filter(enters).cloned().collect()
}

/// Removes them with all below; waits a moment for those that are dying in them.
pub(super) fn remove(groups: &[GroupOf]) {
    for group in groups {
        crate::wait::within(Duration::from_secs(10), || {
            remove_tree(&group.dir);
            (!group.dir.exists()).then_some(())
        });
    }
}

/// Removes the groups of holders that are gone: somebody killed them too.
pub(super) fn sweep() {
    for place in places() {
        for entry in fs::read_dir(&place.dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(pid) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')?.0.parse().ok())
            else {
                continue;
            };
            if !process::lives(pid) {
                remove_tree(&entry.path());
            }
        }
    }
}

/// The group by which all of the host can be frozen, if there is one: version 2's.
pub(super) fn freezer(groups: &[GroupOf]) -> Option<&GroupOf> {
    groups.iter().find(|group| group.controllers.is_empty() && group.dir.join("cgroup.freeze").exists())
}

fn remove_tree(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(dir);
}

/// This process's own group in each hierarchy that is mounted.
fn places() -> Vec<GroupOf> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let wanted = controllers.is_empty() || controllers.split(',').any(|name| CONTROLLERS.contains(&name));
        let mounted = mounts.lines().find_map(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            let is_it = match controllers {
                "" => fields[2] == "cgroup2",
                _ => {
                    fields[2] == "cgroup"
                        && controllers.split(',').all(|name| fields[3].split(',').any(|word| word == name))
                }
            };
            is_it.then(|| PathBuf::from(fields[1]))
        });
        if let (true, Some(mounted)) = (wanted, mounted) {
            let dir = mounted.join(path.trim_start_matches('/'));
            found.push(GroupOf { dir, mounted, controllers: controllers.to_owned() });
        }
    }
    found
}
