//! The spool: the only code that knows how dc's durable files are written, read and named.
//! What is in them is drawn byte by byte in `docs/spool-format.md`.

pub mod checkpoint;
pub mod cost;
pub mod domain_file;
#[cfg(test)]
mod drawn_tests;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
pub mod files;
pub mod hash;
pub mod header;
pub mod job;
pub mod journal;
pub mod kernel;
pub mod layout;
pub mod lock;
#[cfg(test)]
mod power_cut_tests;
pub mod progress;
#[cfg(test)]
mod read_fault_tests;
pub mod record_file;
pub mod result;
pub mod spool;

pub use spool::{Removed, Resumed, Spool, SpoolError};
