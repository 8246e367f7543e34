//! The state machine of one job: `(now, event)` in, actions out. Nothing but dispatch stands here.
//!
//! `on` takes events in, `want` proposes what should follow; a proposal becomes a record, changes the durable state
//! through `update` alone, and is appended to the journal before anything that depends on it leaves the core.

mod durable;
mod durable_bytes;
mod entry;
mod event;
mod gang;
mod gang_parts;
mod live;
mod on;
mod outside;
mod parts;
mod queue;
mod restart;
mod running;
mod spec;
mod take_up;
mod unknown;
mod want;

pub use durable::{Durable, JobPhase, subject};
pub use entry::{Checkpoints, Entry, NextStart, Phase, Refused};
pub use event::{Action, Event, Member};
pub use gang::{gang_fits, lists};
pub use parts::Appetite;
pub use restart::is_worthwhile;
pub use running::Running;
pub use spec::{JobSpec, Need};

pub use crate::seats::PartSpec;

use crate::cost::CostModel;
use dc_model::{Record, SubtaskId, Tick};
use live::Live;
use take_up::Adopted;

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

/// One job, on one machine or on parts of several nodes.
#[derive(Clone, Debug)]
pub struct Job {
    spec: JobSpec,
    durable: Durable,
    live: Live,
    /// What is known of the kernel's cost: learned before, and in this run.
    cost: CostModel,
    /// What this run alone has taught.
    taught: CostModel,
    /// The ranks of an MPI job.
    gang: Option<gang::Gang>,
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
        let durable = Durable::of(&spec);
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
        let mut durable = Durable::of(&spec);
        for record in records {
            durable
                .update(record)
                .map_err(|_| ReplayError { seq: durable.seq + 1, record: record.clone() })?;
        }
        Ok(Self::with(spec, durable))
    }

    /// With what runs before have taught of the kernel. It orders nothing that costs do not order; it says how long
    /// subtasks take before the first of them has ended. No part of the durable state.
    #[must_use]
    pub fn learned(mut self, before: CostModel) -> Self {
        self.cost = before;
        self
    }

    fn with(spec: JobSpec, durable: Durable) -> Self {
        let live = Live::new(&spec, &durable);
        let gang = spec.gang.then(|| gang::Gang::new(&spec));
        let mut job = Self {
            spec,
            gang,
            durable,
            live,
            cost: CostModel::default(),
            taught: CostModel::default(),
            unfinished: 0,
            failed: 0,
            finished: false,
        };
        job.count();
        job
    }

    /// Takes one event in and appends what is to be done, in order. `now` only grows.
    pub fn step(&mut self, now: Tick, event: Event, out: &mut Vec<Action>) {
        self.step_all(now, [event], out);
    }

    /// Takes several events in before anything is proposed: a part that joins and all that runs there, so that nothing is
    /// launched on cores that are taken.
    pub fn step_all(&mut self, now: Tick, events: impl IntoIterator<Item = Event>, out: &mut Vec<Action>) {
        events.into_iter().for_each(|event| self.on(now, event, out));
        if self.durable.phase != JobPhase::New {
            self.want(out);
        }
    }

    fn on(&mut self, now: Tick, event: Event, out: &mut Vec<Action>) {
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
                // The ranks of a gang wait for each other: their time says nothing of their cells.
                let is_it = self.is_heard(subtask, attempt, out);
                if is_it && outcome.success() && !stopped && self.gang.is_none() {
                    self.observe(subtask, ran_ns);
                }
                let end = on::End { outcome, stopped, checkpoint, progress_cells, result };
                self.on_ended(subtask, attempt, &end, out);
            }
            Event::Node { host, cores, usable, predicted_ns } => {
                if self.durable.phase == JobPhase::Running {
                    self.commit(Record::Node { host, cores, usable, predicted_ns }, out);
                }
            }
            Event::Measured { subtask, attempt, ran_ns, kept_ns } => {
                if self.is_heard(subtask, attempt, out) {
                    let ended_ns = now;
                    let kept_ns = kept_ns.min(ran_ns);
                    self.commit(Record::Measured { subtask, attempt, ended_ns, ran_ns, kept_ns }, out);
                }
            }
            Event::StarterLost => self.on_starter_lost(out),
            Event::Stop { reason } => self.on_stop(reason, out),
            Event::MergeEnded { status } => self.on_merge_ended(status, out),
            Event::ResultsLost { subtasks } => self.on_results_lost(&subtasks, out),
            Event::PartJoined(part) => self.on_part_joined(&part),
            Event::PartLost { part, why } => self.on_part_lost(part, why, out),
            Event::Withdrawn { node, is_withdrawn } => self.live.withdraw(node, is_withdrawn),
            Event::TakeUp => self.on_take_up(out),
            Event::Adopted { subtask, attempt, rank, part, cores } => {
                self.on_adopted(Adopted { subtask, attempt, rank, part, cores: &cores }, out);
            }
            Event::GiveUpUnknown { node } => self.on_give_up_unknown(node, out),
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
        if self.gang.is_some() {
            // One of a gang is committed when all are.
            return done && self.unfinished == 0 && self.live.last_done_seq <= self.live.durable_seq;
        }
        done && !self.live.is_uncommitted(subtask)
    }

    /// What this run alone has taught of the kernel's cost, to be kept for the next.
    #[must_use]
    pub fn taught(&self) -> &CostModel {
        &self.taught
    }

    /// Learns from a success. An attempt that went on from a checkpoint has computed only a part of its cells, nobody
    /// knows which, and teaches nothing.
    fn observe(&mut self, subtask: SubtaskId, ran_ns: u64) {
        let need = self.spec.needs.get(subtask.index()).copied();
        let from_the_beginning =
            self.durable.entries.get(subtask.index()).is_some_and(|entry| entry.from().is_none());
        if let (Some(need), true) = (need, from_the_beginning) {
            let cells = need.cells / u64::from(need.cores.max(1));
            self.cost.observe(cells, ran_ns);
            self.taught.observe(cells, ran_ns);
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
