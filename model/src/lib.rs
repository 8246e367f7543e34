//! The words of dc: ids, subtasks, topology, decisions, wire messages, domain readers.
//! Bytes in, values out: there is no I/O here, and nothing that knows a process or a file.

pub mod bind;
pub mod cluster;
pub mod codec;
pub mod cost;
pub mod cpuset;
pub mod distribution;
pub mod domain;
pub mod exit;
pub mod hostlist;
pub mod ids;
pub mod limits;
pub mod mpi;
pub mod npy;
pub mod outcome;
pub mod pattern;
pub mod record;
pub mod restart_on;
pub mod size;
pub mod subtask;
pub mod timespec;
pub mod topology;
pub mod wire;

pub use bind::{Bind, Binding};
pub use cost::CostSums;
pub use cpuset::CpuSet;
pub use distribution::Distribution;
pub use domain::{Domain, DomainError};
pub use ids::{Attempt, JobUuid, Rank, Restart, Step, SubtaskId, Tick};
pub use limits::{Limit, Limits};
pub use mpi::MpiFamily;
pub use outcome::{LaunchStage, Outcome, ResultMeta};
pub use record::{GiveUp, Record, StopReason};
pub use restart_on::{Cause, RestartOn};
pub use subtask::{Block, Subtask};
pub use timespec::{TimeSpec, TimeSpecError};
pub use topology::{Core, NumaDomain, Topology};
