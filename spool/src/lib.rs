//! The spool: the only code that knows how dc's durable files are written, read and named.
//! What is in them is drawn byte by byte in `docs/spool-format.md`.

pub mod checkpoint;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
pub mod files;
pub mod header;
pub mod journal;
pub mod kernel;
pub mod layout;
pub mod progress;
pub mod record_file;
pub mod result;
