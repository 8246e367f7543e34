//! Why results were not merged. Every line that is about one result names its subtask first.

use crate::{Dtype, FillError, Layout};
use dc_spool::files::FileError;
use std::io;
use thiserror::Error;

/// Why a merge failed. The target is as it was before.
#[derive(Debug, Error)]
pub enum MergeError {
    /// The subtask ended well without a result, or the file is gone.
    #[error("{subtask} left no result: its kernel must commit one (dcspool result, dc_result) for --merge")]
    Missing {
        /// Which.
        subtask: String,
    },
    /// The file's header or payload is not what was written.
    #[error("the result of {subtask} cannot be used: {source}")]
    Unusable {
        /// Which.
        subtask: String,
        /// What is wrong.
        source: io::Error,
    },
    /// The file is sound, but it is not the one that the journal tells of.
    #[error("the result of {subtask} is not the one that was committed (length or checksum differ)")]
    Another {
        /// Which.
        subtask: String,
    },
    /// Too few or too many values for the block.
    #[error(
        "the result of {subtask} has {found_bytes} bytes where its block needs {need_bytes} ({need_values} values of {dtype}, layout {layout})"
    )]
    Size {
        /// Which.
        subtask: String,
        /// Bytes it has.
        found_bytes: u64,
        /// Bytes it should have.
        need_bytes: u64,
        /// Values it should have.
        need_values: u64,
        /// Type of its values.
        dtype: Dtype,
        /// Its layout.
        layout: Layout,
    },
    /// Opaque bytes have no place on a grid.
    #[error("the result of {subtask} is opaque bytes; for a grid its kernel must give a type and a layout")]
    Opaque {
        /// Which.
        subtask: String,
    },
    /// Two results with two numbers of values a cell.
    #[error(
        "the result of {subtask} has {values} values per cell, that of {first} has {first_values}; a grid has one number of them"
    )]
    ValuesPerCell {
        /// Which.
        subtask: String,
        /// How many.
        values: u32,
        /// The first subtask.
        first: String,
        /// How many that has.
        first_values: u32,
    },
    /// An image of more than one value a cell.
    #[error(
        "the results have {values} values per cell, an image takes 1; merge into grid:FILE.npy or grid:FILE.raw"
    )]
    ImageValues {
        /// How many.
        values: u32,
    },
    /// An integer that an image cannot hold.
    #[error(
        "the result of {subtask} is {value} in cell {x}, {y}; an image holds integers from 0 to 65535: merge into grid:FILE.npy or grid:FILE.raw"
    )]
    ImageRange {
        /// Which.
        subtask: String,
        /// Column of the cell.
        x: u32,
        /// Row of the cell.
        y: u32,
        /// Its value.
        value: f64,
    },
    /// Two results of two types.
    #[error(
        "the result of {subtask} is of type {dtype}, that of {first} of type {first_dtype}; a grid has one type"
    )]
    Types {
        /// Which.
        subtask: String,
        /// Its type.
        dtype: Dtype,
        /// The first subtask's.
        first: String,
        /// The first subtask's type.
        first_dtype: Dtype,
    },
    /// The subtask was not cut from a domain.
    #[error("{subtask} has no block of a domain; --merge grid needs --domain")]
    NoBlock {
        /// Which.
        subtask: String,
    },
    /// The block is not one of this domain.
    #[error("the block of {subtask} reaches outside the domain")]
    Outside {
        /// Which.
        subtask: String,
    },
    /// There is nothing to merge.
    #[error("there are no results to merge")]
    Nothing,
    /// The blocks are not a partition of the domain.
    #[error("the blocks hold {found} effective cells, the domain has {need}")]
    Coverage {
        /// Effective cells of all blocks.
        found: u64,
        /// Effective cells of the domain.
        need: u64,
    },
    /// The grid is larger than a file can be.
    #[error("a grid of {nx} x {ny} cells with {bytes} bytes each is larger than a file can be")]
    TooLargeFile {
        /// Columns.
        nx: u32,
        /// Rows.
        ny: u32,
        /// Bytes of a cell.
        bytes: usize,
    },
    /// The grid's shape cannot be written down.
    #[error(
        "a grid of {nx} x {ny} cells with {values} values of {dtype} each is larger than an .npy file can be"
    )]
    TooLarge {
        /// Columns.
        nx: u32,
        /// Rows.
        ny: u32,
        /// Type of the values.
        dtype: Dtype,
        /// Values of a cell.
        values: u32,
    },
    /// The fill value and the results' type do not go together.
    #[error(transparent)]
    Fill(#[from] FillError),
    /// The target cannot be written.
    #[error(transparent)]
    Target(#[from] FileError),
}
