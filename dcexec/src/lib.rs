//! The only privileged program of dc. Daemons run as the user `dc`; what they cannot do with a job of another user is
//! asked of `dc-exec`: start its starter, kill it, open a file of its, connect to it, remove its directory.
//!
//! It believes nobody: who asks is what the kernel says, what is allowed stands in a file of root's, who the user is
//! says the system's own list of accounts, and all that is the user's is done as the user. Forms, checks and what is
//! not protected are in `docs/dc-exec.md`.

mod account;
mod ask;
mod calls;
mod clear;
mod client;
mod config;
mod directory;
mod group;
mod hand;
mod kill;
mod remove;
mod reply;
mod request;
mod stage;
mod start;
mod trusted;
mod user;

pub mod program;

pub use ask::{Asked, Told};
pub use client::ReplyError;
pub use config::{CONFIG_BYTES_MAX, CONFIG_PATH, Config, ConfigError, Limit, Who};
pub use reply::{REPLY_BYTES, Reply, Said};
pub use request::{NAME_BYTES_MAX, REQUEST_BYTES, Request, RequestError, Verb};
pub use stage::{Refused, Stage};
