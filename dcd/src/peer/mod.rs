//! Data between a node and those who fetch or bring it, past dcsched: the port of a node's dcd, and the other side of it
//! for commands ([`client`]). Each connection has a thread of its own on the node: a slow one holds up nobody, neither
//! the daemon's loop nor another connection.
//!
//! - `port`: the listening, and who may come in. `serve`: one connection, from what it asks for on.
//! - `stream`: a job's output and standard input.
//! - [`relay`]: the way to a node that a command cannot connect to.
//! - `data`: what is no stream, over a `line`: `results` that [`fetch`] fetches.

pub mod broadcast;
pub mod client;
pub(crate) mod copies;
mod data;
mod dial;
pub mod fetch;
mod line;
mod port;
pub(crate) mod reach;
pub mod relay;
mod results;
mod serve;
mod stream;

pub use port::{Listen, Port, PortError};
pub use serve::Serving;
pub(crate) use stream::ToStream;

use crate::daemon::clock;
use dc_link::{BadRule, Parties, Party, Rule, Rules, Settings};
use dc_model::cluster::Kind;
use std::sync::Arc;

/// What may wait to be sent on one connection, in bytes: what makes its memory bounded.
const OUTBOX_BYTES_MAX: usize = 1 << 20;
/// A connection on which nothing comes for so long is over, in ns.
const IDLE_NS: u64 = 60_000_000_000;
/// Who has nothing to say says so after this, in ns.
const ALIVE_NS: u64 = IDLE_NS / 3;

/// The link's settings for one end.
fn settings(from: Parties, kinds: &[Kind]) -> Result<Settings, BadRule> {
    let rules: Vec<Rule> =
        kinds.iter().map(|(kind, _, bytes)| Rule { kind: *kind, from, body_bytes_max: *bytes }).collect();
    let mut settings = Settings::new(dc_model::cluster::VERSION, Arc::new(Rules::new(&rules)?));
    settings.outbox_bytes_max = OUTBOX_BYTES_MAX;
    settings.idle_ns = IDLE_NS;
    Ok(settings)
}

/// Who dials a node.
const DIALLERS: Parties = Parties::of(&[Party::Client, Party::Submit, Party::Node, Party::Local]);
/// Who is dialled.
const DIALLED: Parties = Parties::of(&[Party::Node, Party::Local]);
