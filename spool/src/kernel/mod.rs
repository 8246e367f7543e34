//! The kernel's side: what a program that dcrun starts can ask and tell. The C library and the shell commands are this
//! and nothing more. It writes checkpoints and results, and never removes one.

mod by_hand;
mod domain;
mod env;
mod error;
mod pace;
mod restart;
mod store;

pub use by_hand::{ByHandError, by_hand_job};
pub use env::{EnvError, Environment, SPOOL_BY_HAND};
pub use error::{DomainWhy, KernelError};
pub use pace::Pace;

use crate::checkpoint::{CheckpointError, Region, RegionMut};
use crate::files::{Disk, Linux};
use crate::progress::Slot;
use crate::result::{Dtype, Head, Layout};
use dc_model::domain::Domain;
use dc_model::{Attempt, Rank, Restart, Step, SubtaskId};
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Store;

/// The region that a shell kernel's checkpoint has.
pub const STREAM_REGION: u32 = 0;

/// A kernel's one connection to dc: its environment, its progress slot, its part of the spool.
#[derive(Debug)]
pub struct Kernel {
    env: Environment,
    disk: Arc<dyn Disk>,
    store: Option<Store>,
    slot: Option<Slot>,
    domain: Option<Domain>,
    began: Instant,
    pace: Pace,
}

impl Kernel {
    /// By the process's environment.
    ///
    /// # Errors
    /// When a variable is malformed, or one is missing beside the others.
    pub fn from_env() -> Result<Self, KernelError> {
        Ok(Self::new(Environment::read(std::env::var_os)?, Arc::new(Linux)))
    }

    /// By an environment and on a disk of the caller's. Nothing is opened yet but the progress slot, without which it
    /// does as well.
    #[must_use]
    pub fn new(env: Environment, disk: Arc<dyn Disk>) -> Self {
        let slot = match (&env.progress, env.attempt) {
            (Some(path), Some(attempt)) => Slot::open(path, env.rank, env.subtask, attempt).ok(),
            _ => None,
        };
        let pace = Pace::new(env.interval, Duration::ZERO);
        Self { env, disk, store: None, slot, domain: None, began: Instant::now(), pace }
    }

    /// Fills the regions from the checkpoint to go on from; its step, or `None` to start from the beginning. The file
    /// is verified before anything is changed; a damaged one gives way to the one before it, with a line on
    /// standard error.
    ///
    /// # Errors
    /// When there is a checkpoint and none can be used: never a reason to start from the beginning.
    pub fn restore(&mut self, regions: &mut [RegionMut<'_>]) -> Result<Option<Step>, KernelError> {
        let Some(checkpoint) = self.restart_point()? else { return Ok(None) };
        checkpoint.restore(regions)?;
        Ok(Some(checkpoint.restart().step))
    }

    /// Whether a checkpoint is due.
    #[must_use]
    pub fn checkpoint_due(&self) -> bool {
        self.pace.due(self.began.elapsed(), self.checkpoint_wanted())
    }

    fn checkpoint_wanted(&self) -> bool {
        self.slot.as_ref().is_some_and(Slot::checkpoint_wanted)
    }

    /// Writes a checkpoint; durable on return. On an error nothing of it is left.
    ///
    /// # Errors
    /// When an id comes twice, the spool cannot be used, or a step of writing fails.
    pub fn checkpoint(&mut self, step: Step, regions: &[Region<'_>]) -> Result<(), KernelError> {
        self.timed(step, |store, subtask, at| store.checkpoints.write(subtask, at, regions))
    }

    /// Writes a checkpoint of all that `input` gives, which is region [`STREAM_REGION`]. Gives back its length in bytes.
    ///
    /// # Errors
    /// As [`Kernel::checkpoint`], and when `input` fails; `named` tells the user what it is.
    pub fn checkpoint_stream(
        &mut self,
        step: Step,
        input: &mut dyn Read,
        named: &str,
    ) -> Result<u64, KernelError> {
        self.timed(step, |store, subtask, at| {
            store.checkpoints.write_stream(subtask, at, STREAM_REGION, input, named)
        })
    }

    fn timed<T>(
        &mut self,
        step: Step,
        write: impl FnOnce(&Store, SubtaskId, Restart) -> Result<T, CheckpointError>,
    ) -> Result<T, KernelError> {
        let (wanted, subtask) = (self.checkpoint_wanted(), self.env.subtask);
        let begins = self.began.elapsed();
        let written = self.store().and_then(|store| {
            let at = Restart { attempt: store.attempt, step };
            write(store, subtask, at).map_err(KernelError::from)
        });
        self.pace.tried(begins, self.began.elapsed(), wanted);
        if let (Ok(_), Some(slot)) = (&written, &self.slot) {
            slot.checkpointed(step);
        }
        written
    }

    /// Says how many cells are done.
    pub fn progress(&self, cells: u64) {
        if let Some(slot) = &self.slot {
            slot.cells(cells);
        }
    }

    /// Hands over the result, values in the machine's memory as bytes; durable on return.
    ///
    /// # Errors
    /// When the counts do not fit, the spool cannot be used, or a step of writing fails.
    pub fn result(
        &mut self,
        dtype: Dtype,
        layout: Layout,
        values_per_cell: u32,
        mut data: &[u8],
    ) -> Result<Head, KernelError> {
        self.check_block(Head::new(dtype, layout, values_per_cell, data.len() as u64)?)?;
        self.result_stream(dtype, layout, values_per_cell, &mut data, "memory")
    }

    /// Hands over all that `input` gives; `named` tells the user what it is.
    ///
    /// # Errors
    /// As [`Kernel::result`], and when `input` fails.
    pub fn result_stream(
        &mut self,
        dtype: Dtype,
        layout: Layout,
        values_per_cell: u32,
        input: &mut dyn Read,
        named: &str,
    ) -> Result<Head, KernelError> {
        let subtask = self.env.subtask;
        let store = self.store()?;
        let mut writer = store.results.writer(subtask, store.attempt, dtype, layout, values_per_cell)?;
        writer.append_all(input, named)?;
        self.check_block(writer.head()?)?;
        Ok(writer.finish()?)
    }

    /// A result of the whole block has as many cells as the block, where that is known.
    fn check_block(&self, head: Head) -> Result<(), KernelError> {
        let Some(block) = self.block().filter(|_| head.layout == Layout::Block) else { return Ok(()) };
        if head.cells() == block.area() {
            return Ok(());
        }
        Err(KernelError::CellsOfBlock { found: head.cells(), block })
    }

    /// This subtask.
    #[must_use]
    pub fn subtask(&self) -> SubtaskId {
        self.env.subtask
    }

    /// The lane it runs in.
    #[must_use]
    pub fn rank(&self) -> Rank {
        self.env.rank
    }

    /// This attempt. By hand it is the one after the newest that left anything in the spool.
    ///
    /// # Errors
    /// By hand, when the spool cannot be used.
    pub fn attempt(&mut self) -> Result<Attempt, KernelError> {
        match self.env.attempt {
            Some(attempt) => Ok(attempt),
            None => Ok(self.store_if_there()?.map_or(Attempt(1), |store| store.attempt)),
        }
    }
}

#[cfg(test)]
mod tests;
