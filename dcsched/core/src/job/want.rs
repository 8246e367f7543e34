//! What the core would like next: grants, launches, the merge, the end. Each looks at queues only, and does nothing
//! the second time.

use super::durable::JobPhase;
use super::event::Action;
use super::{Job, Phase, Running};
use crate::place::Placement;
use dc_model::{Attempt, Rank, Record, StopReason, SubtaskId, exit};

/// A subtask that is expected to take longer is not followed, and follows none.
const FOLLOWED_NS_MAX: u64 = 3_000_000;

impl Job {
    /// Proposes all there is to propose.
    pub(super) fn want(&mut self, out: &mut Vec<Action>) {
        if self.durable.phase == JobPhase::Running {
            if self.gang.is_some() {
                self.want_gang(out);
            } else {
                self.want_grants(out);
                self.want_launches(out);
                self.want_followers(out);
            }
            self.want_merge(out);
        }
        self.want_end(out);
        self.want_release(out);
        self.want_sync(out);
    }

    fn want_grants(&mut self, out: &mut Vec<Action>) {
        if !self.live.has_parts() {
            // It may be long before there are cores.
            return;
        }
        while let Some(subtask) = self.live.next_to_grant() {
            let attempt = self.durable.entries[subtask.index()].attempt.next();
            self.commit(Record::Granted { subtask, attempt }, out);
            self.live.on_granted(subtask, self.durable.seq);
        }
    }

    fn want_launches(&mut self, out: &mut Vec<Action>) {
        while let Some((subtask, rank, placement)) = self.live.try_launch(&self.spec) {
            self.launch(subtask, rank, placement, None, out);
        }
    }

    /// Where subtasks take less time than it takes to ask for the next one, the next one is given ahead: the starter
    /// launches it the moment its forerunner has ended. It is bound to that lane, so that both must be short: whatever
    /// the forerunner does then, the job ends later by one such subtask at most. Only first attempts, which have no
    /// checkpoint to look for.
    fn want_followers(&mut self, out: &mut Vec<Action>) {
        loop {
            let Self { live, spec, cost, durable, .. } = &mut *self;
            let is_short = |subtask: SubtaskId| {
                let need = spec.needs[subtask.index()];
                let predicted_ns = cost.predict_ns(need.cells / u64::from(need.cores.max(1)));
                durable.entries[subtask.index()].attempt == Attempt(1)
                    && predicted_ns.is_some_and(|ns| ns <= FOLLOWED_NS_MAX)
            };
            let Some((subtask, ahead)) = live.try_follow(spec, is_short) else { return };
            let after = (ahead.subtask, ahead.attempt);
            self.launch(subtask, ahead.rank, ahead.placement, Some(after), out);
        }
    }

    fn launch(
        &mut self,
        subtask: SubtaskId,
        rank: Rank,
        placement: Placement,
        after: Option<(SubtaskId, Attempt)>,
        out: &mut Vec<Action>,
    ) {
        let entry = &self.durable.entries[subtask.index()];
        let (attempt, before) = (entry.attempt, entry.before());
        let cpus = placement.cpus.clone();
        let node = placement.node;
        self.commit(Record::Launched { subtask, attempt, rank, cpus, node }, out);
        self.live.on_launched(Running {
            subtask,
            attempt,
            rank,
            placement: placement.clone(),
            number: self.durable.seq,
            behind: after,
            follower: None,
        });
        out.push(Action::Launch { subtask, attempt, rank, placement, before, after });
    }

    /// Merging needs every subtask computed, and every one of those records on disk.
    fn want_merge(&mut self, out: &mut Vec<Action>) {
        let due = self.spec.merge
            && self.is_all_computed()
            && self.live.durable_seq >= self.live.last_done_seq
            && !self.live.merging;
        if due {
            self.commit(Record::Merging, out);
            self.live.merging = true;
            out.push(Action::Merge);
        }
    }

    fn want_end(&mut self, out: &mut Vec<Action>) {
        if let Some((seq, status)) = self.live.ended {
            if self.live.durable_seq >= seq && !self.finished {
                self.finished = true;
                out.push(Action::Finish { status });
            }
            return;
        }
        if !self.live.is_idle() || self.live.merging {
            return;
        }
        let status = match self.durable.phase {
            JobPhase::Running if self.spec.merge && self.is_all_computed() => return,
            JobPhase::Running if self.live.is_drained() => self.status_of_subtasks(),
            JobPhase::Stopping(reason) => self.status_of(reason),
            JobPhase::Merged => exit::OK,
            JobPhase::Merging => match self.live.merge_failed {
                Some(status) => status,
                None => return,
            },
            _ => return,
        };
        self.commit(Record::Ended { status }, out);
        self.live.ended = Some((self.durable.seq, status));
    }

    /// A sync is asked for only when something waits for it; else the journal groups as it likes.
    fn want_sync(&mut self, out: &mut Vec<Action>) {
        let starves = match &self.gang {
            Some(gang) => !gang.parts.is_empty() && self.live.is_held_up(),
            None => self.live.starves(),
        };
        let waits = starves
            || self.live.ended.is_some_and(|(seq, _)| seq > self.live.durable_seq)
            || (self.spec.merge && self.is_all_computed() && self.live.last_done_seq > self.live.durable_seq);
        if waits && self.live.sync_asked_seq < self.durable.seq {
            self.live.sync_asked_seq = self.durable.seq;
            out.push(Action::Sync);
        }
    }

    fn is_all_computed(&self) -> bool {
        self.unfinished == 0 && self.failed == 0
    }

    /// The highest over the final attempts that ended by themselves.
    fn status_of_subtasks(&self) -> u8 {
        let statuses = self.durable.entries.iter().filter(|entry| entry.phase != Phase::Completed);
        let highest = statuses.filter_map(|entry| entry.last).map(|last| last.status()).max();
        match highest.unwrap_or(exit::OK) {
            // A success is one of all subtasks, and the job's files go with it.
            exit::OK if !self.is_all_computed() => exit::DC_ERROR,
            status => status,
        }
    }

    fn status_of(&self, reason: StopReason) -> u8 {
        match reason {
            StopReason::SubtaskFailed => self.status_of_subtasks(),
            StopReason::TimeLimit => exit::TIME_LIMIT,
            StopReason::Interrupted => exit::INTERRUPTED,
            StopReason::Signal(signal) => exit::SIGNAL_BASE.saturating_add(signal),
            StopReason::BrokenPipe => exit::BROKEN_PIPE,
            StopReason::Error => exit::DC_ERROR,
        }
    }
}
