//! The file that results will be merged into: looked at before anything runs, so that hours of computing do not end
//! with a directory that is not there.

use super::SetupError;
use crate::request::Merge;
use dc_spool::job::{MergeKind, MergeTarget};
use nix::unistd::{AccessFlags, access};
use std::path::Path;

/// The target as the job record has it.
///
/// # Errors
/// When nothing could be put there.
pub fn check(merge: &Merge, fill: Option<&String>, cwd: &Path) -> Result<MergeTarget, SetupError> {
    if merge.kind == MergeKind::Exec {
        return Ok(MergeTarget { kind: merge.kind, path: merge.target.clone(), fill: None });
    }
    let path = cwd.join(&merge.target);
    let refused = |why: &str| SetupError::Target { target: path.clone(), why: why.to_owned() };
    if path.is_dir() {
        return Err(refused("this is a directory; give a file in it"));
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    if !directory.is_dir() {
        return Err(refused("there is no such directory; make it first"));
    }
    access(directory, AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|errno| refused(&format!("the directory cannot be written: {}", errno.desc())))?;
    let fill = fill.filter(|_| merge.kind.is_grid()).cloned();
    Ok(MergeTarget { kind: merge.kind, path, fill })
}
