//! What dcrun says, one file a subject: text out of values, nothing is written here.

pub mod balance;
pub mod failure;
pub mod map;
pub mod plan;
pub mod progress;
pub mod report;
pub mod state;

pub use dcd::draw::{amount, canvas};
