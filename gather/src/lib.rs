//! Brings the committed results of a job together: one after another, or onto the grid they were cut from.
//! Every result is verified on the way; the target appears whole or not at all. Nothing here knows an MPI.

mod check;
mod concat;
mod error;
mod fill;
mod form;
mod grid;
mod listing;
pub mod npy;
mod part;
#[cfg(test)]
mod test_spool;
pub mod value;
mod walk;

pub use dc_spool::result::{Dtype, Layout};

pub use check::{CheckError, IndexReport, check_index};
pub use concat::{concat, concat_into};
pub use error::MergeError;
pub use fill::{Fill, FillError};
pub use form::{Format, Scale};
pub use grid::{GridReport, grid, grid_into};
pub use listing::{COLUMNS, Listing, StreamError, list, stream};
pub use part::Part;
