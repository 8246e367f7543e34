//! What can go wrong on the kernel's side, each in one line.

use super::{ByHandError, EnvError};
use crate::checkpoint::CheckpointError;
use crate::files::{FileError, shown};
use crate::record_file::RecordError;
use crate::result::{HeadError, ResultError};
use dc_model::domain::DomainError;
use dc_model::{Attempt, Block, Restart};
use std::path::PathBuf;
use thiserror::Error;

/// An error on the kernel's side.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum KernelError {
    /// A variable of the environment.
    #[error("{0}")]
    Env(#[from] EnvError),
    /// The spool of a kernel that is run by hand.
    #[error("{0}")]
    ByHand(#[from] ByHandError),
    /// A file.
    #[error("{0}")]
    File(#[from] FileError),
    /// A checkpoint.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// A result.
    #[error("{0}")]
    Result(#[from] ResultError),
    /// The checkpoint to go on from, and the one before it if there is one, cannot be used.
    #[error("{newest}{}; not starting from the beginning instead", .older.as_ref().map(|older| format!("; {older}")).unwrap_or_default())]
    Restart {
        /// Why not the newest.
        newest: Box<RecordError>,
        /// Why not the one before.
        older: Option<Box<RecordError>>,
    },
    /// By hand: there are checkpoints, and none can be used.
    #[error("no checkpoint can be used: {first}; remove {} to start from the beginning", shown(.dir))]
    NoneValid {
        /// Of the newest, why not.
        first: String,
        /// The spool.
        dir: PathBuf,
    },
    /// The checkpoint to go on from is not of an attempt before this one.
    #[error(
        "the checkpoint to go on from is {found}, but this is attempt {own}: only one of an earlier attempt will do"
    )]
    Fenced {
        /// What the checkpoint is.
        found: Restart,
        /// This attempt.
        own: Attempt,
    },
    /// The mask cannot be read.
    #[error("the domain {} {why}", shown(.path))]
    Domain {
        /// The mask file.
        path: PathBuf,
        /// Why not.
        why: DomainWhy,
    },
    /// There is none.
    #[error("there is no domain: DC_DOMAIN is not set")]
    NoDomain,
    /// A mask to be filled of another length than the block.
    #[error("a mask of {found} cells was given for a block of {expected}")]
    MaskLength {
        /// What was given.
        found: u64,
        /// The block's cells.
        expected: u64,
    },
    /// A result of the whole block has another number of cells.
    #[error("the result has {found} cells in the layout block, but the block {block} has {}", .block.area())]
    CellsOfBlock {
        /// Cells of the result.
        found: u64,
        /// The block.
        block: Block,
    },
    /// A shell kernel's restore of a checkpoint that a program wrote.
    #[error("{} holds {regions} regions of a program's memory, not a file that `dcspool save` wrote", shown(.path))]
    NotAStream {
        /// The checkpoint.
        path: PathBuf,
        /// How many regions it has.
        regions: usize,
    },
}

/// Why a mask cannot be used.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum DomainWhy {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(String),
    /// It is not a mask.
    #[error("is not a mask: {0}")]
    Format(#[from] DomainError),
    /// Not of the job's grid.
    #[error("has {nx} columns and {ny} rows, not the job's: it was changed, perhaps")]
    Grid {
        /// Its columns.
        nx: u32,
        /// Its rows.
        ny: u32,
    },
    /// The block lies outside.
    #[error("does not reach to the block {0}: it was changed, perhaps")]
    Block(Block),
}

impl From<HeadError> for KernelError {
    fn from(error: HeadError) -> Self {
        Self::Result(error.into())
    }
}
