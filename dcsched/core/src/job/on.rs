//! What the core makes of each event: proposals go through `commit`, nothing else changes the durable state.

use super::durable::JobPhase;
use super::event::Action;
use super::{Job, Running, restart};
use dc_model::{Attempt, GiveUp, Outcome, Record, Restart, ResultMeta, StopReason, SubtaskId, exit};

/// Starters that may be lost in a row, without a subtask done in between, before the job stops.
pub(super) const STARTER_LOSSES_MAX: u32 = 8;

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// How an attempt ended, as the starter reports it.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub outcome: Outcome,
    pub stopped: bool,
    pub checkpoint: Option<Restart>,
    pub progress_cells: u64,
    pub result: Option<ResultMeta>,
}

impl Job {
    /// Opens the epoch and gives up what an earlier one may have left running.
    pub(super) fn on_begin(&mut self, out: &mut Vec<Action>) {
        let epoch = self.durable.epoch + 1;
        let failed = (0..).map(SubtaskId).zip(&self.durable.entries);
        let failed = failed.filter(|(_, entry)| entry.phase == super::Phase::Failed);
        let failed: Vec<SubtaskId> = failed.map(|(subtask, _)| subtask).collect();
        self.commit(Record::Epoch { epoch }, out);
        failed.into_iter().for_each(|subtask| self.live.wait(&self.spec, subtask));
        for id in 0..self.durable.entries.len() {
            let entry = &self.durable.entries[id];
            if matches!(entry.phase, super::Phase::Granted | super::Phase::Computing) {
                let (subtask, attempt) = (SubtaskId(id as u32), entry.attempt);
                self.commit(Record::GivenUp { subtask, attempt, why: GiveUp::RunLost }, out);
                self.live.wait(&self.spec, subtask);
            }
        }
        self.level_gang(out);
    }

    /// Takes over the checkpoint the attempt goes on from. Without one there is nothing to remember.
    pub(super) fn on_started(
        &mut self,
        subtask: SubtaskId,
        attempt: Attempt,
        from: Option<Restart>,
        out: &mut Vec<Action>,
    ) {
        if from.is_some() && self.is_heard(subtask, attempt, out) {
            self.commit(Record::Started { subtask, attempt, from }, out);
        }
    }

    /// An attempt ended: done, failed, or given up. One that is not running here any more is nobody's.
    pub(super) fn on_ended(
        &mut self,
        subtask: SubtaskId,
        attempt: Attempt,
        end: &End,
        out: &mut Vec<Action>,
    ) {
        if !self.is_heard(subtask, attempt, out) {
            return;
        }
        if self.gang.is_some() {
            return self.on_gang_ended(subtask, end.clone(), out);
        }
        self.live.on_ended(subtask);
        let further = self.live.on_reached(subtask, end.progress_cells);
        if end.stopped {
            self.commit(Record::GivenUp { subtask, attempt, why: GiveUp::Stopped }, out);
            self.live.wait(&self.spec, subtask);
            return;
        }
        if end.outcome.success() {
            self.live.starter_losses = 0;
            self.commit(Record::Done { subtask, attempt, result: end.result }, out);
            self.live.on_done(subtask, self.durable.seq);
            return;
        }
        let checkpoint = end.checkpoint.filter(|left| left.attempt == attempt);
        let advanced = checkpoint.is_some() || further;
        let failures = self.durable.entries[subtask.index()].failures.saturating_add(1);
        let worthwhile = restart::is_worthwhile(end.outcome, advanced, self.spec.restart_on);
        let retry = worthwhile && failures <= self.spec.restarts;
        let outcome = end.outcome;
        self.commit(Record::AttemptFailed { subtask, attempt, outcome, checkpoint, advanced, retry }, out);
        if retry {
            self.live.wait(&self.spec, subtask);
        } else if !self.spec.keep_going {
            self.on_stop(StopReason::SubtaskFailed, out);
        }
    }

    /// The starter and all it ran are gone; another one gets the same subtasks, as new attempts.
    pub(super) fn on_starter_lost(&mut self, out: &mut Vec<Action>) {
        self.lose_gang(GiveUp::StarterLost, out);
        for running in self.live.all_running() {
            self.give_up(running.subtask, running.attempt, GiveUp::StarterLost, out);
        }
        self.live.starter_losses += 1;
        if self.durable.phase != JobPhase::Running {
            return;
        }
        if self.live.starter_losses > STARTER_LOSSES_MAX {
            self.on_stop(StopReason::Error, out);
        } else {
            out.push(Action::StartStarter);
        }
    }

    /// Nothing new starts; what runs is stopped. The first reason stands.
    pub(super) fn on_stop(&mut self, reason: StopReason, out: &mut Vec<Action>) {
        if !matches!(self.durable.phase, JobPhase::Running | JobPhase::Merging) {
            return;
        }
        self.commit(Record::Stopping { reason }, out);
        let signal = stop_signal(reason);
        for Running { subtask, attempt, placement, .. } in self.live.all_running() {
            out.push(Action::Stop { subtask, attempt, part: placement.part, signal });
        }
    }

    /// The merged file is in place, or it is not and the job ends with an error.
    pub(super) fn on_merge_ended(&mut self, status: u8, out: &mut Vec<Action>) {
        if !self.live.merging {
            return;
        }
        self.live.merging = false;
        if self.durable.phase == JobPhase::Merging {
            if status == exit::OK {
                self.commit(Record::Merged, out);
            } else {
                self.live.merge_failed = Some(status);
            }
        }
    }

    /// Results are gone with their nodes: these subtasks are computed again, and the merge is asked for anew after that. Only
    /// while a merge is wanted: else nobody would miss them.
    pub(super) fn on_results_lost(&mut self, subtasks: &[SubtaskId], out: &mut Vec<Action>) {
        if !self.live.merging || self.durable.phase != JobPhase::Merging || self.gang.is_some() {
            return;
        }
        for subtask in subtasks.iter().copied() {
            let entry = self.durable.entries.get(subtask.index());
            let has_result = |entry: &&super::Entry| {
                matches!(entry.phase, super::Phase::Merging | super::Phase::Computed)
                    && entry.result.is_some()
            };
            let Some(attempt) = entry.filter(has_result).map(|entry| entry.attempt) else { continue };
            self.live.merging = false;
            self.commit(Record::ResultLost { subtask, attempt }, out);
            self.live.wait(&self.spec, subtask);
        }
        self.count();
    }

    fn is_running(&self, subtask: SubtaskId, attempt: Attempt) -> bool {
        self.live.running(subtask).is_some_and(|running| running.attempt == attempt)
    }

    /// Whether what is said of this attempt counts: it runs, or ran when the scheduler was started again.
    pub(super) fn is_heard(&mut self, subtask: SubtaskId, attempt: Attempt, out: &mut Vec<Action>) -> bool {
        self.is_running(subtask, attempt) || self.is_heard_of(subtask, attempt, out)
    }
}

/// What ranks are stopped with.
pub(super) fn stop_signal(reason: StopReason) -> u8 {
    match reason {
        StopReason::Interrupted => SIGINT,
        StopReason::Signal(signal) => signal,
        _ => SIGTERM,
    }
}
