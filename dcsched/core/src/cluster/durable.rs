//! What the journal keeps of a cluster beyond its jobs' own decisions, and the only place where a record changes it.

use super::{JobId, NodeId};
use crate::job::{self, JobSpec};
use dc_model::JobUuid;
use dc_model::cluster::{ClusterRecord, Wants};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A record that cannot stand where it does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplayError {
    /// What is wrong with it.
    pub why: &'static str,
}

impl std::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the journal contradicts itself: {}", self.why)
    }
}

impl std::error::Error for ReplayError {}

/// A job as the journal tells it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub uuid: JobUuid,
    pub key: [u8; 16],
    pub uid: u32,
    pub wants: Box<Wants>,
    pub record: Arc<[u8]>,
    /// Its state, until it is taken up; then the live job has it.
    pub replayed: Option<Box<(JobSpec, job::Durable)>>,
}

/// A node as the journal tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    pub name: String,
    pub up: bool,
    /// Nothing new there, and why.
    pub drained: Option<String>,
}

/// All of it.
#[derive(Clone, Default, Debug)]
pub(super) struct Durable {
    pub jobs: BTreeMap<JobId, Kept>,
    pub by_uuid: BTreeMap<JobUuid, JobId>,
    pub by_key: BTreeMap<(u32, [u8; 16]), JobId>,
    pub nodes: BTreeMap<NodeId, Seen>,
    pub by_name: BTreeMap<String, NodeId>,
    /// The last numbers that were given.
    pub last_job: JobId,
    pub last_node: NodeId,
    /// The longest lease that nodes may hold, in ns.
    pub lease_ns: u64,
    /// A job's state is made when its first decision comes.
    pub keeps_bytes: bool,
}

/// Before its first decision.
fn before(spec: JobSpec) -> Box<(JobSpec, job::Durable)> {
    let durable = job::Durable::of(&spec);
    Box::new((spec, durable))
}

impl Durable {
    /// Takes one record in. Decisions within a job are taken in here only as long as the job is not taken up.
    pub fn update(
        &mut self,
        record: &ClusterRecord,
        spec: impl FnOnce(&Wants, &[u8]) -> Option<JobSpec>,
    ) -> Result<(), ReplayError> {
        let refused = |why| Err(ReplayError { why });
        match record {
            ClusterRecord::Submitted { job, uuid, key, uid, wants, record } => {
                if *job <= self.last_job {
                    return refused("a job's number comes twice");
                }
                if self.by_uuid.contains_key(uuid) {
                    return refused("a job's uuid comes twice");
                }
                let replayed = if self.keeps_bytes { None } else { spec(wants, record).map(before) };
                let kept = Kept {
                    uuid: *uuid,
                    key: *key,
                    uid: *uid,
                    wants: wants.clone(),
                    record: Arc::clone(record),
                    replayed,
                };
                self.insert_job(*job, kept);
            }
            ClusterRecord::Job { job, record } => {
                let kept = self.jobs.get_mut(job).ok_or(ReplayError { why: "no job has that number" })?;
                if kept.replayed.is_none() {
                    kept.replayed = spec(&kept.wants, &kept.record).map(before);
                }
                let replayed = kept.replayed.as_deref_mut();
                let (_, durable) =
                    replayed.ok_or(ReplayError { why: "a job's record cannot be understood" })?;
                durable.update(record).map_err(|_| ReplayError { why: "a decision cannot stand there" })?;
            }
            ClusterRecord::Forgotten { job } => {
                let kept = self.jobs.remove(job).ok_or(ReplayError { why: "no job has that number" })?;
                self.by_uuid.remove(&kept.uuid);
                self.by_key.remove(&(kept.uid, kept.key));
            }
            ClusterRecord::NodeSeen { node, name } => {
                if *node <= self.last_node || self.by_name.contains_key(name) {
                    return refused("a node comes twice");
                }
                self.insert_node(*node, Seen { name: name.clone(), up: false, drained: None });
            }
            ClusterRecord::NodeUp { node } => self.node(*node)?.up = true,
            ClusterRecord::NodeLost { node } => self.node(*node)?.up = false,
            ClusterRecord::LeaseTold { lease_ns } => self.lease_ns = *lease_ns,
            ClusterRecord::NodeDrain { node, drain, reason } => {
                self.node(*node)?.drained = drain.then(|| reason.clone());
            }
        }
        Ok(())
    }

    pub fn insert_job(&mut self, id: JobId, kept: Kept) {
        self.last_job = self.last_job.max(id);
        self.by_uuid.insert(kept.uuid, id);
        self.by_key.insert((kept.uid, kept.key), id);
        self.jobs.insert(id, kept);
    }

    pub fn insert_node(&mut self, id: NodeId, seen: Seen) {
        self.last_node = self.last_node.max(id);
        self.by_name.insert(seen.name.clone(), id);
        self.nodes.insert(id, seen);
    }

    fn node(&mut self, node: NodeId) -> Result<&mut Seen, ReplayError> {
        self.nodes.get_mut(&node).ok_or(ReplayError { why: "no node has that number" })
    }
}
