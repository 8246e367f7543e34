//! What the processes of a cluster say to each other: dcd and dcsched ([`node`]), commands and dcsched ([`client`]).
//! Data between nodes and commands never passes through dcsched; its messages are dcd's own ([`peer`]).
//!
//! A message is a kind (u8) and a body, little-endian, in a frame of dc-link's. Which side may send which kind, and how
//! long its body may be, is in the tables [`node::FROM_NODE`], [`node::TO_NODE`], [`client::FROM_CLIENT`],
//! [`client::TO_CLIENT`], [`peer::FROM_PEER`] and [`peer::TO_PEER`]. Both sides say [`VERSION`] in dc-link's greeting; another one is refused there.

pub mod client;
pub mod data;
pub mod files;
mod lists;
pub mod node;
pub mod peer;
mod record;
pub mod relay;
mod rows;
mod wants;

pub use client::{FromClient, ToClient};
pub use data::{FromData, ToData};
pub use node::{FromNode, ToNode};
pub use peer::{FromPeer, ToPeer};
pub use record::ClusterRecord;
pub use relay::{FromRelayed, ToRelayed};
pub use rows::{JobRow, NodeRow, NodeState, SubtaskRow};
pub use wants::{NodeWants, Wants};

/// The version of all these messages.
pub const VERSION: u16 = 1;

/// A kind of message: its number, its name, and the longest body it may have, in bytes.
pub type Kind = (u8, &'static str, usize);

/// The longest submission, in bytes: a job record with its subtasks.
pub const SUBMIT_BYTES_MAX: usize = 15 << 20;

/// The longest name of a node, in bytes.
pub const NODE_NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod data_tests;
#[cfg(test)]
mod tests;
