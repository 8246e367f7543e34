//! Whose state a directory holds: the file `cluster`, made once by `init` and never changed.

use crate::layout::{CLUSTER, DIR_MODE};
use crate::{StoreError, snapshot};
use dc_model::{Attempt, JobUuid, SubtaskId};
use dc_spool::files::{Dir, Disk, FileError, Linux, Op};
use dc_spool::header::{FileKind, HEADER_BYTES, Header, HeaderError};
use nix::errno::Errno;
use nix::sys::stat::fstat;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The version of the format that is written.
pub const FORMAT_VERSION: u16 = FileKind::Cluster.version();

/// A cluster's name in every file and message: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterUuid(pub [u8; 16]);

impl fmt::Display for ClusterUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        JobUuid(self.0).fmt(f)
    }
}

impl fmt::Debug for ClusterUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes a state directory, new or in an empty one. The instant at which it exists is the rename of `cluster`; what a
/// crash leaves before that is no state directory, and `init` goes on with it.
///
/// # Errors
/// When there is one already, when something else is there, or when the disk says no.
pub fn init(path: &Path) -> Result<ClusterUuid, StoreError> {
    init_on(Arc::new(Linux), path)
}

/// As [`init`], on a disk of the caller's.
///
/// # Errors
/// As [`init`].
pub fn init_on(disk: Arc<dyn Disk>, path: &Path) -> Result<ClusterUuid, StoreError> {
    let mut uuid = [0; 16];
    getrandom::fill(&mut uuid).map_err(|_| FileError::os(Op::Create, path, Errno::EIO))?;
    let cluster = ClusterUuid(uuid);
    let dir = match Dir::create_new_on(Arc::clone(&disk), path, DIR_MODE) {
        Err(error) if error.is_exists() => {
            let dir = Dir::open_on(disk, path)?;
            check_mode(&dir)?;
            // Its own entry may be from a crashed init, and not durable yet.
            Dir::parent_on(dir.shared_disk(), &std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
                .and_then(|(parent, _)| parent.sync())?;
            dir
        }
        other => other?,
    };
    let _owner = crate::owner::take(&dir)?;
    if dir.kind(CLUSTER)?.is_some() {
        return Err(StoreError::Made { dir: dir.path().to_owned() });
    }
    dir.sweep_tmp()?;
    let first = crate::layout::snapshot(1);
    if dir.list()?.iter().any(|entry| entry.name != dc_spool::layout::LOCK && entry.name != first.as_str()) {
        return Err(StoreError::NotEmpty { dir: dir.path().to_owned() });
    }
    // Of an init that did not come to its end.
    dir.remove(&first)?;
    // There is always a snapshot: a directory without one has lost it.
    snapshot::write(&dir, cluster, snapshot::Stands { number: 1, seq: 0, crc: 0, epoch: 0 }, &[])?;
    let header = Header {
        job: JobUuid(cluster.0),
        subtask: SubtaskId(0),
        attempt: Attempt(0),
        step: 0,
        payload_bytes: 0,
        payload_crc: 0,
    };
    let mut file = dir.new_file(crate::layout::FILE_MODE)?;
    file.append(&header.encode(FileKind::Cluster, &[]))?;
    file.commit_noreplace(CLUSTER)?;
    Ok(cluster)
}

/// Reads whose state is in the directory.
///
/// # Errors
/// When it is no state directory, of a newer version, or damaged.
pub fn identity(dir: &Dir) -> Result<ClusterUuid, StoreError> {
    let path = dir.path_of(CLUSTER);
    let bytes = match dir.read(CLUSTER, 4096) {
        Err(error) if error.is_not_found() => return Err(StoreError::NotMade { dir: dir.path().to_owned() }),
        other => other?,
    };
    let damaged = |error| StoreError::Header { path: path.clone(), error };
    let (header, _, _) = Header::decode(FileKind::Cluster, &bytes).map_err(damaged)?;
    let again = Header { job: header.job, subtask: SubtaskId(0), attempt: Attempt(0), ..header };
    if bytes.len() != HEADER_BYTES || header.step != 0 || again.encode(FileKind::Cluster, &[]) != bytes {
        return Err(damaged(HeaderError::Damaged));
    }
    Ok(ClusterUuid(header.job.0))
}

/// Refuses a directory that others may enter: what is in it names users and what they run.
pub(crate) fn check_mode(dir: &Dir) -> Result<(), StoreError> {
    let stat = fstat(dir).map_err(|errno| FileError::os(Op::Open, dir.path(), errno))?;
    let mode = stat.st_mode & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(StoreError::Mode { dir: dir.path().to_owned(), mode }) }
}
