//! What the end-to-end tests share: the built commands, a directory for each test, processes that end in time and
//! are looked at while they run. Nothing here knows how dc works inside; it sees what a user sees, and /proc.

pub mod cluster;
pub mod commands;
pub mod events;
pub mod fake_scheduler;
pub mod fixtures;
pub mod hosts;
pub mod ledger;
pub mod memory_group;
pub mod npy;
pub mod process;
pub mod random;
pub mod run;
pub mod scratch;
pub mod shown;
pub mod strace;
pub mod stream;
pub mod terminal;
pub mod wait;

pub use cluster::{Cluster, Job, Plan};
pub use commands::{built, root};
pub use events::{Events, only};
pub use fixtures::{fixture, linked_fixture, mpi_fixture};
pub use ledger::Ledger;
pub use memory_group::MemoryGroup;
pub use run::{Ask, Finished, Running};
pub use scratch::Scratch;
pub use terminal::Terminal;
pub use wait::{DEADLINE, until};
