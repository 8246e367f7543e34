//! Results: what an attempt hands over, one file an attempt, in `result/`. Drawn byte by byte in
//! docs/spool-format.md.

mod dtype;

pub use dtype::{Dtype, Layout};
