//! One node in virtual time: the real core, a model of the disk, the starter and its ranks, and everything that may
//! die. One seed is one run, to the last event. Checkers watch from outside (`check`).

mod any_job;
mod check;
pub mod cluster;
mod disk;
mod faults;
mod queue;
mod random;
mod run;
mod tries;
mod world;

pub use check::Violation;
pub use faults::{Faults, Plant};
pub use run::{Report, run};
