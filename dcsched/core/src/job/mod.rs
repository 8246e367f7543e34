//! The state machine of one job: `(now, event)` in, actions out. Nothing but dispatch stands here.
//!
//! `on` takes events in, `want` proposes what should follow; a proposal becomes a record, changes the durable state
//! through `update` alone, and is appended to the journal before anything that depends on it leaves the core.

mod durable;
mod entry;
mod event;
mod live;
mod on;
mod queue;
mod restart;
mod spec;
mod want;

pub use durable::{Durable, JobPhase, subject};
pub use entry::{Entry, NextStart, Phase, Refused};
pub use event::{Action, Event};
pub use live::Running;
pub use restart::is_worthwhile;
pub use spec::{JobSpec, Need};

use crate::cost::CostModel;
use dc_model::{Record, SubtaskId, Tick};
use live::Live;

/// A journal that contradicts itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplayError {
    /// The record that cannot stand where it does.
    pub seq: u64,
    /// It.
    pub record: Record,
}

impl std::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the journal contradicts itself at record {}: {:?} cannot stand there",
            self.seq, self.record
        )
    }
}

impl std::error::Error for ReplayError {}

/// One job on one node.
#[derive(Clone, Debug)]
pub struct Job {
    spec: JobSpec,
    durable: Durable,
    live: Live,
    cost: CostModel,
    /// Subtasks that wait, are granted, or compute.
    unfinished: usize,
    /// Subtasks that failed for good.
    failed: usize,
    finished: bool,
}

impl Job {
    /// A job that has not begun.
    #[must_use]
    pub fn new(spec: JobSpec) -> Self {
        let durable = Durable::new(&spec.needs);
        Self::with(spec, durable)
    }

    /// A job as its journal tells it.
    ///
    /// # Errors
    /// When a record cannot stand where it does.
    pub fn replay<'a>(
        spec: JobSpec,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<Self, ReplayError> {
        let mut durable = Durable::new(&spec.needs);
        for record in records {
            durable
                .update(record)
                .map_err(|_| ReplayError { seq: durable.seq + 1, record: record.clone() })?;
        }
        Ok(Self::with(spec, durable))
    }

    fn with(spec: JobSpec, durable: Durable) -> Self {
        let live = Live::new(&spec, &durable);
        let mut job = Self {
            spec,
            durable,
            live,
            cost: CostModel::default(),
            unfinished: 0,
            failed: 0,
            finished: false,
        };
        job.count();
        job
    }

    /// Takes one event in and appends what is to be done, in order. `now` only grows.
    pub fn step(&mut self, now: Tick, event: Event, out: &mut Vec<Action>) {
        // Nothing depends on time yet but through measured durations; every shell has it to give all the same.
        let _ = now;
        match event {
            Event::Begin => self.on_begin(out),
            Event::Durable { seq } => self.live.on_durable(seq),
            Event::Window { grants } => self.live.set_window(grants),
            Event::Started { subtask, attempt, from } => self.on_started(subtask, attempt, from, out),
            Event::Ended {
                subtask,
                attempt,
                outcome,
                ran_ns,
                stopped,
                checkpoint,
                progress_cells,
                result,
            } => {
                if outcome.success() && !stopped {
                    self.observe(subtask, ran_ns);
                }
                let end = on::End { outcome, stopped, checkpoint, progress_cells, result };
                self.on_ended(subtask, attempt, &end, out);
            }
            Event::StarterLost => self.on_starter_lost(out),
            Event::Stop { reason } => self.on_stop(reason, out),
            Event::MergeEnded { status } => self.on_merge_ended(status, out),
        }
        if self.durable.phase != JobPhase::New {
            self.want(out);
        }
    }

    /// The durable state.
    #[must_use]
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// What the job was told at its start.
    #[must_use]
    pub fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// The attempt running for a subtask.
    #[must_use]
    pub fn running(&self, subtask: SubtaskId) -> Option<&Running> {
        self.live.running(subtask)
    }

    /// All attempts that run, by subtask; those that wait for another's lane do not yet.
    #[must_use]
    pub fn all_running(&self) -> Vec<Running> {
        let mut all = self.live.all_running();
        all.retain(|running| running.behind.is_none());
        all
    }

    /// What was learned of the kernel's cost.
    #[must_use]
    pub fn cost(&self) -> &CostModel {
        &self.cost
    }

    /// The word people see for a subtask: a success counts as completed once it is durable.
    #[must_use]
    pub fn shown(&self, subtask: SubtaskId) -> &'static str {
        let entry = &self.durable.entries[subtask.index()];
        match entry.phase {
            Phase::Computed if !self.spec.merge && self.is_committed(subtask) => Phase::Completed.shown(),
            phase => phase.shown(),
        }
    }

    /// Whether the subtask's success is on disk: acknowledged, never run again.
    #[must_use]
    pub fn is_committed(&self, subtask: SubtaskId) -> bool {
        let done = matches!(
            self.durable.entries[subtask.index()].phase,
            Phase::Computed | Phase::Merging | Phase::Completed
        );
        done && self.live.done_seq[subtask.index()] <= self.live.durable_seq
    }

    fn observe(&mut self, subtask: SubtaskId, ran_ns: u64) {
        let need = self.spec.needs.get(subtask.index()).copied();
        if let (Some(need), true) = (need, self.live.running(subtask).is_some()) {
            self.cost.observe(need.cells / u64::from(need.cores.max(1)), ran_ns);
        }
    }

    /// Makes a proposal a decision.
    fn commit(&mut self, record: Record, out: &mut Vec<Action>) {
        let before = subject(&record).map(|subtask| self.durable.entries[subtask.index()].phase);
        let updated = self.durable.update(&record);
        assert!(updated.is_ok(), "the core proposed what cannot stand: {record:?}");
        match (before, subject(&record)) {
            (Some(before), Some(subtask)) => {
                self.recount(before, self.durable.entries[subtask.index()].phase)
            }
            _ => self.count(),
        }
        out.push(Action::Append { seq: self.durable.seq, record });
    }

    fn recount(&mut self, before: Phase, after: Phase) {
        for (phase, sign) in [(before, -1), (after, 1)] {
            if is_unfinished(phase) {
                self.unfinished = self.unfinished.wrapping_add_signed(sign);
            }
            if phase == Phase::Failed {
                self.failed = self.failed.wrapping_add_signed(sign);
            }
        }
    }

    fn count(&mut self) {
        let phases = || self.durable.entries.iter().map(|entry| entry.phase);
        self.unfinished = phases().filter(|phase| is_unfinished(*phase)).count();
        self.failed = phases().filter(|phase| *phase == Phase::Failed).count();
    }
}

fn is_unfinished(phase: Phase) -> bool {
    matches!(phase, Phase::Waiting | Phase::Granted | Phase::Computing)
}
