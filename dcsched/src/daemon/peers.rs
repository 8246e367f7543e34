//! Nodes are told of each other: who is there, and where each is reached, so that data passes between them and not through
//! here. A moment after a change, so that a thousand nodes that come at once are told once.

use super::{Daemon, clock};
use dc_model::cluster::ToNode;
use dc_model::cluster::data::NodeAddress;

/// How long after a change, in ns.
const SOON_NS: u64 = 200_000_000;

impl Daemon {
    /// A node has come or gone.
    pub(super) fn on_nodes_changed(&mut self) {
        self.peers_due.get_or_insert(clock::now().saturating_add(SOON_NS));
    }

    /// Tells all nodes who is there, when it is time to.
    pub(super) fn maybe_tell_peers(&mut self) {
        if self.peers_due.is_none_or(|due| due > clock::now()) {
            return;
        }
        self.peers_due = None;
        let all: Vec<_> = self.by_node.keys().copied().collect();
        let mut nodes: Vec<NodeAddress> = all
            .iter()
            .filter_map(|node| {
                let facts = self.facts.get(node)?;
                let (address, fingerprint) = (facts.address.clone(), facts.fingerprint.clone());
                Some(NodeAddress { name: self.node_name(*node), address, fingerprint })
            })
            .collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let message = ToNode::Peers { nodes };
        all.into_iter().for_each(|node| self.send_node(node, &message));
    }
}
