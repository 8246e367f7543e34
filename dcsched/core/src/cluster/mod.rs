//! The state machine of a cluster: which job gets which cores of which node, and what follows when nodes come, fall
//! silent and are lost. Inside a job [`crate::job::Job`] decides. `(now, event)` in, actions out; nothing but dispatch
//! stands here.

mod event;

pub use event::{Action, Event, Registration, Request, Submission};

/// A job's number: for people, and in the journal. Never used again.
pub type JobId = u64;

/// A node's number: in the journal, and in a job's decisions. Never used again; 0 is no node's.
pub type NodeId = u32;
