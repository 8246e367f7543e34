//! What the journal says of each subtask and of the job: the states of `docs/job-states.md`, for showing only.

use dc_model::{Attempt, Record, Restart, ResultMeta, SubtaskId};
use dc_spool::job::JobRecord;

/// The state of a subtask, by the words people see.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    Split,
    Computing,
    Computed,
    Merging,
    Completed,
    Failed,
}

impl State {
    pub const ALL: [Self; 6] =
        [Self::Split, Self::Computing, Self::Computed, Self::Merging, Self::Completed, Self::Failed];

    pub fn word(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Computing => "computing",
            Self::Computed => "computed",
            Self::Merging => "merging",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// A subtask, as the journal leaves it.
#[derive(Clone, Copy, Debug)]
pub struct SubtaskState {
    pub state: State,
    /// The newest attempt; 0: none yet.
    pub attempt: Attempt,
    /// Failures of its own in the newest epoch.
    pub failures: u32,
    /// The checkpoint that the newest attempt went on from.
    pub from: Option<Restart>,
    /// The attempt that is done, and the result it left.
    pub done: Option<(Attempt, Option<ResultMeta>)>,
}

/// The job's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobState {
    New,
    Running,
    Stopping,
    Merging,
    Merged,
    Ended(u8),
}

/// A job, as the journal leaves it.
#[derive(Debug)]
pub struct States {
    pub job: JobState,
    pub subtasks: Vec<SubtaskState>,
    /// Records about subtasks that the job does not have.
    pub strangers: usize,
}

impl States {
    /// Goes through the records once.
    pub fn of(job: &JobRecord, records: &[(u64, Record)]) -> Self {
        let merges = !job.options.merges.is_empty();
        let subtasks = job.subtasks.iter().map(|subtask| SubtaskState {
            state: if subtask.cells == 0 { State::Completed } else { State::Split },
            attempt: Attempt(0),
            failures: 0,
            from: None,
            done: None,
        });
        let mut states = Self { job: JobState::New, subtasks: subtasks.collect(), strangers: 0 };
        records.iter().for_each(|(_, record)| states.on_record(record, merges));
        states
    }

    /// How many subtasks are in this state.
    pub fn count(&self, state: State) -> usize {
        self.subtasks.iter().filter(|subtask| subtask.state == state).count()
    }

    fn on_record(&mut self, record: &Record, merges: bool) {
        match *record {
            Record::Epoch { .. } => {
                self.job = JobState::Running;
                for subtask in &mut self.subtasks {
                    subtask.failures = 0;
                    match subtask.state {
                        State::Failed => subtask.state = State::Split,
                        State::Merging => subtask.state = State::Computed,
                        _ => {}
                    }
                }
            }
            Record::Granted { subtask, attempt } => self.with(subtask, |s| s.attempt = attempt),
            Record::Launched { subtask, .. } => self.with(subtask, |s| s.state = State::Computing),
            Record::Started { subtask, from, .. } => self.with(subtask, |s| s.from = from),
            Record::Done { subtask, attempt, result } => self.with(subtask, |s| {
                s.state = if merges { State::Computed } else { State::Completed };
                s.done = Some((attempt, result));
            }),
            Record::AttemptFailed { subtask, retry, .. } => self.with(subtask, |s| {
                s.state = if retry { State::Split } else { State::Failed };
                s.failures += 1;
            }),
            Record::GivenUp { subtask, .. } => self.with(subtask, |s| s.state = State::Split),
            Record::ResultLost { subtask, .. } => {
                self.job = JobState::Running;
                self.turn(State::Merging, State::Computed);
                self.with(subtask, |s| (s.state, s.done) = (State::Split, None));
            }
            Record::Stopping { .. } => self.job = JobState::Stopping,
            Record::Merging => {
                self.job = JobState::Merging;
                self.turn(State::Computed, State::Merging);
            }
            Record::Merged => {
                self.job = JobState::Merged;
                self.turn(State::Merging, State::Completed);
            }
            Record::Ended { status } => self.job = JobState::Ended(status),
            // For `dcrun --report`.
            Record::Node { .. } | Record::Measured { .. } => {}
        }
    }

    fn with(&mut self, subtask: SubtaskId, change: impl FnOnce(&mut SubtaskState)) {
        match self.subtasks.get_mut(subtask.index()) {
            Some(subtask) => change(subtask),
            None => self.strangers += 1,
        }
    }

    fn turn(&mut self, from: State, to: State) {
        self.subtasks.iter_mut().filter(|s| s.state == from).for_each(|s| s.state = to);
    }
}
