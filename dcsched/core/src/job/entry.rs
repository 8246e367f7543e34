//! One subtask's durable state, and the only place where a record changes it (docs/job-states.md).

use dc_model::{Attempt, GiveUp, Outcome, Record, Restart, ResultMeta};

/// Where a subtask stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// In the queue.
    Waiting,
    /// Its next attempt is in the journal.
    Granted,
    /// Its attempt has a lane.
    Computing,
    /// Its attempt ended well.
    Computed,
    /// Its result is being merged.
    Merging,
    /// Nothing is left to do.
    Completed,
    /// It failed for good.
    Failed,
}

impl Phase {
    /// All of them, in the order of the document.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Granted,
        Self::Computing,
        Self::Computed,
        Self::Merging,
        Self::Completed,
        Self::Failed,
    ];

    /// The document's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Granted => "granted",
            Self::Computing => "computing",
            Self::Computed => "computed",
            Self::Merging => "merging",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The word people see.
    #[must_use]
    pub fn shown(self) -> &'static str {
        match self {
            Self::Waiting | Self::Granted => "split",
            other => other.word(),
        }
    }
}

/// A record that cannot be written where the state stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused;

/// One subtask's durable state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Where it stands.
    pub phase: Phase,
    /// Its last attempt; 0 before the first grant.
    pub attempt: Attempt,
    /// Failures in this epoch.
    pub failures: u32,
    /// How its last attempt that ended by itself ended; forgotten when another runs.
    pub last: Option<Outcome>,
    /// The result of the committed attempt.
    pub result: Option<ResultMeta>,
    /// The checkpoint its running attempt went on from.
    pub from: Option<Restart>,
    /// The newest checkpoint known to have been left.
    pub newest: Option<Restart>,
    /// A checkpoint from which restarts failed, and how many in a row.
    pub suspect: Option<(Restart, u32)>,
    /// Only older checkpoints than this are gone on from.
    pub before: Option<Restart>,
}

/// Restarts that fail from one checkpoint before the one before it is taken.
const SUSPECT_FAILURES_MAX: u32 = 2;

impl Entry {
    /// At the job's beginning.
    #[must_use]
    pub fn new(cells: u64) -> Self {
        Self {
            phase: if cells == 0 { Phase::Completed } else { Phase::Waiting },
            attempt: Attempt(0),
            failures: 0,
            last: None,
            result: None,
            from: None,
            newest: None,
            suspect: None,
            before: None,
        }
    }

    /// Takes one record in, which is about this subtask or about all.
    ///
    /// # Errors
    /// [`Refused`] when the record cannot stand here; nothing is changed then.
    pub fn update(&mut self, record: &Record) -> Result<(), Refused> {
        let is_current = |attempt: &Attempt| *attempt == self.attempt;
        self.phase = match (self.phase, record) {
            (Phase::Waiting | Phase::Failed, Record::Epoch { .. }) => {
                self.failures = 0;
                Phase::Waiting
            }
            (Phase::Merging, Record::Epoch { .. }) => Phase::Computed,
            (phase, Record::Epoch { .. }) => phase,

            (Phase::Waiting, Record::Granted { attempt, .. })
                if self.attempt.0.checked_add(1) == Some(attempt.0) =>
            {
                self.attempt = *attempt;
                Phase::Granted
            }
            (Phase::Granted, Record::Launched { attempt, .. }) if is_current(attempt) => {
                self.last = None;
                self.from = None;
                Phase::Computing
            }
            (Phase::Computing, Record::Started { attempt, from, .. }) if is_current(attempt) => {
                self.from = *from;
                Phase::Computing
            }
            (Phase::Computing, Record::Measured { attempt, .. }) if is_current(attempt) => Phase::Computing,
            (Phase::Computing, Record::Done { attempt, result, .. }) if is_current(attempt) => {
                self.last = Some(Outcome::Exited(0));
                self.result = *result;
                Phase::Computed
            }
            (Phase::Computing, Record::AttemptFailed { attempt, outcome, checkpoint, retry, .. })
                if is_current(attempt) =>
            {
                self.last = Some(*outcome);
                self.failures = self.failures.saturating_add(1);
                self.note_failed_restart(*checkpoint);
                if *retry { Phase::Waiting } else { Phase::Failed }
            }
            (Phase::Granted, Record::GivenUp { attempt, why: GiveUp::RunLost, .. })
                if is_current(attempt) =>
            {
                Phase::Waiting
            }
            (Phase::Computing, Record::GivenUp { attempt, .. }) if is_current(attempt) => Phase::Waiting,
            (Phase::Computed, Record::Merging) => Phase::Merging,
            (Phase::Merging, Record::Merged) => Phase::Completed,
            (Phase::Completed, Record::Merging | Record::Merged) => Phase::Completed,
            _ => return Err(Refused),
        };
        Ok(())
    }

    /// Takes in what a record about one subtask of a gang means for all of it. Where a gang stands, its subtasks say.
    pub(super) fn share(&mut self, record: &Record) {
        match record {
            Record::Epoch { .. } => self.failures = 0,
            Record::Launched { attempt, .. } => {
                self.attempt = *attempt;
                self.last = None;
                self.from = None;
            }
            Record::Started { from, .. } => self.from = *from,
            Record::AttemptFailed { outcome, checkpoint, .. } => {
                self.last = Some(*outcome);
                self.failures = self.failures.saturating_add(1);
                self.note_failed_restart(*checkpoint);
            }
            _ => {}
        }
    }

    /// A new checkpoint clears all suspicion; a failure without one falls on the checkpoint gone on from.
    fn note_failed_restart(&mut self, checkpoint: Option<Restart>) {
        if checkpoint.is_some() {
            self.newest = checkpoint;
            self.suspect = None;
            self.before = None;
            return;
        }
        let Some(from) = self.from else { return };
        let failures = match self.suspect {
            Some((suspect, failures)) if suspect == from => failures + 1,
            _ => 1,
        };
        self.suspect = Some((from, failures));
        if failures >= SUSPECT_FAILURES_MAX {
            self.before = Some(from);
            self.suspect = None;
        }
    }

    /// Whether it still has to be computed.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        !matches!(self.phase, Phase::Computed | Phase::Merging | Phase::Completed)
    }

    /// What the next attempt will go on from, as far as is known: for the message at a failure.
    #[must_use]
    pub fn next_start(&self) -> NextStart {
        match (self.newest.max(self.from), self.before) {
            (Some(newest), Some(before)) if newest >= before => NextStart::OlderThan(before),
            (Some(newest), _) => NextStart::From(newest),
            (None, _) => NextStart::Beginning,
        }
    }
}

/// What an attempt that is still to come will go on from. Which checkpoint it is in the end, the starter finds on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextStart {
    /// Nothing: no checkpoint is known.
    Beginning,
    /// The newest checkpoint.
    From(Restart),
    /// One before this, from which restarts failed.
    OlderThan(Restart),
}
