//! Nodes with room, in the order in which they are offered: kept as cores change, so that nobody sorts a thousand nodes to
//! give one core.

use super::{Cluster, JobId, NodeId};
use crate::job::Appetite;
use dc_model::cluster::NodeWants;
use std::cmp::Reverse;

/// Free cores, speed, number: those with the most free cores first, then the fastest.
pub(super) type Room = (Reverse<u32>, Reverse<u32>, NodeId);

/// How many nodes a job is offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Offer {
    /// As many as it needs for what it can use.
    Enough,
    /// All that it may have: it chooses.
    All,
    /// The one with the least room that is large enough.
    Tightest,
}

impl Cluster {
    /// The room of a node may have changed.
    pub(super) fn note_room(&mut self, id: NodeId) {
        let is_usable = self.is_usable(id);
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let free = node.cores.free();
        let room = (is_usable && free > 0).then(|| (Reverse(free), Reverse(node.speed()), id));
        // Where just the measured speed is another, its place is changed with the next core.
        if node.room.map(|(free, ..)| free) == room.map(|(free, ..)| free) {
            return;
        }
        if let Some(old) = std::mem::replace(&mut node.room, room) {
            self.rooms.remove(&old);
        }
        self.rooms.extend(room);
    }

    /// Nodes that a job could have cores of now, in the order of [`Room`]. `looks`: nodes that may still be looked at.
    pub(super) fn offered(
        &self,
        id: JobId,
        wants: &NodeWants,
        appetite: Appetite,
        offer: Offer,
        looks: &mut u32,
    ) -> Vec<NodeId> {
        let piece = appetite.piece.max(1);
        let mut fits = |node: NodeId| {
            *looks = looks.saturating_sub(1);
            self.may_use(id, wants, node) && self.room(id, wants, node, appetite) > 0
        };
        if offer == Offer::Tightest {
            return self.tightest(piece, fits);
        }
        let named = self.named(wants);
        let all = self.rooms.iter().filter(|_| named.is_none());
        let mut nodes = Vec::new();
        let mut cores: u64 = 0;
        for &(Reverse(free), _, node) in named.iter().flatten().chain(all) {
            if free < piece || (offer == Offer::Enough && cores >= appetite.cores) {
                break;
            }
            if fits(node) {
                cores += u64::from(self.room(id, wants, node, appetite));
                nodes.push(node);
            }
        }
        nodes
    }

    /// Those of the nodes that are asked for by name that have room; none where none is named.
    fn named(&self, wants: &NodeWants) -> Option<Vec<Room>> {
        if wants.only.is_empty() {
            return None;
        }
        let ids = wants.only.iter().filter_map(|name| self.durable.by_name.get(name));
        let mut rooms: Vec<_> = ids.filter_map(|id| self.nodes.get(id)?.room).collect();
        rooms.sort_unstable();
        rooms.dedup();
        Some(rooms)
    }

    fn tightest(&self, piece: u32, mut fits: impl FnMut(NodeId) -> bool) -> Vec<NodeId> {
        let large = self.rooms.iter().rev().filter(|(Reverse(free), ..)| *free >= piece);
        let Some(least) = large.copied().find(|(_, _, node)| fits(*node)).map(|(free, ..)| free) else {
            return Vec::new();
        };
        // Of as tight ones the fastest, and of those the first.
        let as_tight = (least, Reverse(u32::MAX), 0)..=(least, Reverse(0), NodeId::MAX);
        self.rooms.range(as_tight).map(|(.., node)| *node).find(|node| fits(*node)).into_iter().collect()
    }
}
