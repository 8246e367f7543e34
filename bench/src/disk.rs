//! Whether a directory is on a disk, where a sync means something, or in memory.

use crate::error::BenchError;
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use std::fs;
use std::path::Path;

/// From linux/magic.h; nix has no name for it.
const RAMFS_MAGIC: i64 = 0x8584_58f6;

/// The name of the file system that holds `dir`, and whether it is one of memory.
pub fn kind(dir: &Path) -> Result<(String, bool), BenchError> {
    let FsType(magic) =
        statfs(dir).map_err(BenchError::os("cannot look at the file system"))?.filesystem_type();
    let durable = magic != TMPFS_MAGIC.0 && magic != RAMFS_MAGIC;
    Ok((name(dir).unwrap_or_else(|| format!("a file system of type {magic:#x}")), durable))
}

/// Type and device of the mount that a path is on, as the kernel lists it.
fn name(dir: &Path) -> Option<String> {
    let dir = fs::canonicalize(dir).ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let best = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            Some((fields.next()?, fields.next()?, fields.next()?))
        })
        .filter(|(_, at, _)| dir.starts_with(at))
        .max_by_key(|(_, at, _)| at.len())?;
    Some(format!("{} ({})", best.2, best.0))
}
