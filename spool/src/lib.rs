//! The one module of file rules, and the formats of all durable files of a job.

pub mod progress;
pub mod result;
