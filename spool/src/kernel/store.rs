//! The kernel's part of the spool, opened when it is first needed: under dcrun the job's, by hand one of its own.

use super::by_hand::{self, Claim};
use super::{Kernel, KernelError};
use crate::checkpoint::Checkpoints;
use crate::files::Dir;
use crate::layout::RESULT;
use crate::result::Results;
use dc_model::Attempt;
use std::sync::Arc;

/// What is open.
#[derive(Debug)]
pub(super) struct Store {
    pub checkpoints: Checkpoints,
    pub results: Results,
    pub attempt: Attempt,
    /// Held by hand, as long as the program lives.
    _claim: Option<Claim>,
}

impl Kernel {
    /// The store; by hand made where it is missing.
    pub(super) fn store(&mut self) -> Result<&Store, KernelError> {
        if self.store_if_there()?.is_none() {
            let claim = by_hand::make(Arc::clone(&self.disk), &self.env.spool)?;
            self.store = Some(self.claimed(claim)?);
        }
        match &self.store {
            Some(store) => Ok(store),
            None => Err(super::ByHandError::Lost.into()),
        }
    }

    /// The store; by hand `None` as long as nothing was ever written.
    pub(super) fn store_if_there(&mut self) -> Result<Option<&Store>, KernelError> {
        if self.store.is_none() {
            self.store = match (self.env.job, self.env.attempt) {
                (Some(job), Some(attempt)) => {
                    let spool = Dir::open_on(Arc::clone(&self.disk), &self.env.spool)?;
                    let (checkpoints, results) =
                        (Checkpoints::open(&spool, job)?, Results::open(&spool, job)?);
                    Some(Store { checkpoints, results, attempt, _claim: None })
                }
                _ => match by_hand::find(Arc::clone(&self.disk), &self.env.spool)? {
                    Some(claim) => Some(self.claimed(claim)?),
                    None => None,
                },
            };
        }
        Ok(self.store.as_ref())
    }

    fn claimed(&self, claim: Claim) -> Result<Store, KernelError> {
        let checkpoints = Checkpoints::open(claim.spool(), claim.job())?;
        let results = Results::open(claim.spool(), claim.job())?;
        // What killed kernels left half written; the claim says that nobody writes here. A directory that cannot be
        // swept is still good to read.
        let _ = checkpoints.prune(self.env.subtask, usize::MAX, true);
        let _ = claim.spool().subdir(RESULT).and_then(|dir| dir.sweep_tmp());
        let attempt = match self.env.attempt {
            Some(attempt) => attempt,
            None => by_hand::next_attempt(&checkpoints, &results, self.env.subtask)?,
        };
        Ok(Store { checkpoints, results, attempt, _claim: Some(claim) })
    }
}
