//! Sets: checkpoints of one attempt and step, one of each subtask of a gang. A set counts when all of them are there
//! and valid; ranks never go on from different ones.

use super::{Checkpoints, Found, list_in};
use crate::files::{Dir, FileError};
use crate::layout;
use dc_model::{Attempt, Restart, SubtaskId};
use std::collections::BTreeMap;

/// What was found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SetChoice {
    /// The newest complete set, and the one before it; each with its files, in the order of the subtasks asked for.
    pub sets: Vec<(Restart, Vec<Found>)>,
    /// One line for each file that is there and cannot be used.
    pub passed_over: Vec<String>,
}

impl Checkpoints {
    /// Looks for the newest complete set written by an attempt before `below`, and the one before it. With `before`,
    /// only those older than that one count. Every file of a candidate is read whole.
    ///
    /// # Errors
    /// When a directory cannot be listed; a file that cannot be read is passed over.
    pub fn newest_sets(
        &self,
        subtasks: &[SubtaskId],
        before: Option<Restart>,
        below: Attempt,
    ) -> Result<SetChoice, FileError> {
        let mut choice = SetChoice::default();
        let Some(dirs) = self.dirs_of(subtasks)? else { return Ok(choice) };
        let eligible =
            |restart: &Restart| restart.attempt < below && before.is_none_or(|before| *restart < before);
        for restart in common(&dirs)?.into_iter().filter(eligible).rev() {
            let mut files = Vec::with_capacity(dirs.len());
            for (subtask, dir) in &dirs {
                match self.verify_trying(dir, *subtask, restart) {
                    Ok(checkpoint) => files.push(Found { restart, path: checkpoint.path().to_owned() }),
                    Err(error) => {
                        choice.passed_over.push(format!("subtask {subtask}: passed over {restart}: {error}"));
                        break;
                    }
                }
            }
            if files.len() == dirs.len() {
                choice.sets.push((restart, files));
                if choice.sets.len() == 2 {
                    break;
                }
            }
        }
        Ok(choice)
    }

    /// Keeps the newest `keep` (at least one) complete sets, and all that is newer than the last of them, whether a set
    /// or not; removes what is older. Nothing is removed before so many sets were verified. `idle`: no rank is alive.
    /// Returns how many files were removed.
    ///
    /// # Errors
    /// When a directory cannot be listed, or a file not removed.
    pub fn prune_sets(&self, subtasks: &[SubtaskId], keep: usize, idle: bool) -> Result<usize, FileError> {
        if idle {
            for subtask in subtasks {
                if let Some(dir) = self.subtask_dir(*subtask)? {
                    dir.sweep_tmp()?;
                }
            }
        }
        let Some(dirs) = self.dirs_of(subtasks)? else { return Ok(0) };
        let (mut left, mut removed) = (keep.max(1), 0);
        let all = common(&dirs)?;
        if all.len() <= left {
            return Ok(0);
        }
        for restart in all.into_iter().rev() {
            let is_whole =
                dirs.iter().all(|(subtask, dir)| self.verify_trying(dir, *subtask, restart).is_ok());
            left -= usize::from(is_whole);
            if left > 0 {
                continue;
            }
            for (_, dir) in &dirs {
                for old in list_in(dir)?.into_iter().filter(|old| *old < restart) {
                    removed += usize::from(dir.remove(layout::checkpoint(old))?);
                }
            }
            break;
        }
        Ok(removed)
    }

    /// The directories of all of them; nothing where one has none yet.
    fn dirs_of(&self, subtasks: &[SubtaskId]) -> Result<Option<Vec<(SubtaskId, Dir)>>, FileError> {
        let mut dirs = Vec::with_capacity(subtasks.len());
        for subtask in subtasks {
            match self.subtask_dir(*subtask)? {
                Some(dir) => dirs.push((*subtask, dir)),
                None => return Ok(None),
            }
        }
        Ok((!dirs.is_empty()).then_some(dirs))
    }
}

/// What all of them have, by name, from the oldest to the newest.
fn common(dirs: &[(SubtaskId, Dir)]) -> Result<Vec<Restart>, FileError> {
    let mut counts: BTreeMap<Restart, usize> = BTreeMap::new();
    for (_, dir) in dirs {
        for restart in list_in(dir)? {
            *counts.entry(restart).or_default() += 1;
        }
    }
    Ok(counts.into_iter().filter(|(_, count)| *count == dirs.len()).map(|(restart, _)| restart).collect())
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
