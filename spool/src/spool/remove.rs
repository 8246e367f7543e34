//! Removing a job's directory: only what dc made, known by its name and place; anything else is left, and told.

use crate::files::{Dir, Entry, FileError, Kind, TMP_PREFIX};
use crate::layout;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What [`super::Spool::remove`] left.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Removed {
    /// What is not dc's, and was left. Empty: the directory is gone too.
    pub left: Vec<PathBuf>,
}

pub(super) fn remove(dir: &Dir) -> Result<Removed, FileError> {
    let left = contents(dir)?;
    if left.is_empty() {
        let (parent, name) = Dir::parent_on(dir.shared_disk(), dir.path())?;
        parent.remove_subdir(name)?;
    }
    Ok(Removed { left })
}

pub(super) fn remove_with(dir: &Dir, also: &[&str]) -> Result<Removed, FileError> {
    dir.remove(layout::JOB)?;
    for name in also {
        dir.remove(name)?;
    }
    remove(dir)
}

/// Removes what dc made in the directory. The job record goes first: what a crash leaves is then no job any more. No
/// call waits for the disk: a removal that a crash undoes has lost nothing, and can be done again.
pub(super) fn contents(dir: &Dir) -> Result<Vec<PathBuf>, FileError> {
    let mut left = Vec::new();
    dir.remove(layout::JOB)?;
    for entry in dir.list()? {
        let Some(kind) = dir.kind(&entry.name)? else { continue };
        let is_dir = kind == Kind::Dir;
        match entry.name.to_str() {
            Some(layout::CKPT) if is_dir => checkpoints(dir, &entry, &mut left)?,
            Some(layout::RESULT) if is_dir => {
                files(dir, &entry, &mut left, |name| layout::parse_result(name).is_some())?;
            }
            Some(layout::LOCK) if !is_dir => drop(dir.remove(&entry.name)?),
            _ if !is_dir && (is_tmp(&entry) || layout::parse_journal(&entry.name).is_some()) => {
                dir.remove(&entry.name)?;
            }
            _ => left.push(dir.path_of(&entry.name)),
        }
    }
    Ok(left)
}

fn checkpoints(dir: &Dir, entry: &Entry, left: &mut Vec<PathBuf>) -> Result<(), FileError> {
    let ckpt = dir.subdir(&entry.name)?;
    let before = left.len();
    for subtask in ckpt.list()? {
        let Some(kind) = ckpt.kind(&subtask.name)? else { continue };
        if kind == Kind::Dir && layout::parse_subtask_dir(&subtask.name).is_some() {
            files(&ckpt, &subtask, left, |name| layout::parse_checkpoint(name).is_some())?;
        } else {
            left.push(ckpt.path_of(&subtask.name));
        }
    }
    remove_if_empty(dir, entry, left.len() == before)
}

/// Removes the files that are dc's by their name, then the directory, if nothing else is in it.
fn files(
    dir: &Dir,
    entry: &Entry,
    left: &mut Vec<PathBuf>,
    ours: impl Fn(&std::ffi::OsStr) -> bool,
) -> Result<(), FileError> {
    let sub = dir.subdir(&entry.name)?;
    let before = left.len();
    for file in sub.list()? {
        // The starter that is just ending may still prune: what is gone is gone.
        let Some(kind) = sub.kind(&file.name)? else { continue };
        if kind == Kind::File && (is_tmp(&file) || ours(&file.name)) {
            sub.remove(&file.name)?;
        } else {
            left.push(sub.path_of(&file.name));
        }
    }
    remove_if_empty(dir, entry, left.len() == before)
}

fn remove_if_empty(dir: &Dir, entry: &Entry, empty: bool) -> Result<(), FileError> {
    if empty {
        dir.remove_subdir(&entry.name)?;
    }
    Ok(())
}

fn is_tmp(entry: &Entry) -> bool {
    entry.name.as_bytes().starts_with(TMP_PREFIX.as_bytes())
}
