//! How much memory the control groups of this process leave it: the least of its own group's limit and of all above.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// The limit on this process, in bytes; nothing where there is none, or nobody says.
#[must_use]
pub fn own_bytes() -> Option<u64> {
    let read = |name: &str| read_to_string(Path::new("/proc/self").join(name)).unwrap_or_default();
    limit_bytes(&read("cgroup"), &read("mountinfo"), Path::new("/"))
}

/// From the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`; mount points are looked for below `root`.
fn limit_bytes(cgroup: &str, mountinfo: &str, root: &Path) -> Option<u64> {
    let limits = cgroup.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let (file, is_its) = if controllers.is_empty() {
            ("memory.max", Hierarchy::Two)
        } else if controllers.split(',').any(|name| name == "memory") {
            ("memory.limit_in_bytes", Hierarchy::Memory)
        } else {
            return None;
        };
        let (mount, group) = mountinfo.lines().find_map(|line| is_its.mount(line, path))?;
        let mount = root.join(mount.strip_prefix('/')?);
        least(&mount, &group, file)
    });
    limits.min()
}

/// Version 2's one tree, or version 1's of memory.
#[derive(Clone, Copy)]
enum Hierarchy {
    Two,
    Memory,
}

impl Hierarchy {
    /// Where a mount shows the group: the mount point, and the path below it.
    fn mount(self, line: &str, path: &str) -> Option<(String, PathBuf)> {
        let (fields, rest) = line.split_once(" - ")?;
        let mut fields = fields.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let mut rest = rest.split(' ');
        let (kind, options) = (rest.next()?, rest.nth(1)?);
        let is_it = match self {
            Self::Two => kind == "cgroup2",
            Self::Memory => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
        };
        // In a container a group may be seen under a name of the host's; what is mounted is its own then.
        let below = Path::new(path).strip_prefix(root).map(Path::to_owned).unwrap_or_default();
        is_it.then(|| (point.to_owned(), below))
    }
}

/// The least limit of a group and of those above it, up to the mount point.
fn least(mount: &Path, group: &Path, file: &str) -> Option<u64> {
    let limits = group.ancestors().filter_map(|group| {
        // `max` is no number, and no limit.
        read_to_string(mount.join(group).join(file)).ok()?.trim().parse().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const MOUNTS: &str = "24 30 0:22 / /proc rw - proc proc rw\n\
        31 24 0:27 / /sys/fs/cgroup ro,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n\
        35 24 0:31 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    fn with(files: &[(&str, &str)], cgroup: &str) -> Option<u64> {
        let scratch = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        limit_bytes(cgroup, MOUNTS, scratch.path())
    }

    #[test]
    fn the_least_of_all_groups_above_counts() {
        let files = [
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.max", "4096\n"),
            ("sys/fs/cgroup/a/b/c/memory.max", "8192\n"),
        ];
        assert_eq!(with(&files, "0::/a/b/c\n"), Some(4096));
        assert_eq!(with(&files, "0::/a/b\n"), Some(4096));
        assert_eq!(with(&files, "0::/\n"), None);
        assert_eq!(with(&files, "0::/elsewhere\n"), None);
        assert_eq!(with(&[], ""), None);
    }

    #[test]
    fn the_first_version_and_names_of_the_host() {
        let files = [
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000000\n"),
            ("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        let cgroup = "7:cpu,cpuacct:/x\n4:memory:/docker/abc/job\n0::/y\n";
        assert_eq!(with(&files, cgroup), Some(1_000_000));
        assert_eq!(with(&files, "4:memory:/other/name\n"), Some(1_000_000), "its own is mounted");
        assert_eq!(with(&files, "4:cpu:/docker/abc\nnonsense\n"), None);
    }
}
