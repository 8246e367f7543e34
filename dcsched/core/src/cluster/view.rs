//! What the shell may look at: jobs and nodes as they are.

use super::durable::{Kept, Seen};
use super::job::LiveJob;
use super::node::LiveNode;
use super::{Cluster, JobId, NodeId};
use crate::job::Job;
use dc_model::cluster::node::Incarnation;
use dc_model::cluster::{NodeState, Wants};
use dc_model::{JobUuid, Tick};
use std::sync::Arc;

/// A job.
#[derive(Clone, Copy, Debug)]
pub struct JobView<'a> {
    /// Its number.
    pub id: JobId,
    kept: &'a Kept,
    live: &'a LiveJob,
}

impl<'a> JobView<'a> {
    /// Its name in every file.
    #[must_use]
    pub fn uuid(&self) -> JobUuid {
        self.kept.uuid
    }

    /// Its owner.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.kept.uid
    }

    /// What it asks of the cluster.
    #[must_use]
    pub fn wants(&self) -> &'a Wants {
        &self.kept.wants
    }

    /// Its job record, as spool has it.
    #[must_use]
    pub fn record(&self) -> &'a Arc<[u8]> {
        &self.kept.record
    }

    /// What decides within it, once it has begun.
    #[must_use]
    pub fn job(&self) -> Option<&'a Job> {
        self.live.job.as_deref()
    }

    /// Its last decision; 0 before its first.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.live.job.as_ref().map_or(0, |job| job.durable().seq)
    }

    /// Its status, once it has ended.
    #[must_use]
    pub fn status(&self) -> Option<u8> {
        self.live.status
    }

    /// When its first subtask was launched, as long as this scheduler runs.
    #[must_use]
    pub fn first_launch(&self) -> Option<Tick> {
        self.live.first_launch
    }

    /// When it ended, as long as this scheduler runs.
    #[must_use]
    pub fn ended(&self) -> Option<Tick> {
        self.live.ended
    }

    /// Cores it has, and the number of nodes that they are of.
    #[must_use]
    pub fn cores_and_nodes(&self) -> (u32, u32) {
        (self.live.cores(), self.live.nodes().len() as u32)
    }

    /// The node of one of its parts.
    #[must_use]
    pub fn node_of_part(&self, part: u32) -> Option<NodeId> {
        self.live.parts.get(&part).map(|part| part.node)
    }

    /// Commands that follow it.
    #[must_use]
    pub fn followers(&self) -> u32 {
        self.live.followers
    }

    /// Whether it waits for a follower to merge its results.
    #[must_use]
    pub fn waits_for_merge(&self) -> bool {
        self.live.merge_asked && self.live.ended.is_none()
    }
}

/// A node.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'a> {
    /// Its number.
    pub id: NodeId,
    /// Its state.
    pub state: NodeState,
    seen: &'a Seen,
    live: Option<&'a LiveNode>,
}

impl<'a> NodeView<'a> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.seen.name
    }

    /// Why nothing new goes there, where an operator has said so.
    #[must_use]
    pub fn drained(&self) -> Option<&'a str> {
        self.seen.drained.as_deref()
    }

    /// Whether it is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.live.is_some_and(|node| node.link.is_some())
    }

    /// The run of its dcd that registered last.
    #[must_use]
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.live.map(|node| node.incarnation).filter(|incarnation| incarnation.start > 0)
    }

    /// Its cores, and those that jobs have.
    #[must_use]
    pub fn cores(&self) -> (u32, u32) {
        self.live.map_or((0, 0), |node| (node.cores.all(), node.cores.all() - node.cores.free()))
    }

    /// Its memory, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.live.map_or(0, |node| node.cores.memory_bytes())
    }

    /// Subtasks done there, as long as this scheduler runs.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.live.map_or(0, |node| node.done)
    }

    /// Heartbeats of its connection, and when the last one came.
    #[must_use]
    pub fn heartbeats(&self) -> (u64, Option<Tick>) {
        let link = self.live.and_then(|node| node.link.as_ref());
        link.map_or((0, None), |link| (link.heartbeats, Some(link.heard)))
    }

    /// Its speed, in thousandths of a usual node's.
    #[must_use]
    pub fn speed_permille(&self) -> u32 {
        self.live.map_or(0, LiveNode::speed)
    }

    /// Jobs that have cores there.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobId> {
        self.live.map_or_else(Vec::new, |node| node.jobs.iter().copied().collect())
    }
}

impl Cluster {
    /// A job.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<JobView<'_>> {
        Some(JobView { id, kept: self.durable.jobs.get(&id)?, live: self.jobs.get(&id)? })
    }

    /// The job that files call so.
    #[must_use]
    pub fn job_by_uuid(&self, uuid: JobUuid) -> Option<JobId> {
        self.durable.by_uuid.get(&uuid).copied()
    }

    /// All jobs that are known, by number.
    pub fn jobs(&self) -> impl Iterator<Item = JobId> + '_ {
        self.jobs.keys().copied()
    }

    /// How many of them have not ended.
    #[must_use]
    pub fn jobs_unended(&self) -> usize {
        self.jobs.len() - self.ended.len()
    }

    /// A node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<NodeView<'_>> {
        let seen = self.durable.nodes.get(&id)?;
        Some(NodeView { id, state: self.node_state(id), seen, live: self.nodes.get(&id) })
    }

    /// All nodes that were ever seen, by number.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> + '_ {
        self.durable.nodes.keys().filter_map(|id| self.node(*id))
    }

    /// The node of this name.
    #[must_use]
    pub fn node_by_name(&self, name: &str) -> Option<NodeId> {
        self.durable.by_name.get(name).copied()
    }

    /// When a node's work is given to others, if it is not heard before.
    #[must_use]
    pub fn lease_due(&self, id: NodeId) -> Option<Tick> {
        self.leases.of(id)
    }

    /// The number of the last record.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }
}
