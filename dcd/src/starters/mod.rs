//! dcd's side of the starters of its node: processes of their own, which it starts, finds again after its own restart,
//! and talks to. Nothing here waits, and nothing has a thread: one event loop asks each connection for what it wants.
//!
//! A job's directory on this node (mode 0700) is the starter's too. In it are [`SOCKET`], where it is talked to, and
//! [`LOCK`], which it holds locked as long as it lives.
//!
//! - [`start`] makes one that outlives this process; [`find`] finds those that are there; [`life`] tells the living from the dead.
//! - [`Control`]: commands and reports. On each connection the starter tells its state, then repeats what was not acknowledged;
//!   what the owner has been told before ([`Told`]) is left out.
//! - [`OutputReader`]: output frames with their offsets; what is not acknowledged is sent again on the next connection.
//! - [`bury`] kills what a dead starter may have left.
//!
//! Both connections are used alike: poll [`Control::as_fd`] for `want_read` and `want_write`, call `on_readable` or
//! `on_writable`, then take `next_event` until it has none. Its error is the end of that connection, and of nothing else.

mod bury;
mod connect;
mod control;
pub mod errand;
mod find;
mod lock;
mod output;
mod site;
mod start;

pub use bury::bury;
pub use connect::{ConnectError, Lost};
pub use control::{Control, Event, Told};
pub use find::{Found, Life, find, find_with, life};
pub use lock::{HeldElsewhere, Lock};
pub use output::{OutputEvent, OutputReader};
pub use site::Site;
pub use start::{StartError, Starting, start, start_with};

/// The name of a starter's socket in its job's directory.
pub const SOCKET: &str = "starter.sock";
/// The name of the file that it holds locked.
pub const LOCK: &str = "starter.lock";
/// The word that sends the starter's program on an [`errand`].
pub const SWEEP_WORD: &str = "sweep";
/// The word that makes the starter's program serve a directory.
pub const SERVE_WORD: &str = "serve";
/// The word before how long it lives without a lease, in ms.
pub const FIRST_LEASE_WORD: &str = "--first-lease-ms";
/// The word that makes it tell ranks their CPUs and not bind them: they are not this machine's.
pub const RECORD_BINDINGS_WORD: &str = "--record-bindings";
