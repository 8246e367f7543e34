//! Leases: until when a node may run what it was given, without being heard.
//!
//! A node counts its lease from the sending of the heartbeat that is answered, by its own clock; the scheduler
//! from its answer, which is later. So a node has killed all it ran before the scheduler gives that to others, as
//! long as its clock is not slower than the drift that is allowed for.

use super::{Action, Cluster, Config, NodeId};
use dc_model::Tick;
use dc_model::cluster::ClusterRecord;
use std::collections::{BTreeMap, BTreeSet};

/// When the work of each node is given to others, if it is not heard before.
#[derive(Clone, Default, Debug)]
pub(super) struct Leases {
    order: BTreeSet<(Tick, NodeId)>,
    of: BTreeMap<NodeId, Tick>,
}

impl Leases {
    pub fn due(&self) -> Option<Tick> {
        self.order.first().map(|(due, _)| *due)
    }

    /// The node whose lease has surely ended.
    pub fn take_due(&mut self, now: Tick) -> Option<NodeId> {
        let (due, node) = self.order.first().copied().filter(|(due, _)| *due <= now)?;
        self.order.remove(&(due, node));
        self.of.remove(&node);
        Some(node)
    }

    /// A lease of this length was granted now. A longer one that was granted before holds until its own end: the node
    /// obeys that.
    pub fn grant(&mut self, now: Tick, node: NodeId, lease_ns: u64, config: &Config) {
        let drift = u128::from(lease_ns) * u128::from(config.drift_permille) / 1000;
        let wait = lease_ns.saturating_add(drift as u64).saturating_add(config.margin_ns);
        let due = now.saturating_add(wait).max(self.of(node).unwrap_or(0));
        self.end(node);
        self.order.insert((due, node));
        self.of.insert(node, due);
    }

    pub fn end(&mut self, node: NodeId) {
        if let Some(due) = self.of.remove(&node) {
            self.order.remove(&(due, node));
        }
    }

    /// When it surely has ended.
    pub fn of(&self, node: NodeId) -> Option<Tick> {
        self.of.get(&node).copied()
    }
}

impl Cluster {
    /// A heartbeat: the lease is granted anew. Not to one whose work was given to others already.
    pub(super) fn on_heard(&mut self, now: Tick, id: NodeId, number: u64, out: &mut Vec<Action>) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(link) = node.link.as_mut() else { return };
        link.heartbeats += 1;
        link.heard = now;
        // A shorter one of a changed configuration holds for nodes that register from then on.
        let lease_ns = node.lease_ns.max(self.config.lease_ns);
        self.leases.grant(now, id, lease_ns, &self.config);
        out.push(Action::Lease { node: id, number });
    }

    /// Its connection is lost: nothing new goes there. What runs there goes on until the lease ends.
    pub(super) fn on_gone(&mut self, now: Tick, id: NodeId, out: &mut Vec<Action>) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.link = None;
            node.outstanding.clear();
            self.tell_withdrawn(now, id, out);
        }
    }

    /// Nothing runs there any more: it is for others.
    pub(super) fn on_lease_ended(&mut self, now: Tick, id: NodeId, out: &mut Vec<Action>) {
        if self.durable.nodes.get(&id).is_some_and(|seen| seen.up) {
            self.commit(ClusterRecord::NodeLost { node: id }, out);
        }
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.link.take().is_some() {
            out.push(Action::Disconnect { node: id });
        }
        node.outstanding.clear();
        node.lease_ns = 0;
        let jobs: Vec<_> = node.jobs.union(&node.opened).copied().collect();
        for job in jobs {
            self.lose_parts(now, job, id, dc_model::GiveUp::NodeLost, out);
        }
        self.note_room(id);
        self.account_for(now, id, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_lease_ends_no_longer_one_that_was_granted() {
        let config = Config::default();
        let mut leases = Leases::default();
        leases.grant(0, 7, 60_000_000_000, &config);
        let long = leases.of(7).unwrap();
        assert!(long >= 60_000_000_000 + config.margin_ns);
        leases.grant(1_000_000_000, 7, 3_000_000_000, &config);
        assert_eq!(leases.of(7), Some(long));
        leases.grant(long, 7, 3_000_000_000, &config);
        assert!(leases.of(7).unwrap() > long && leases.due() == leases.of(7));
    }
}
