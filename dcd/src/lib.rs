//! The node's part of dc: what cores there are, how a rank is launched, and the starter that watches over ranks.
//! It does what it is told; what to run where is decided elsewhere.

pub mod abilities;
pub mod cgroup;
pub mod claims;
pub mod daemon;
pub mod doctor;
pub mod draw;
pub mod label;
pub mod launch;
pub mod limits;
pub mod memory_limit;
pub mod peer;
pub mod privileged;
pub mod process;
pub mod shim;
pub mod spawn;
pub mod starter;
pub mod starters;
pub mod sweep;
pub mod topology;
