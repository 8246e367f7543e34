//! The pure core of dc: what work costs, how it is split, where it is placed, and the state machine of a job.
//! No I/O, no clock, no randomness, no threads, no hash order; costs are integers, searches are bounded by steps.

pub mod cluster;
pub mod cost;
pub mod job;
pub mod learn;
pub mod partition;
pub mod place;
pub mod seats;
