//! What comes into the core of a cluster and what it asks for in return.

use super::{JobId, NodeId};
use crate::job::JobSpec;
use crate::place::Placement;
use dc_model::cluster::node::{Held, Incarnation};
use dc_model::cluster::{ClusterRecord, Wants};
use dc_model::wire::FromStarter;
use dc_model::{Attempt, JobUuid, Rank, Restart, StopReason, SubtaskId, Topology};
use std::sync::Arc;

/// A request of a command's, as the shell numbers them; it comes back in the answer.
pub type Request = u64;

/// A node as it registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// Its name.
    pub name: String,
    /// This run of its dcd.
    pub incarnation: Incarnation,
    /// Its cores.
    pub topology: Topology,
    /// Its speed as configured, in thousandths of a usual node's; 0: to be measured.
    pub speed_permille: u32,
    /// The most memory that ranks may have together, in bytes; 0: all of its domains'.
    pub memory_max_bytes: u64,
}

/// A job as it is submitted.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its name in every file.
    pub uuid: JobUuid,
    /// Its command's key.
    pub key: [u8; 16],
    /// Its owner.
    pub uid: u32,
    /// What it asks of the cluster.
    pub wants: Box<Wants>,
    /// Its job record, as spool has it.
    pub record: Arc<[u8]>,
    /// What the core is told of it: made of that record, without a topology.
    pub spec: Box<JobSpec>,
}

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The scheduler runs, after replay: comes once, first.
    Begin,
    /// A point in time that [`super::Cluster::due`] named has come.
    Due,
    /// The journal holds every record up to this number, durably.
    Durable {
        /// The last durable record.
        seq: u64,
    },
    /// Whether the disk takes more than ends and cancels.
    Space {
        /// It does.
        there_is: bool,
    },
    /// A node registered. The shell has refused names and incarnations that it must not take.
    Registered(Box<Registration>),
    /// A registering node has this of a job.
    Held {
        /// Which node.
        node: NodeId,
        /// The job.
        job: JobUuid,
        /// Its starter there.
        starter: u64,
        /// What that has.
        held: Vec<Held>,
    },
    /// A registering node has told all it has.
    Settled {
        /// Which node.
        node: NodeId,
    },
    /// A node's heartbeat.
    Heard {
        /// Which node.
        node: NodeId,
        /// The heartbeat's number.
        number: u64,
    },
    /// A node's connection is lost.
    Gone {
        /// Which node.
        node: NodeId,
    },
    /// A starter told something.
    Report {
        /// On which node.
        node: NodeId,
        /// Of which job.
        job: JobUuid,
        /// Which starter.
        starter: u64,
        /// The number it gave the report; 0: not to be acknowledged.
        seq: u64,
        /// It.
        report: Box<FromStarter>,
    },
    /// A job's starter on a node is gone, and all it ran.
    StarterClosed {
        /// On which node.
        node: NodeId,
        /// Of which job.
        job: JobUuid,
        /// It was asked to end.
        asked: bool,
    },
    /// A node cannot run a job.
    CannotOpen {
        /// Which node.
        node: NodeId,
        /// Which job.
        job: JobUuid,
    },
    /// A new job, or one whose command did not see the answer.
    Submit {
        /// Whom to answer.
        request: Request,
        /// It.
        job: Box<Submission>,
    },
    /// How many commands follow a job now.
    Followers {
        /// Which job.
        job: JobId,
        /// How many.
        count: u32,
    },
    /// Stop a job.
    Stop {
        /// Which job.
        job: JobId,
        /// Why.
        reason: StopReason,
    },
    /// Results that a job's merge needs are on nodes that are lost.
    ResultsLost {
        /// Which job.
        job: JobId,
        /// Of these subtasks.
        subtasks: Vec<SubtaskId>,
    },
    /// The merge that a follower was asked for has ended.
    MergeEnded {
        /// Which job.
        job: JobId,
        /// 0 when all merged files are in place.
        status: u8,
    },
    /// Nothing new on a node, or again.
    Drain {
        /// Which node.
        node: NodeId,
        /// Nothing new.
        drain: bool,
        /// Why, for people.
        reason: String,
    },
}

/// The core asks for something to be done, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Append this to the journal; the shell tells a job's decisions to its followers too.
    Append {
        /// Its number in the journal; each is one more than the last.
        seq: u64,
        /// Its number in its job, where it is a job's; else 0.
        job_seq: u64,
        /// The decision.
        record: ClusterRecord,
    },
    /// Make the journal durable now: something waits for it.
    Sync,
    /// A submission is on disk.
    Accepted {
        /// Whom to answer.
        request: Request,
        /// The job's number.
        job: JobId,
        /// Its name in every file: where the key was known, the older job's.
        uuid: JobUuid,
    },
    /// A submission is not taken.
    Refused {
        /// Whom to answer.
        request: Request,
        /// What a command that asked only this ends with.
        status: u8,
        /// One line: what, and what to do.
        text: String,
    },
    /// A registered node has this number.
    Welcome {
        /// Its name.
        name: String,
        /// Its number.
        node: NodeId,
    },
    /// A node's lease has ended though its connection is there: close that, so that it registers again.
    Disconnect {
        /// Which node.
        node: NodeId,
    },
    /// The lease of a node counts from the sending of this heartbeat.
    Lease {
        /// Which node.
        node: NodeId,
        /// The heartbeat's number.
        number: u64,
    },
    /// Have a starter for a job on a node.
    Open {
        /// Which node.
        node: NodeId,
        /// Which job.
        job: JobId,
    },
    /// Launch this attempt.
    Launch {
        /// On which node.
        node: NodeId,
        /// Of which job.
        job: JobId,
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// Its lane.
        rank: Rank,
        /// Its cores.
        placement: Placement,
        /// Only checkpoints older than this may be gone on from.
        before: Option<Restart>,
        /// It takes over from this attempt, once that has ended.
        after: Option<(SubtaskId, Attempt)>,
    },
    /// Launch a gang on a node.
    LaunchGang {
        /// On which node.
        node: NodeId,
        /// Of which job.
        job: JobId,
        /// The attempt of each of its subtasks.
        attempt: Attempt,
        /// Its ranks, in their order.
        members: Vec<crate::job::Member>,
        /// Only sets of checkpoints older than this may be gone on from.
        before: Option<Restart>,
    },
    /// Signal this attempt, SIGKILL after the grace.
    Stop {
        /// On which node.
        node: NodeId,
        /// Of which job.
        job: JobUuid,
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// The signal.
        signal: u8,
    },
    /// All that a starter told up to this number is on disk, or need not be.
    Acknowledge {
        /// On which node.
        node: NodeId,
        /// Of which job.
        job: JobUuid,
        /// Which starter.
        starter: u64,
        /// The number.
        seq: u64,
    },
    /// Nothing more is launched on a node for a job: end its starter there.
    Close {
        /// Which node.
        node: NodeId,
        /// Which job.
        job: JobUuid,
        /// Remove its directory there.
        remove: bool,
    },
    /// A job's decisions up to this one are on disk: for its followers.
    JobDurable {
        /// Which job.
        job: JobId,
        /// The decision's number in the job.
        seq: u64,
    },
    /// All of a job is computed and on disk: have a follower merge.
    Merge {
        /// Which job.
        job: JobId,
    },
    /// A job has ended, and that is on disk.
    Ended {
        /// Which job.
        job: JobId,
        /// Its status.
        status: u8,
    },
}
