//! A directory's file system, and whether it keeps the file rules.

use super::{Disk, Space};
use dc_spool::files::Dir;
use nix::sys::statfs::statfs;
use nix::sys::statvfs::statvfs;
use std::path::Path;

/// File systems by the numbers of statfs(2): name, whether other hosts see them, whether they are in memory.
const KINDS: [(u32, &str, bool, bool); 18] = [
    (0xef53, "ext4", false, false),
    (0x5846_5342, "xfs", false, false),
    (0x9123_683e, "btrfs", false, false),
    (0x2fc1_2fc1, "zfs", false, false),
    (0xf2f5_2010, "f2fs", false, false),
    (0x794c_7630, "overlayfs", false, false),
    (0x0102_1994, "tmpfs", false, true),
    (0x8584_58f6, "ramfs", false, true),
    (0x6969, "nfs", true, false),
    (0xff53_4d42, "cifs", true, false),
    (0xfe53_4d42, "smb", true, false),
    (0x0bd0_0bd0, "lustre", true, false),
    (0x4750_4653, "gpfs", true, false),
    (0x00c3_6400, "ceph", true, false),
    (0x1983_0326, "beegfs", true, false),
    (0x5346_414f, "afs", true, false),
    (0x0102_1997, "9p", true, false),
    (0x6573_5546, "fuse", true, false),
];

/// Looks at a directory, or at the nearest above it that is there.
pub(super) fn probe(path: &Path) -> Disk {
    let found = path.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/")).to_owned();
    let number = statfs(&found).ok().map(|stat| stat.filesystem_type().0 as u32);
    let known = number.and_then(|number| KINDS.iter().find(|kind| kind.0 == number));
    let kind = match (known, number) {
        (Some((_, name, ..)), _) => (*name).to_owned(),
        (None, Some(number)) => format!("a file system of the kind {number:#x}"),
        (None, None) => "a file system that cannot be looked at".to_owned(),
    };
    Disk {
        path: path.to_owned(),
        kind,
        is_network: known.is_some_and(|kind| kind.2),
        is_memory: known.is_some_and(|kind| kind.3),
        space: space(&found),
        rules: rules(&found),
        found,
    }
}

/// The room of a file system.
pub(super) fn space(path: &Path) -> Option<Space> {
    let stat = statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.fragment_size());
    Some(Space { total_bytes: bytes(stat.blocks()), free_bytes: bytes(stat.blocks_available()) })
}

/// Writes a file by the file rules, and removes it.
fn rules(dir: &Path) -> Result<(), String> {
    let name = format!("dc-doctor-{}", std::process::id());
    let steps = || {
        let dir = Dir::open(dir)?;
        let mut file = dir.new_file(0o600)?;
        file.append(b"dcd doctor\n")?;
        let committed = file.commit_noreplace(&name);
        let removed = dir.remove(&name);
        committed.and(removed.map(|_| ()))
    };
    steps().map_err(|error: dc_spool::files::FileError| error.to_string())
}
