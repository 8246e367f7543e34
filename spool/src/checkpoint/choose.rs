//! Which checkpoint an attempt goes on from: the newest valid one of the attempts that have ended, and the one before.

use super::{Checkpoints, list_in};
use crate::files::FileError;
use dc_model::{Attempt, Restart, SubtaskId};
use std::path::PathBuf;

/// A checkpoint that was found valid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Which one.
    pub restart: Restart,
    /// Its path; absolute where the spool's is.
    pub path: PathBuf,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Choice {
    /// The newest valid one.
    pub from: Option<Found>,
    /// The newest valid one before it.
    pub older: Option<Found>,
    /// One line for each that is newer than these and cannot be used.
    pub passed_over: Vec<String>,
}

impl Checkpoints {
    /// Looks for the newest valid checkpoint written by an attempt before `below`, and the one before it. With
    /// `before`, only those older than that one count. Each candidate is read whole. For a first attempt no file is
    /// touched.
    ///
    /// # Errors
    /// When the directory cannot be listed; a checkpoint that cannot be read, tried several times, is passed over.
    pub fn newest_valid(
        &self,
        subtask: SubtaskId,
        before: Option<Restart>,
        below: Attempt,
    ) -> Result<Choice, FileError> {
        let mut choice = Choice::default();
        if below <= Attempt(1) {
            return Ok(choice);
        }
        let Some(dir) = self.subtask_dir(subtask)? else { return Ok(choice) };
        let eligible =
            |restart: &Restart| restart.attempt < below && before.is_none_or(|before| *restart < before);
        for restart in list_in(&dir)?.into_iter().filter(eligible).rev() {
            match self.verify_trying(&dir, subtask, restart) {
                Ok(checkpoint) => {
                    let found = Found { restart, path: checkpoint.path().to_owned() };
                    if choice.from.is_none() {
                        choice.from = Some(found);
                    } else {
                        choice.older = Some(found);
                        break;
                    }
                }
                // Removed meanwhile, which is no news.
                Err(error) if error.is_not_found() => {}
                Err(error) => choice.passed_over.push(format!("passed over {restart}: {error}")),
            }
        }
        Ok(choice)
    }
}
