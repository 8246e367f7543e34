//! The spool: the only code that knows how dc's durable files are written, read and named.
//! What is in them is drawn byte by byte in `docs/spool-format.md`.

#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
pub mod files;
pub mod header;
