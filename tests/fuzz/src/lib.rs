//! What every decoder of dc must do with any bytes. A target is one function of bytes that panics when a promise is
//! broken: no panic of the decoder's, what was read is written and read again as the same, no more memory than a
//! stated multiple of the input, no other data than were written.
//!
//! The targets are run by `tests/targets.rs` over the kept corpus and seeded mutations of it, and by libFuzzer
//! (`fuzz/`, `make fuzz`).

mod allocation;
mod mutate;
mod random;
mod run;
mod scratch;
mod seal;
mod targets;

pub use run::{Guard, Summary, corpus_dir, run_for, run_guarded};
pub use targets::{TARGETS, Target, target};
