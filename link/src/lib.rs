//! How the processes of dc talk to each other, and who is who. No decision of a scheduler, no message of a job: those
//! who use it bring their own frames.
//!
//! - [`KeyPair`], [`Fingerprint`], [`PeersFile`]: each process has a key; the cluster's peers file says whose is whose.
//! - [`Endpoint`], [`Admission`]: TLS 1.3 both ways with these keys, and nothing else that could be believed.
//! - [`Token`], [`TokensFile`]: how a key comes into the peers file without anybody typing it.
//! - [`found`], [`OneUser`]: the files of all of these, made together.
//! - [`LocalListener`], [`dial_local`]: on one host a Unix socket, and what the kernel says of the other end.
//! - [`Session`]: frames over either, as a state machine for one event loop. [`Conn`]: one with its socket.
//! - [`Gate`], [`Acceptor`]: how many may come, and from where.
//!
//! What is protected against what, and every file's form, is in `docs/cluster-security.md`.
//!
//! A loop asks each [`Conn`] for `want_read`, `want_write` and `deadline_ns`, polls, calls `on_readable`, `on_writable`
//! or `on_tick`, and takes `next_event` until there is none. On an error it drops the connection.

mod base32;
mod conn;
mod digest;
mod enrol;
mod fingerprint;
mod frames;
mod gate;
mod guarded;
mod instant;
mod join;
mod keys;
mod local;
mod names;
mod peers;
mod session;
mod text;
mod tls;

pub use conn::{AcceptError, Acceptor, Conn, Socket, connect_tcp};
pub use digest::Sha256;
pub use enrol::{EnrolError, OneUser, found, key_or_make, make_dirs, peers_or_make, trust_once};
pub use fingerprint::{BadFingerprint, Fingerprint};
pub use frames::{
    BadRule, FRAME_BYTES_MAX, FrameError, FrameReader, HEAD_BYTES, Head, OWN_KINDS_FROM, Parties, Party,
    Rule, Rules, put_frame,
};
pub use gate::{Caps, Gate, Place, TurnedAway};
pub use guarded::GuardError;
pub use instant::UnixSeconds;
pub use join::{
    BadToken, JoinError, JoinRefused, JoinRequest, Joined, Token, TokenId, TokenRecord, TokenState,
    TokensError, TokensFile,
};
pub use keys::{KeyError, KeyPair};
pub use local::{Credentials, LocalError, LocalListener, LocalPolicy, PATH_BYTES_MAX, dial_local};
pub use names::{BadName, ClusterId, NAME_BYTES_MAX, Name, NoRandom, Role};
pub use peers::{PEERS_BYTES_MAX, Peer, Peers, PeersError, PeersFile, Refused};
pub use session::{Event, Identity, LinkError, SendError, Session, Settings};
pub use text::TextError;
pub use tls::{Admission, Endpoint};
