//! One subtask's durable state, and the only place where a record changes it (docs/job-states.md).

use dc_model::{Attempt, GiveUp, Outcome, Rank, Record, Restart, ResultMeta};

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

/// One subtask's durable state. There may be millions of them: what most never have is boxed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Where it stands.
    pub phase: Phase,
    /// Its last attempt; 0 before the first grant.
    pub attempt: Attempt,
    /// The lane of the last attempt that was launched.
    pub rank: Rank,
    /// The node of that attempt; 0 on one machine.
    pub node: u32,
    /// Failures in this epoch.
    pub failures: u32,
    /// How its last attempt that ended by itself ended; forgotten when another runs.
    pub last: Option<Outcome>,
    /// The result of the committed attempt.
    pub result: Option<Box<ResultMeta>>,
    /// What is known of its checkpoints, once there is one.
    pub checkpoints: Option<Box<Checkpoints>>,
}

/// What the journal says of a subtask's checkpoints.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Checkpoints {
    /// The one its running attempt went on from.
    pub from: Option<Restart>,
    /// The newest known to have been left.
    pub newest: Option<Restart>,
    /// One from which restarts failed, and how many in a row.
    pub suspect: Option<(Restart, u32)>,
    /// Only older ones than this are gone on from.
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
            rank: Rank(0),
            node: 0,
            failures: 0,
            last: None,
            result: None,
            checkpoints: None,
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
            (Phase::Granted, Record::Launched { attempt, rank, node, .. }) if is_current(attempt) => {
                (self.rank, self.node) = (*rank, *node);
                self.last = None;
                self.set_from(None);
                Phase::Computing
            }
            (Phase::Computing, Record::Started { attempt, from, .. }) if is_current(attempt) => {
                self.set_from(*from);
                Phase::Computing
            }
            (Phase::Computing, Record::Measured { attempt, .. }) if is_current(attempt) => Phase::Computing,
            (Phase::Computing, Record::Done { attempt, result, .. }) if is_current(attempt) => {
                self.last = Some(Outcome::Exited(0));
                self.result = result.map(Box::new);
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
            // Nobody knows whether it was launched.
            (Phase::Granted, Record::GivenUp { attempt, why: GiveUp::RunLost | GiveUp::NodeLost, .. })
                if is_current(attempt) =>
            {
                Phase::Waiting
            }
            (Phase::Computing, Record::GivenUp { attempt, .. }) if is_current(attempt) => Phase::Waiting,
            (Phase::Computed | Phase::Merging, Record::ResultLost { attempt, .. }) if is_current(attempt) => {
                self.result = None;
                Phase::Waiting
            }
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
                self.set_from(None);
            }
            Record::Started { from, .. } => self.set_from(*from),
            Record::AttemptFailed { outcome, checkpoint, .. } => {
                self.last = Some(*outcome);
                self.failures = self.failures.saturating_add(1);
                self.note_failed_restart(*checkpoint);
            }
            _ => {}
        }
    }

    fn set_from(&mut self, from: Option<Restart>) {
        if from.is_some() || self.checkpoints.is_some() {
            self.checkpoints.get_or_insert_default().from = from;
        }
    }

    /// The checkpoint its running attempt went on from.
    #[must_use]
    pub fn from(&self) -> Option<Restart> {
        self.checkpoints.as_ref()?.from
    }

    /// The newest checkpoint known to have been left.
    #[must_use]
    pub fn newest(&self) -> Option<Restart> {
        self.checkpoints.as_ref()?.newest
    }

    /// Only older checkpoints than this are gone on from.
    #[must_use]
    pub fn before(&self) -> Option<Restart> {
        self.checkpoints.as_ref()?.before
    }

    /// A new checkpoint clears all suspicion; a failure without one falls on the checkpoint gone on from.
    fn note_failed_restart(&mut self, checkpoint: Option<Restart>) {
        if checkpoint.is_none() && self.checkpoints.is_none() {
            return;
        }
        let known = self.checkpoints.get_or_insert_default();
        if checkpoint.is_some() {
            **known = Checkpoints { from: known.from, newest: checkpoint, suspect: None, before: None };
            return;
        }
        let Some(from) = known.from else { return };
        let failures = match known.suspect {
            Some((suspect, failures)) if suspect == from => failures + 1,
            _ => 1,
        };
        known.suspect = Some((from, failures));
        if failures >= SUSPECT_FAILURES_MAX {
            known.before = Some(from);
            known.suspect = None;
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
        let Some(known) = &self.checkpoints else { return NextStart::Beginning };
        match (known.newest.max(known.from), known.before) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_are_small() {
        assert!(size_of::<Entry>() <= 48, "{} bytes", size_of::<Entry>());
    }
}
