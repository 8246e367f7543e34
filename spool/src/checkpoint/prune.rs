//! Removing checkpoints that nobody will go on from. Only the starter does this.

use super::{Checkpoints, list_in};
use crate::files::FileError;
use crate::layout;
use dc_model::{Restart, SubtaskId};

/// What was done.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pruned {
    /// The valid ones that were kept, from the newest to the oldest.
    pub kept: Vec<Restart>,
    /// How many were removed.
    pub removed: usize,
    /// How many unfinished files of dead writers were removed.
    pub swept: usize,
}

impl Checkpoints {
    /// Keeps the newest `keep` (at least one) valid checkpoints of a subtask, whatever attempts wrote them, and removes all that is
    /// older, valid or not. What is newer than the last of those and damaged stays, to be looked at. Nothing is
    /// removed before so many newer ones were verified. `idle`: no attempt of this subtask is alive, so that unfinished
    /// files are nobody's and go too.
    ///
    /// # Errors
    /// When the directory cannot be listed, or a file not removed.
    pub fn prune(&self, subtask: SubtaskId, keep: usize, idle: bool) -> Result<Pruned, FileError> {
        let (keep, mut pruned) = (keep.max(1), Pruned::default());
        let Some(dir) = self.subtask_dir(subtask)? else { return Ok(pruned) };
        if idle {
            pruned.swept = dir.sweep_tmp()?;
        }
        let all = list_in(&dir)?;
        if all.len() <= keep {
            return Ok(pruned);
        }
        for restart in all.into_iter().rev() {
            if pruned.kept.len() == keep {
                pruned.removed += usize::from(dir.remove(layout::checkpoint(restart))?);
            } else if self.verify_trying(&dir, subtask, restart).is_ok() {
                pruned.kept.push(restart);
            }
        }
        Ok(pruned)
    }
}
