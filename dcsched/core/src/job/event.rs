//! What comes into the core and what it asks for in return.

use crate::place::Placement;
use crate::seats::PartSpec;
use dc_model::{Attempt, GiveUp, Outcome, Rank, Record, Restart, ResultMeta, StopReason, SubtaskId};

/// Something happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The run begins; comes once, first.
    Begin,
    /// The journal holds every record up to this number, durably.
    Durable {
        /// The last durable record.
        seq: u64,
    },
    /// How many grants to keep ahead of the launches; follows the time of a sync.
    Window {
        /// Grants.
        grants: u32,
    },
    /// A rank runs.
    Started {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// The checkpoint it goes on from.
        from: Option<Restart>,
    },
    /// A rank ended, or could not be launched.
    Ended {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// How.
        outcome: Outcome,
        /// How long it ran, in ns.
        ran_ns: u64,
        /// Whether dc had signalled it before.
        stopped: bool,
        /// The newest valid checkpoint it left.
        checkpoint: Option<Restart>,
        /// Cells it reported as done.
        progress_cells: u64,
        /// The result it committed.
        result: Option<ResultMeta>,
    },
    /// What the epoch runs on, and what is expected of it: for the report. Comes after [`Event::Begin`], if at all.
    Node {
        /// The host's name.
        host: String,
        /// Cores that may be used.
        cores: u32,
        /// Those of them that ranks can hold at once.
        usable: u32,
        /// Predicted time to the end, in ns.
        predicted_ns: Option<u64>,
    },
    /// What was measured of an attempt that has ended: for the report. Comes before the event of its end, if at all.
    Measured {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// How long it ran, in ns.
        ran_ns: u64,
        /// What of that its newest checkpoint keeps, in ns.
        kept_ns: u64,
    },
    /// The starter died, and all it ran with it; nothing of it is left.
    StarterLost,
    /// Cores on a node that the job may use from now on.
    PartJoined(Box<PartSpec>),
    /// Nothing new starts on a node, or again; what runs there goes on. Free cores there are released.
    Withdrawn {
        /// The cluster's number of the node.
        node: u32,
        /// Nothing new.
        is_withdrawn: bool,
    },
    /// A part is gone, with all that ran there; nothing of that is left, or all of it will be dead before anything else
    /// is launched.
    PartLost {
        /// Its number.
        part: u32,
        /// What becomes of its attempts.
        why: GiveUp,
    },
    /// A scheduler takes the job up again, in place of [`Event::Begin`]: what ran may run still. Comes once, first.
    TakeUp,
    /// A node says that this attempt runs there, since before the scheduler's restart. Its part has joined.
    Adopted {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// Its lane.
        rank: Rank,
        /// The part it is in.
        part: u32,
        /// Its cores, as [`Placement::cores`] has them.
        cores: Vec<u32>,
    },
    /// No node will speak any more of attempts that were unknown since [`Event::TakeUp`], and none of them runs.
    GiveUpUnknown {
        /// Those whose launch on this node is in the journal; nothing: all.
        node: Option<u32>,
    },
    /// Stop the job.
    Stop {
        /// Why.
        reason: StopReason,
    },
    /// Committed results that the merge needs are on nodes that are lost.
    ResultsLost {
        /// Of these subtasks.
        subtasks: Vec<SubtaskId>,
    },
    /// The merge asked for has ended.
    MergeEnded {
        /// 0 when all merged files are in place, else what the job ends with.
        status: u8,
    },
}

/// One rank of a gang.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its number.
    pub rank: Rank,
    /// Its cores.
    pub placement: Placement,
    /// Its subtasks; at least one.
    pub subtasks: Vec<SubtaskId>,
}

/// The core asks for something to be done, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Append this record to the journal.
    Append {
        /// Its number; each is one more than the last.
        seq: u64,
        /// The decision.
        record: Record,
    },
    /// Make the journal durable now: something waits for it.
    Sync,
    /// Launch this attempt.
    Launch {
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
    /// Launch a gang: all of its ranks, or none.
    LaunchGang {
        /// The attempt of each of its subtasks.
        attempt: Attempt,
        /// Its ranks, in their order.
        members: Vec<Member>,
        /// Only sets of checkpoints older than this may be gone on from.
        before: Option<Restart>,
    },
    /// Signal this attempt, SIGKILL after the grace.
    Stop {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// The part it is in; 0 on one machine.
        part: u32,
        /// The signal.
        signal: u8,
    },
    /// The job has no use for these cores of a part: they are its own no more. A part without cores is forgotten. Only
    /// where [`super::JobSpec::releases`] says so.
    Released {
        /// Which part.
        part: u32,
        /// Indices into the cores of its topology, rising.
        cores: Vec<u32>,
    },
    /// Start another starter.
    StartStarter,
    /// Merge the results.
    Merge,
    /// Leave with this status.
    Finish {
        /// dcrun's exit status.
        status: u8,
    },
}
