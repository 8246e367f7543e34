//! The starters that are there: every directory of a job is looked at once, when dcd begins.

use super::lock::{is_held, open_dir};
use super::{LOCK, SOCKET, Site};
use crate::privileged::Privileged;
use dc_model::JobUuid;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::fstatat;
use std::io;
use std::path::Path;

/// Whether a directory has a starter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// It lives. Where it has only just been started its socket may not be there yet.
    Alive,
    /// There was one, and it has ended without a word: it was killed, or the host was restarted.
    Dead,
    /// There is none, or it has ended as it should.
    Absent,
}

/// A job's directory on this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The job.
    pub job: JobUuid,
    /// Its directory.
    pub site: Site,
    /// Whether it has a starter.
    pub life: Life,
}

/// Looks at all directories in `jobs` that are named after a job, in the order of their names. A `jobs` that is not there
/// has none.
///
/// # Errors
/// When one cannot be looked at.
pub fn find(jobs: &Path) -> io::Result<Vec<Found>> {
    find_with(jobs, None)
}

/// As [`find`]; by dc-exec, where dcd runs as a user of its own. One that dc-exec refuses to look at is no reason not to begin.
///
/// # Errors
/// When one of this user's cannot be looked at.
pub fn find_with(jobs: &Path, exec: Option<&Privileged>) -> io::Result<Vec<Found>> {
    let entries = match std::fs::read_dir(jobs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Some(job) = entry.file_name().to_str().and_then(JobUuid::parse) else { continue };
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let looked = Site::of(job, entry.path(), exec).and_then(|site| Ok((site.life()?, site)));
        match looked {
            Ok((life, site)) => found.push(Found { job, site, life }),
            // Removed since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if exec.is_some() => {
                tracing::warn!(%job, "is left alone: {}", error.to_string().escape_debug());
            }
            Err(error) => return Err(error),
        }
    }
    found.sort_by(|a, b| a.site.dir().cmp(b.site.dir()));
    Ok(found)
}

/// Looks at one directory.
///
/// # Errors
/// When it cannot be looked at.
pub fn life(dir: &Path) -> io::Result<Life> {
    let dir = open_dir(dir)?;
    if is_held(&dir)? == Some(true) {
        return Ok(Life::Alive);
    }
    // One that ends as it should removes both names.
    let is_there = |name: &str| match fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(io::Error::from(errno)),
    };
    Ok(if is_there(SOCKET)? || is_there(LOCK)? { Life::Dead } else { Life::Absent })
}
