//! NumPy's `.npy` files, as far as dc writes and reads them: one array of plain numbers in C order, little-endian.
//! Only bytes in and out; which file, and how it is put in place, is not known here.

mod header;
mod reader;

pub use header::{HEADER_ALIGN_BYTES, Header, encode, try_decode};
pub use reader::NpyReader;

use crate::Dtype;
use thiserror::Error;

/// Why bytes are not an `.npy` array that dc reads.
#[derive(Debug, Error)]
pub enum NpyError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// Its header is not one of an array.
    #[error(transparent)]
    Header(#[from] dc_model::npy::HeaderError),
    /// A type of value that dc's results do not have.
    #[error("holds values of type '{}', which are not read (u1 to u8, i1 to i8, f4 and f8, little-endian, are)", .0.escape_default())]
    Type(String),
    /// Columns first.
    #[error("is in Fortran order; only C order is read")]
    FortranOrder,
    /// Not a grid of rows and columns.
    #[error("has {0} dimensions; a grid has 2")]
    Dimensions(usize),
    /// An axis of length 0.
    #[error("has no cells")]
    Empty,
    /// The file ends before its last value, or goes on after it.
    #[error("is {0} than its header says")]
    Length(&'static str),
}

/// Bytes of an array of this shape, or nothing when that cannot be counted.
#[must_use]
pub fn data_bytes(dtype: Dtype, shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(dtype.bytes() as u64, |all, n| all.checked_mul(*n))
}

#[cfg(test)]
#[path = "npy_tests.rs"]
mod tests;
