//! The decisions of the core, one record each. The journal keeps them; replaying them rebuilds the state.
//! Their bytes are spool's business (docs/spool-format.md).

use crate::{Attempt, CpuSet, Outcome, Rank, Restart, ResultMeta, SubtaskId};

/// Why an attempt was given up without counting against the restarts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum GiveUp {
    /// dc stopped it: a time limit, Ctrl-C, or another subtask's final failure.
    Stopped = 1,
    /// The starter died, and its ranks with it.
    StarterLost = 2,
    /// dcrun died; what ran then was killed.
    RunLost = 3,
    /// Another rank of its gang failed.
    Gang = 4,
    /// Its node is lost, or has forgotten it.
    NodeLost = 5,
}

/// Why the job starts nothing new.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum StopReason {
    /// A subtask failed for good, without `--keep-going`.
    SubtaskFailed,
    /// The time limit.
    TimeLimit,
    /// The second Ctrl-C.
    Interrupted,
    /// dcrun was told to end by this signal.
    Signal(u8),
    /// Nobody reads standard output.
    BrokenPipe,
    /// The surroundings failed (a full disk, a starter that cannot start): dcrun says which.
    Error,
}

/// A decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// A dcrun (or scheduler) took the job up: the first record of every epoch.
    Epoch {
        /// 1 for the first run, +1 for each resume.
        epoch: u64,
    },
    /// The attempt may start. Durable before its launch; one that never started costs only its number.
    Granted {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
    },
    /// A granted attempt was given a lane and cores.
    Launched {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// Its lane.
        rank: Rank,
        /// Its CPUs, by the OS's numbers; empty when it is not bound.
        cpus: CpuSet,
        /// The cluster's number of its node; 0 on one machine.
        node: u32,
    },
    /// It runs, from this checkpoint or from the beginning.
    Started {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// The checkpoint it goes on from.
        from: Option<Restart>,
    },
    /// It ended well: the commit, once durable.
    Done {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// The result it left, if any.
        result: Option<ResultMeta>,
    },
    /// Its result was committed, and the only node that has it is lost: it is computed again.
    ResultLost {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
    },
    /// It failed by itself; this counts against the restarts.
    AttemptFailed {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// How it ended.
        outcome: Outcome,
        /// The newest valid checkpoint it left, if any.
        checkpoint: Option<Restart>,
        /// Whether it got further than any attempt before it: a new checkpoint, or more cells done.
        advanced: bool,
        /// Whether the subtask is tried again.
        retry: bool,
    },
    /// It was given up; this does not count.
    GivenUp {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// Why.
        why: GiveUp,
    },
    /// What this epoch runs on, and what was expected of it. Decides nothing; kept for the report.
    Node {
        /// The host's name.
        host: String,
        /// Cores that may be used.
        cores: u32,
        /// Those of them that ranks can hold at once.
        usable: u32,
        /// Predicted time to the end, in ns, where runs before have taught something.
        predicted_ns: Option<u64>,
    },
    /// What was measured of an attempt, before the record of its end. Decides nothing; kept for the report.
    Measured {
        /// Which subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// When it ended, in ns since the start of the epoch.
        ended_ns: u64,
        /// How long it ran, in ns. Of a rank of a gang that has several subtasks: its share, by cells.
        ran_ns: u64,
        /// What of that its newest checkpoint keeps if it is not done, in ns.
        kept_ns: u64,
    },
    /// Nothing new starts from here on, in this epoch.
    Stopping {
        /// Why.
        reason: StopReason,
    },
    /// All subtasks are computed; their results are being merged.
    Merging,
    /// The merged file is in place.
    Merged,
    /// The job's end in this epoch.
    Ended {
        /// dcrun's exit status.
        status: u8,
    },
}
