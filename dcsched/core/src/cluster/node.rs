//! A node as it is now: connected or not, its cores, and who has them.

use super::cores::Cores;
use super::room::Room;
use super::{Action, Cluster, JobId, NodeId, Registration};
use dc_model::cluster::NodeState;
use dc_model::cluster::node::Incarnation;
use dc_model::{SubtaskId, Tick};
use std::collections::{BTreeMap, BTreeSet};

/// Its connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// It has told all it has.
    pub settled: bool,
    pub heartbeats: u64,
    /// When it was heard last.
    pub heard: Tick,
    /// What it said it has, while it registers.
    pub held: BTreeMap<JobId, BTreeSet<SubtaskId>>,
}

/// Reports that a job's starter there still owes.
#[derive(Clone, Debug)]
pub(super) struct Outstanding {
    /// Of these subtasks.
    pub of: BTreeSet<SubtaskId>,
}

/// A node that has registered since this scheduler runs, or that may still run something.
#[derive(Clone, Debug)]
pub(super) struct LiveNode {
    pub link: Option<Link>,
    pub incarnation: Incarnation,
    /// The record that says that it is up: nothing is launched there before that is on disk, so that a scheduler that
    /// restarts knows where something may run.
    pub up_seq: u64,
    /// The lease it was told of, in ns, until that has ended.
    pub lease_ns: u64,
    /// Its jobs were told that nothing new starts here.
    pub is_withdrawn: bool,
    /// Nothing before its first registration.
    pub cores: Cores,
    /// Its place among the nodes with room.
    pub room: Option<Room>,
    pub speed_permille: u32,
    /// Jobs that have cores here.
    pub jobs: BTreeSet<JobId>,
    /// Jobs that have a starter here, or that it was asked for.
    pub opened: BTreeSet<JobId>,
    pub outstanding: BTreeMap<JobId, Outstanding>,
    /// Subtasks done here.
    pub done: u64,
    /// What its attempts took, and what they would have taken on a usual node, in ns: its speed.
    pub measured: (u128, u128),
}

impl LiveNode {
    pub fn unheard() -> Self {
        Self {
            link: None,
            incarnation: Incarnation::default(),
            up_seq: 0,
            lease_ns: 0,
            is_withdrawn: true,
            cores: Cores::default(),
            room: None,
            speed_permille: 1000,
            jobs: BTreeSet::new(),
            opened: BTreeSet::new(),
            outstanding: BTreeMap::new(),
            done: 0,
            measured: (0, 0),
        }
    }

    pub fn is_settled(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.settled)
    }

    /// Its speed, in thousandths of a usual node's: measured, where enough was.
    pub fn speed(&self) -> u32 {
        const ENOUGH_NS: u128 = 1_000_000_000;
        let (took, usual) = self.measured;
        if took < ENOUGH_NS {
            return self.speed_permille.max(1);
        }
        u32::try_from(usual * 1000 / took).unwrap_or(u32::MAX).clamp(50, 20_000)
    }

    /// An attempt took so long, and would have taken so long on a usual node. Old measurements fade.
    pub fn measure(&mut self, took_ns: u64, usual_ns: u64) {
        const FADES_NS: u128 = 600_000_000_000;
        self.measured.0 += u128::from(took_ns);
        self.measured.1 += u128::from(usual_ns);
        if self.measured.0 > FADES_NS {
            self.measured = (self.measured.0 / 2, self.measured.1 / 2);
        }
    }

    pub fn register(&mut self, now: Tick, registration: &Registration, lease_ns: u64) {
        self.incarnation = registration.incarnation;
        self.cores.set_topology(&registration.topology, registration.memory_max_bytes);
        if registration.speed_permille > 0 {
            self.speed_permille = registration.speed_permille;
        }
        self.link = Some(Link { settled: false, heartbeats: 0, heard: now, held: BTreeMap::new() });
        self.lease_ns = lease_ns;
        self.outstanding.clear();
    }
}

impl Cluster {
    /// Whether new work may go there.
    pub(super) fn is_usable(&self, id: NodeId) -> bool {
        let is_ready = |node: &LiveNode| node.is_settled() && node.up_seq <= self.durable_seq;
        let is_settled = self.nodes.get(&id).is_some_and(is_ready);
        is_settled && self.durable.nodes.get(&id).is_some_and(|seen| seen.up && seen.drained.is_none())
    }

    /// Records have become durable: a node may be usable by that.
    pub(super) fn note_usable(&mut self, now: Tick, out: &mut Vec<Action>) {
        while let Some((_, node)) =
            self.up_pending.front().copied().filter(|(seq, _)| *seq <= self.durable_seq)
        {
            self.up_pending.pop_front();
            self.tell_withdrawn(now, node, out);
            self.is_dirty = true;
        }
    }

    /// A job has a starter on a node, or has none any more. Whether that is new.
    pub(super) fn set_opened(&mut self, id: JobId, node: NodeId, is_opened: bool) -> bool {
        let (Some(live), Some(node_now)) = (self.jobs.get_mut(&id), self.nodes.get_mut(&node)) else {
            return false;
        };
        if is_opened {
            node_now.opened.insert(id);
            live.opened.insert(node)
        } else {
            node_now.opened.remove(&id);
            live.opened.remove(&node)
        }
    }

    /// The state that people see.
    pub(super) fn node_state(&self, id: NodeId) -> NodeState {
        let Some(seen) = self.durable.nodes.get(&id) else { return NodeState::Lost };
        let live = self.nodes.get(&id);
        if !seen.up {
            NodeState::Lost
        } else if live.is_none_or(|node| node.link.is_none()) {
            NodeState::Suspect
        } else if seen.drained.is_none() {
            NodeState::Up
        } else if live.is_some_and(|node| node.jobs.is_empty()) {
            NodeState::Drained
        } else {
            NodeState::Draining
        }
    }
}
