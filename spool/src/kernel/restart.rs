//! Which checkpoint this attempt goes on from: under dcrun the one the starter chose and nothing else, by hand the
//! newest valid one.

use super::{Kernel, KernelError};
use crate::checkpoint::Checkpoint;
use crate::files::shown;
use std::path::Path;

impl Kernel {
    /// The verified checkpoint to go on from; `None`: start from the beginning.
    ///
    /// # Errors
    /// When there is one and it cannot be used, nor the one before it.
    pub fn restart_point(&mut self) -> Result<Option<Checkpoint>, KernelError> {
        let Some(job) = self.env.job else { return self.newest_by_hand() };
        let open = |path: &Path| Checkpoint::open_path(path, job, self.env.subtask);
        let Some(from) = self.env.restart_from.clone() else { return Ok(None) };
        let newest = match open(&from) {
            Ok(checkpoint) => return self.fenced(checkpoint).map(Some),
            Err(error) => Box::new(error),
        };
        let Some(older) = self.env.restart_from_older.clone() else {
            return Err(KernelError::Restart { newest, older: None });
        };
        match open(&older) {
            Ok(checkpoint) => {
                eprintln!("dc: {newest}; going on from {} instead", checkpoint.restart());
                self.fenced(checkpoint).map(Some)
            }
            Err(error) => Err(KernelError::Restart { newest, older: Some(error.into()) }),
        }
    }

    /// A checkpoint of this attempt or a later one is nothing that the starter can have chosen.
    fn fenced(&self, checkpoint: Checkpoint) -> Result<Checkpoint, KernelError> {
        let found = checkpoint.restart();
        match self.env.attempt {
            Some(own) if found.attempt >= own => Err(KernelError::Fenced { found, own }),
            _ => Ok(checkpoint),
        }
    }

    fn newest_by_hand(&mut self) -> Result<Option<Checkpoint>, KernelError> {
        let subtask = self.env.subtask;
        let Some(store) = self.store_if_there()? else { return Ok(None) };
        let choice = store.checkpoints.newest_valid(subtask, None, store.attempt)?;
        let checkpoint = match choice.from {
            Some(found) => Some(
                store
                    .checkpoints
                    .open_verified(subtask, found.restart)
                    .map_err(|newest| KernelError::Restart { newest: newest.into(), older: None })?,
            ),
            None => None,
        };
        match (checkpoint, choice.passed_over.first()) {
            (None, Some(first)) => {
                Err(KernelError::NoneValid { first: first.clone(), dir: self.env.spool.clone() })
            }
            (checkpoint, _) => {
                choice.passed_over.iter().for_each(|line| eprintln!("dc: {}", shown(line)));
                Ok(checkpoint)
            }
        }
    }
}
