//! Begins a connection to a node's port, for all that is fetched from there or brought there.

use super::client::NodeAt;
use super::relay::Unreachable;
use super::{DIALLED, clock, settings};
use dc_link::{
    Admission, BadRule, Conn, LinkError, LocalError, LocalPolicy, Role, Session, Socket, UnixSeconds,
    connect_tcp, dial_local,
};
use dc_model::cluster::Kind;
use dc_model::cluster::data::TO_DATA;
use dc_model::cluster::peer::TO_PEER;
use std::net::SocketAddr;
use std::sync::Arc;
use thiserror::Error;

/// Why a node is not dialled.
#[derive(Debug, Error)]
pub enum DialError {
    /// The connection.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The socket on this host.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The system's.
    #[error("the node cannot be reached at {to}: {source}")]
    Connect {
        /// Where.
        to: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Neither straight nor by the relay.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// A mistake of the program's.
    #[error("the table of messages contradicts itself: {0}")]
    Rules(#[from] BadRule),
}

/// Begins to connect; nothing waits but for a relay.
pub(super) fn dial(node: &NodeAt) -> Result<Conn, DialError> {
    let kinds: Vec<Kind> = TO_PEER.iter().chain(TO_DATA).copied().collect();
    dial_for(node, &kinds)
}

/// As [`dial`], for these messages of the node.
pub(super) fn dial_for(node: &NodeAt, kinds: &[Kind]) -> Result<Conn, DialError> {
    let settings = settings(DIALLED, kinds)?;
    let now = clock::boottime_ns();
    Ok(match node {
        NodeAt::Relayed { to, by, endpoint, peers, key } => {
            let mut admission = Admission::of(Arc::clone(peers), &[Role::Node]);
            if let Some(key) = key {
                admission = admission.only(*key);
            }
            let socket = by.socket(to)?;
            // The time for proving begins when there is somebody to prove to.
            let now = clock::boottime_ns();
            let session = Session::dial(endpoint, admission, settings, now, UnixSeconds::now())?;
            Conn::new(Socket::Tcp(socket), session)
        }
        NodeAt::Tls { to, endpoint, peers, key } => {
            let mut admission = Admission::of(Arc::clone(peers), &[Role::Node]);
            if let Some(key) = key {
                admission = admission.only(*key);
            }
            let session = Session::dial(endpoint, admission, settings, now, UnixSeconds::now())?;
            let socket = connect_tcp(*to).map_err(|source| DialError::Connect { to: *to, source })?;
            Conn::new(Socket::Tcp(socket), session)
        }
        NodeAt::Local(path, users) => {
            let (socket, who) = dial_local(path, &LocalPolicy::Listed(users.clone()))?;
            Conn::new(Socket::Unix(socket), Session::local(who, settings, now))
        }
    })
}
