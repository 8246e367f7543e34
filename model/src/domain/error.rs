//! What can be wrong with a domain's file: one line each, with what to do about it where that is not plain.

use crate::npy::HeaderError;

/// Why bytes are not a domain.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DomainError {
    /// No bytes at all.
    #[error("the file is empty; a PBM mask, a PGM field of weights or an .npy array is wanted")]
    NoBytes,
    /// Another format.
    #[error("not a PBM, PGM or .npy file: it begins with \"{}\"; P1, P2, P4, P5 and numpy's arrays are read", begin.escape_ascii())]
    NotNetpbm {
        /// Its first bytes, at most 4.
        begin: Vec<u8>,
    },
    /// Of the same family, but colour or PAM.
    #[error("this is {what} (P{number}), not a PBM or PGM file; {tool} makes one of it")]
    OtherNetpbm {
        /// The digit after the P.
        number: char,
        /// Its name with an article.
        what: &'static str,
        /// The command that converts it.
        tool: &'static str,
    },
    /// The header ends before it is complete.
    #[error("the header ends before its {what}")]
    HeaderCut {
        /// What was looked for.
        what: &'static str,
    },
    /// Something in the header that is not a number.
    #[error("byte {at}: the header's {what} should be here, not '{}'", (*found).escape_ascii())]
    HeaderNumber {
        /// What was looked for.
        what: &'static str,
        /// Offset in the file.
        at: usize,
        /// The byte there.
        found: u8,
    },
    /// Something other than white space between the header and a raw raster.
    #[error("byte {at}: one white space should end the header, not '{}'", (*found).escape_ascii())]
    HeaderEnd {
        /// Offset in the file.
        at: usize,
        /// The byte there.
        found: u8,
    },
    /// A number in the header that is beyond all bounds.
    #[error("the header's {what} is far too large")]
    HeaderOverflow {
        /// Which one.
        what: &'static str,
    },
    /// A side of 0.
    #[error("a grid of {nx} × {ny} has no cells")]
    NoCells {
        /// Columns.
        nx: u64,
        /// Rows.
        ny: u64,
    },
    /// A side that is too long.
    #[error("a grid of {nx} × {ny} is too large; {} is the longest side", super::SIDE_MAX)]
    Grid {
        /// Columns.
        nx: u64,
        /// Rows.
        ny: u64,
    },
    /// A maxval that PGM does not allow.
    #[error("maxval is {maxval}; PGM allows 1 to 65535")]
    Maxval {
        /// What the header says.
        maxval: u64,
    },
    /// A binary raster that is too short.
    #[error("truncated: expected {expected} bytes after the header for a grid of {nx} × {ny}, found {found}")]
    Truncated {
        /// Columns.
        nx: u32,
        /// Rows.
        ny: u32,
        /// Bytes that the raster takes.
        expected: u64,
        /// Bytes after the header.
        found: u64,
    },
    /// A plain raster that is too short.
    #[error(
        "truncated: expected {expected} values for a grid of {nx} × {ny}, found {found} in the {bytes} bytes after the header"
    )]
    TooFewValues {
        /// Columns.
        nx: u32,
        /// Rows.
        ny: u32,
        /// Values that the raster takes.
        expected: u64,
        /// Values found.
        found: u64,
        /// Bytes after the header.
        bytes: u64,
    },
    /// Bytes after the raster.
    #[error(
        "bytes left after the grid of {nx} × {ny}: {extra}; are the sides in the header right? (one image a file)"
    )]
    Trailing {
        /// Columns.
        nx: u32,
        /// Rows.
        ny: u32,
        /// How many bytes.
        extra: u64,
    },
    /// A byte in a plain raster that cannot be there.
    #[error("byte {at}: '{}' is no {what} (cell {x}, {y})", (*found).escape_ascii())]
    Value {
        /// What is wanted there.
        what: &'static str,
        /// Offset in the file.
        at: usize,
        /// The byte there.
        found: u8,
        /// Column of the cell.
        x: u64,
        /// Row of the cell.
        y: u64,
    },
    /// A weight above the header's maxval.
    #[error("cell {x}, {y} is {value}, above the header's maxval {maxval}")]
    AboveMaxval {
        /// Column of the cell.
        x: u64,
        /// Row of the cell.
        y: u64,
        /// Its value; the largest that can be held when it is larger still.
        value: u64,
        /// What the header says.
        maxval: u16,
    },
    /// Another number of weights than the sides say.
    #[error("{expected} weights are wanted, {found} are there")]
    Values {
        /// Columns × rows.
        expected: u64,
        /// Weights given.
        found: u64,
    },
    /// The header of an `.npy` file.
    #[error("the .npy file {0}")]
    Npy(#[from] HeaderError),
    /// The array of an `.npy` file is no grid.
    #[error("the array of the .npy file has {axes} as its number of axes; a grid has 2, rows and columns")]
    Axes {
        /// How many it has.
        axes: usize,
    },
    /// A value of an `.npy` file that is no weight.
    #[error("cell {x}, {y} is {found}; a weight is a whole number from 0 to {}{remedy}", super::WEIGHT_MAX)]
    Weight {
        /// Column of the cell.
        x: u32,
        /// Row of the cell.
        y: u32,
        /// Its value.
        found: String,
        /// What helps, where something does.
        remedy: &'static str,
    },
    /// A value that is neither 0 nor another one.
    #[error("cell {x}, {y} is NaN; in a mask a value is 0, or not: put numbers into its place")]
    Nan {
        /// Column of the cell.
        x: u32,
        /// Row of the cell.
        y: u32,
    },
    /// Weights were wanted, and there is a mask.
    #[error("this is a mask, and weights were asked for: leave out weights:")]
    NoWeights,
    /// The sum of the weights.
    #[error("the weights of all cells together are above {}", u64::MAX)]
    Cost,
    /// More than there is.
    #[error("no memory for the {bytes} bytes that the grid takes")]
    Memory {
        /// So many.
        bytes: u64,
    },
    /// Nothing to compute.
    #[error("the domain is empty: none of its {nx} × {ny} cells is effective (in a PBM 1 is effective)")]
    Empty {
        /// Columns.
        nx: u32,
        /// Rows.
        ny: u32,
    },
}
