//! What was done so far, counted as it happens; with what the ranks say of themselves, how far the job is.

use super::sight::{Lane, Sight};
use crate::show::progress::Progress;
use crate::show::state::Row;
use dc_model::{Record, SubtaskId};
use dc_spool::job::JobRecord;
use dcsched_core::job::{Durable, JobSpec, Phase};
use std::collections::HashMap;

/// Beyond so many subtasks their predicted times are not added up one by one.
const PREDICTED_MAX: usize = 200_000;

/// The counts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Subtasks done, those without cells among them.
    pub done: u64,
    /// Subtasks that failed for good, in this run.
    pub failed: u64,
    /// Attempts that were started again.
    pub restarts: u64,
    /// Cells of the subtasks done.
    cells_done: u64,
    /// Those of them that were done before this run.
    cells_before: u64,
    cells_total: u64,
    total: u64,
    one_each: bool,
    /// Subtasks that can run at once.
    slots: u32,
    /// When each running attempt started.
    started_ns: HashMap<SubtaskId, u64>,
}

impl Tally {
    /// Of a job as it stands.
    #[must_use]
    pub fn new(spec: &JobSpec, durable: &Durable, slots: u32) -> Self {
        let needs = &spec.needs;
        let is_done = |phase| matches!(phase, Phase::Computed | Phase::Merging | Phase::Completed);
        let done = || durable.entries.iter().zip(needs).filter(|(entry, _)| is_done(entry.phase));
        let cells_done = done().map(|(_, need)| need.cells).sum();
        Self {
            done: done().count() as u64,
            cells_done,
            cells_before: cells_done,
            cells_total: needs.iter().map(|need| need.cells).sum(),
            total: needs.len() as u64,
            one_each: needs.len() == spec.ranks as usize,
            slots,
            ..Self::default()
        }
    }

    /// Counts anew: the job was taken over as it stands.
    pub fn restart(&mut self, spec: &JobSpec, durable: &Durable) {
        *self = Self::new(spec, durable, self.slots);
    }

    /// A rank runs.
    pub fn on_started(&mut self, subtask: SubtaskId, now_ns: u64) {
        self.started_ns.insert(subtask, now_ns);
    }

    /// When a running attempt started.
    #[must_use]
    pub fn started_ns(&self, subtask: SubtaskId) -> Option<u64> {
        self.started_ns.get(&subtask).copied()
    }

    /// A decision was made.
    pub fn on_record(&mut self, record: &Record, spec: &JobSpec) {
        match record {
            Record::Done { subtask, .. } => {
                self.started_ns.remove(subtask);
                self.done += 1;
                self.cells_done += spec.needs.get(subtask.index()).map_or(0, |need| need.cells);
            }
            Record::AttemptFailed { subtask, retry, .. } => {
                self.started_ns.remove(subtask);
                self.failed += u64::from(!retry);
                self.restarts += u64::from(*retry);
            }
            Record::GivenUp { subtask, .. } => {
                self.started_ns.remove(subtask);
            }
            Record::ResultLost { subtask, .. } => {
                self.done = self.done.saturating_sub(1);
                let cells = spec.needs.get(subtask.index()).map_or(0, |need| need.cells);
                self.cells_done = self.cells_done.saturating_sub(cells);
            }
            _ => {}
        }
    }

    /// How far the job is.
    #[must_use]
    pub fn progress(&self, job: &impl Sight, now_ns: u64) -> Progress {
        let running = job.all_running();
        let mut reached: HashMap<SubtaskId, u64> = HashMap::with_capacity(running.len());
        for running in &running {
            reached.insert(running.subtask, cells_of(job, running).unwrap_or(0));
        }
        let cells_done = self.cells_done + reached.values().sum::<u64>();
        Progress {
            one_each: self.one_each,
            done: self.done,
            total: self.total,
            running: running.len() as u64,
            failed: self.failed,
            cells_done,
            cells_total: self.cells_total,
            left_ns: self.left_ns(job, &reached, cells_done, now_ns),
            restarts: self.restarts,
            elapsed_ns: now_ns,
        }
    }

    /// By what was learned of the kernel; before anything was, by how much is done in the time so far.
    fn left_ns(
        &self,
        job: &impl Sight,
        reached: &HashMap<SubtaskId, u64>,
        cells_done: u64,
        now_ns: u64,
    ) -> Option<u64> {
        let entries = job.durable().entries.iter();
        if entries.len() <= PREDICTED_MAX {
            let is_left = |phase| matches!(phase, Phase::Waiting | Phase::Granted | Phase::Computing);
            let left = entries.zip(&job.spec().needs).enumerate().filter(|(_, (e, _))| is_left(e.phase));
            let remaining = left.map(|(id, (_, need))| {
                let reached = reached.get(&SubtaskId(id as u32)).copied().unwrap_or(0);
                need.cells.saturating_sub(reached) / u64::from(need.cores.max(1))
            });
            if let Some(left_ns) = job.cost().predict_end_ns(remaining, self.slots) {
                return Some(left_ns);
            }
        }
        let here = cells_done.saturating_sub(self.cells_before);
        let left = u128::from(self.cells_total.saturating_sub(cells_done)) * u128::from(now_ns);
        (here > 0).then(|| u64::try_from(left / u128::from(here)).unwrap_or(u64::MAX))
    }

    /// What runs, for people.
    #[must_use]
    pub fn rows(&self, job: &impl Sight, record: &JobRecord, now_ns: u64) -> Vec<Row> {
        let row = |running: Lane| Row {
            rank: running.rank,
            subtask: running.subtask,
            name: name_of(record, running.subtask),
            attempt: running.attempt,
            cells_done: cells_of(job, &running),
            cells: job.spec().needs.get(running.subtask.index()).map_or(0, |need| need.cells),
            ran_ns: now_ns.saturating_sub(self.started_ns.get(&running.subtask).copied().unwrap_or(now_ns)),
        };
        job.all_running().into_iter().map(row).collect()
    }
}

/// Cells that a running attempt says it has done; never more than it has.
fn cells_of(job: &impl Sight, running: &Lane) -> Option<u64> {
    let cells = job.spec().needs.get(running.subtask.index())?.cells;
    job.cells_said(running).map(|said| said.min(cells))
}

/// A subtask's name, where the user gave it one.
#[must_use]
pub fn name_of(record: &JobRecord, subtask: SubtaskId) -> Option<String> {
    record.subtasks.get(subtask)?.name.as_deref().map(str::to_owned)
}
