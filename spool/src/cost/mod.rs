//! What runs have taught of a kernel's cost, kept between them under the user's state directory: one small file a
//! kernel. Only a hint: it is never synced, a damaged one counts as none, and nothing depends on it.

mod codec;
mod store;

pub use codec::{COST_BYTES_MAX, ENTRIES_MAX, decode, encode};
pub use store::{CostDir, KERNELS_MAX};

use crate::files::{FileError, shown};
use crate::hash::ContentHash;
use dc_model::CostSums;
use std::path::PathBuf;
use thiserror::Error;

/// What an observation belongs to, besides its kernel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CostKey {
    /// XXH3-64 of what the node is: its name, its processor, its cores.
    pub node: u64,
    /// XXH3-64 of the arguments that all subtasks share, and of the cores a subtask.
    pub arguments: u64,
}

/// What was learned under one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CostEntry {
    /// Which.
    pub key: CostKey,
    /// When it was learned last, in seconds since 1970.
    pub last_s: u64,
    /// What.
    pub sums: CostSums,
}

/// All that was learned of a kernel: at most [`ENTRIES_MAX`] entries, in the order of their keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelCost {
    /// The kernel, by its content.
    pub kernel: ContentHash,
    /// What was learned.
    pub entries: Vec<CostEntry>,
}

impl KernelCost {
    /// Nothing yet.
    #[must_use]
    pub fn new(kernel: ContentHash) -> Self {
        Self { kernel, entries: Vec::new() }
    }

    /// Adds what a run has taught. What was known counts at most [`OLD_TIMES_MAX`] times as much as that, so that a
    /// machine that has changed is known anew after a few runs. Beyond [`ENTRIES_MAX`] the oldest entry goes.
    pub fn add(&mut self, key: CostKey, taught: CostSums, now_s: u64) {
        match self.entries.binary_search_by_key(&key, |entry| entry.key) {
            Ok(at) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.sums.weigh_at_most(taught.observations().max(1).saturating_mul(OLD_TIMES_MAX));
                    entry.sums.add(taught);
                    entry.last_s = now_s;
                }
            }
            Err(at) => {
                self.entries.insert(at, CostEntry { key, last_s: now_s, sums: taught });
                if self.entries.len() > ENTRIES_MAX {
                    let others = self.entries.iter().enumerate().filter(|(_, entry)| entry.key != key);
                    if let Some((oldest, _)) = others.min_by_key(|(_, entry)| entry.last_s) {
                        self.entries.remove(oldest);
                    }
                }
            }
        }
    }
}

/// How many times as much as a run all that was known before may count.
pub const OLD_TIMES_MAX: u64 = 4;

/// Why nothing could be read or kept. Nobody has to act on it.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CostError {
    /// The disk said no.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another dcrun holds the directory's lock for longer than is waited.
    #[error("{} is locked by another dcrun", shown(.0))]
    Busy(PathBuf),
    /// A newer dc wrote it; it is left alone.
    #[error("{} was written by a newer dc (format {found}; this dc reads up to {known})", shown(.path))]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u16,
        /// The newest that is read here.
        known: u16,
    },
    /// It is not what it should be; the next run that learns something replaces it.
    #[error("{} is damaged", shown(.0))]
    Damaged(PathBuf),
}

#[cfg(test)]
mod tests;
