//! Where this process's own control groups are mounted.

use std::path::{Path, PathBuf};

/// Which hierarchy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hierarchy<'a> {
    /// The one of version 2.
    V2,
    /// That of this controller, in version 1.
    V1(&'a str),
}

/// This process's group in a hierarchy, and the top of what is mounted of it; none where that is not mounted.
#[must_use]
pub fn directory(hierarchy: Hierarchy<'_>) -> Option<(PathBuf, PathBuf)> {
    let read = |name| std::fs::read_to_string(name).ok();
    find(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?, hierarchy)
}

fn find(groups: &str, mounts: &str, hierarchy: Hierarchy<'_>) -> Option<(PathBuf, PathBuf)> {
    let path = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_it = match hierarchy {
            Hierarchy::V2 => number == "0" && controllers.is_empty(),
            Hierarchy::V1(controller) => controllers.split(',').any(|name| name == controller),
        };
        is_it.then_some(path)
    })?;
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let (kind, _, options) = (after.next()?, after.next()?, after.next()?);
        let is_it = match hierarchy {
            Hierarchy::V2 => kind == "cgroup2",
            Hierarchy::V1(controller) => {
                kind == "cgroup" && options.split(',').any(|option| option == controller)
            }
        };
        let mut before = before.split(' ').skip(3);
        let (root, top) = (before.next()?, before.next()?);
        let below = Path::new(path).strip_prefix(root).ok().filter(|_| is_it)?;
        Some((Path::new(top).join(below), PathBuf::from(top)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_where_they_are_mounted() {
        let groups = "4:memory:/box/7\n3:cpu,cpuacct:/\n1:name=systemd:/x\n0::/user.slice/a b\n";
        let mounts = "30 25 0:26 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw\n\
                      31 25 0:27 /box /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      32 25 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
        let at = |path: &str, top: &str| Some((PathBuf::from(path), PathBuf::from(top)));
        let found = |hierarchy| find(groups, mounts, hierarchy);
        assert_eq!(
            found(Hierarchy::V2),
            at("/sys/fs/cgroup/unified/user.slice/a b", "/sys/fs/cgroup/unified")
        );
        assert_eq!(found(Hierarchy::V1("memory")), at("/sys/fs/cgroup/memory/7", "/sys/fs/cgroup/memory"));
        assert_eq!(found(Hierarchy::V1("cpuacct")), at("/sys/fs/cgroup/cpu/", "/sys/fs/cgroup/cpu"));
        assert_eq!(found(Hierarchy::V1("freezer")), None);
    }
}
