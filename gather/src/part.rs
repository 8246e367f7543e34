//! What is merged: the parts of a job in order, each with the result that the journal says was committed.

use crate::MergeError;
use dc_model::{Attempt, Block, ResultMeta, SubtaskId};
use dc_spool::files::shown;
use dc_spool::result::{Reader, Results};
use std::io;

/// A subtask whose result is merged. Subtasks of zero cost are never run, and are no parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Which subtask.
    pub subtask: SubtaskId,
    /// Its name in the user's list, if it has one.
    pub name: Option<Box<str>>,
    /// Its block, when it was cut from a domain.
    pub block: Option<Block>,
    /// What the journal says was committed; nothing when the subtask left no result.
    pub committed: Option<(Attempt, ResultMeta)>,
}

impl Part {
    /// What people see: its number, and its name where it has one.
    pub(crate) fn shown(&self) -> String {
        match &self.name {
            Some(name) => format!("subtask {} ({})", self.subtask, shown(&**name)),
            None => format!("subtask {}", self.subtask),
        }
    }

    /// Opens its result: there, sound in its header, and the one that was committed.
    pub(crate) fn try_open(&self, results: &Results) -> Result<Reader, MergeError> {
        let missing = || MergeError::Missing { subtask: self.shown() };
        let (attempt, meta) = self.committed.ok_or_else(missing)?;
        let reader = results.reader(self.subtask, attempt).map_err(|error| match error.is_not_found() {
            true => missing(),
            false => self.unusable(io::Error::other(error)),
        })?;
        if reader.meta() == meta { Ok(reader) } else { Err(MergeError::Another { subtask: self.shown() }) }
    }

    /// What a failed read of its payload means.
    pub(crate) fn unusable(&self, source: io::Error) -> MergeError {
        MergeError::Unusable { subtask: self.shown(), source }
    }
}
