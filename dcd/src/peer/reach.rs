//! The other nodes of the cluster, as dcsched tells of them, and how this one dials them.

use super::client::NodeAt;
use dc_link::{Endpoint, Fingerprint, PeersFile};
use dc_model::cluster::data::NodeAddress;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by all who dial.
#[derive(Clone, Debug)]
pub(crate) struct Reach(Arc<Inner>);

struct Inner {
    name: String,
    tls: Option<Tls>,
    nodes: Mutex<Vec<NodeAddress>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reach").field("name", &self.name).finish_non_exhaustive()
    }
}

struct Tls {
    endpoint: Endpoint,
    peers: PathBuf,
}

impl Reach {
    /// For the node of this name; without a key only sockets of this host are dialled.
    pub fn new(name: &str, tls: Option<(Endpoint, PathBuf)>) -> Self {
        let tls = tls.map(|(endpoint, peers)| Tls { endpoint, peers });
        Self(Arc::new(Inner { name: name.to_owned(), tls, nodes: Mutex::default() }))
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<NodeAddress>> {
        // Replaced whole.
        self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of which dcsched tells.
    pub fn set(&self, mut nodes: Vec<NodeAddress>) {
        nodes.retain(|node| !node.address.is_empty());
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        *self.nodes() = nodes;
    }

    /// All others, from the one on that follows this one by name, in a ring.
    pub fn ring(&self) -> Vec<NodeAddress> {
        let (before, after): (Vec<_>, Vec<_>) = self
            .nodes()
            .iter()
            .filter(|node| node.name != self.0.name)
            .cloned()
            .partition(|node| node.name < self.0.name);
        after.into_iter().chain(before).collect()
    }

    /// How one is dialled; `None`: it is not known, or its key is none.
    pub fn at(&self, node: &NodeAddress) -> Option<NodeAt> {
        if node.address.starts_with('/') {
            return Some(NodeAt::Local(node.address.clone().into(), Vec::new()));
        }
        let tls = self.0.tls.as_ref()?;
        let key = match node.fingerprint.as_str() {
            "" => None,
            text => Some(Fingerprint::parse(text).ok()?),
        };
        let to = node.address.to_socket_addrs().ok()?.next()?;
        let peers = PeersFile::open(&tls.peers).ok()?.peers();
        Some(NodeAt::Tls { to, endpoint: tls.endpoint.clone(), peers, key })
    }
}
