//! A job as it is now: its own state machine, the cores it has, and who follows it.

use super::NodeId;
use crate::job::{Appetite, Job};
use dc_model::Tick;
use std::collections::{BTreeMap, BTreeSet};

/// Cores of a node that a job has.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub node: NodeId,
    /// The node's indices, by the part's; those that were given back are none.
    pub cores: Vec<Option<u32>>,
    /// How many of them it still has.
    pub left: u32,
    pub memory_bytes: u64,
}

impl Part {
    /// Those it still has.
    pub fn has(&self) -> Vec<u32> {
        self.cores.iter().flatten().copied().collect()
    }
}

/// A job.
#[derive(Clone, Debug)]
pub(super) struct LiveJob {
    /// What decides within it, once it has begun.
    pub job: Option<Box<Job>>,
    /// By their numbers in the job.
    pub parts: BTreeMap<u32, Part>,
    pub next_part: u32,
    /// Nodes that were told to have a starter for it.
    pub opened: BTreeSet<NodeId>,
    /// Nodes that cannot run it.
    pub refused_by: BTreeSet<NodeId>,
    pub followers: u32,
    /// A follower was asked to merge.
    pub merge_asked: bool,
    /// When it is stopped because nobody follows it.
    pub orphan_due: Option<Tick>,
    /// When it was first given cores, as long as this scheduler runs: its own time counts from there.
    pub began: Option<Tick>,
    /// The most cores that it has had at once.
    pub cores_told: u32,
    pub first_launch: Option<Tick>,
    /// When it is stopped because its time is over.
    pub time_due: Option<Tick>,
    pub status: Option<u8>,
    pub ended: Option<Tick>,
    /// The most memory that one of its subtasks asks for, in bytes.
    pub mem_bytes_max: u64,
}

impl LiveJob {
    /// One that has not begun.
    pub fn asleep() -> Self {
        Self {
            job: None,
            parts: BTreeMap::new(),
            next_part: 0,
            opened: BTreeSet::new(),
            refused_by: BTreeSet::new(),
            followers: 0,
            merge_asked: false,
            orphan_due: None,
            began: None,
            cores_told: 0,
            first_launch: None,
            time_due: None,
            status: None,
            ended: None,
            mem_bytes_max: 0,
        }
    }

    pub fn new(job: Job) -> Self {
        let mut live = Self::asleep();
        live.set_job(job);
        live
    }

    /// It has begun.
    pub fn set_job(&mut self, job: Job) {
        self.mem_bytes_max = job.spec().needs.iter().map(|need| need.mem_bytes).max().unwrap_or(0);
        self.job = Some(Box::new(job));
    }

    /// How many more cores it could use, where it has begun.
    pub fn appetite(&self) -> Appetite {
        self.job.as_ref().map_or_else(Appetite::default, |job| job.appetite())
    }

    /// When something of it is due.
    pub fn due(&self) -> Option<Tick> {
        [self.orphan_due, self.time_due].into_iter().flatten().min()
    }

    /// Nodes it has cores of.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        self.parts.values().map(|part| part.node).collect()
    }

    /// Cores it has of a node.
    pub fn cores_on(&self, node: NodeId) -> u32 {
        let parts = self.parts.values().filter(|part| part.node == node);
        parts.map(|part| part.left).sum()
    }

    /// All cores it has.
    pub fn cores(&self) -> u32 {
        self.parts.values().map(|part| part.left).sum()
    }
}
