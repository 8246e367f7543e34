//! A whole cluster in virtual time: the real core, a model of the scheduler's disk, nodes with their daemons, starters and
//! ranks, clocks that drift, links that break and stall one way or both, and everything that may die. One seed is one run.
//! Checkers watch from outside ([`check`]).

mod check;
mod faults;
mod link;
mod node;
mod run;
mod scheduler;

pub use check::Violation;
pub use faults::{Faults, Plant};
pub use run::{Report, run};
