//! dc.toml: where it is looked for, what may be in it, and what it means. Every key stands once, in [`keys`], with its
//! kind, range and default; unknown keys, wrong types, values out of range and names given twice are errors that name
//! line and column, all of them at once. The page is dc.toml(5).
//!
//! There is no I/O here but looking for the one file and reading it, and no decision of a daemon.
//!
//! - [`find`], [`load`]: the file of this process. [`Config::parse`]: a text.
//! - [`Config`]: what it says, defaults filled in. [`Config::node`]: one node's part of it.
//! - [`diff`]: what a reload may change in a running daemon, and what waits for its restart.

mod choices;
mod config;
mod diff;
mod error;
mod find;
mod key;
pub mod keys;
mod kinds;
mod near;
mod node;
mod pattern;
mod place;
mod reader;
mod show;
mod surroundings;

pub use choices::{Keep, Kill, Partner, Relay, Topology, Users};
pub use config::{Checkpoints, Client, Cluster, Config, Entry, Scheduler, Streams};
pub use diff::{Diff, diff};
pub use error::{ConfigError, Mistake};
pub use find::{CONFIG_VARIABLE, FILE_BYTES_MAX, SYSTEM_FILE, find, load, read};
pub use key::{AnyKey, Key};
pub use node::{NODES_MAX, Node};
pub use place::{BadPlace, HostPort, Place, SCHEDULER_VARIABLE};
pub use surroundings::Surroundings;

#[cfg(test)]
mod tests;
