//! From a job record to what the core and the starters are told of it: the same on one machine, where dcrun tells them,
//! and in a cluster, where the scheduler does. Values in, values out: no file, no clock, no process is looked at.

mod hello;
mod launch;
mod manner;
mod spec;

pub use hello::{hello, leaves_openmp, wants_user};
pub use launch::{gang, launch};
pub use manner::{GangLauncher, Manner};
pub use spec::spec;

/// The variables by which OpenMP is told of its CPUs: where the user sets one of them, dc sets none.
pub const OPENMP: [&str; 3] = ["OMP_NUM_THREADS", "OMP_PLACES", "OMP_PROC_BIND"];

#[cfg(test)]
mod sample;
