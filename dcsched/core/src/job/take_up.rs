//! A scheduler that was started again takes a job up: what it had granted or launched may run still. Nodes say what does;
//! what no node speaks of is given up in the end.

use super::durable::JobPhase;
use super::event::Action;
use super::on::stop_signal;
use super::running::Running;
use super::{Job, Phase};
use dc_model::{Attempt, CpuSet, GiveUp, Rank, Record, SubtaskId};

const SIGKILL: u8 = 9;

impl Job {
    /// Takes the job up where the journal left it. A job that has not begun begins.
    pub(super) fn on_take_up(&mut self, out: &mut Vec<Action>) {
        match self.durable.phase {
            JobPhase::New => return self.on_begin(out),
            JobPhase::Ended(status) => {
                self.live.ended = Some((self.durable.seq, status));
                return;
            }
            JobPhase::Merging => {
                // Whatever came of that merge, merging again gives the same.
                self.live.merging = true;
                out.push(Action::Merge);
            }
            JobPhase::Running | JobPhase::Stopping(_) | JobPhase::Merged => {}
        }
        if self.take_up_gang(out) {
            return;
        }
        for (id, entry) in (0..).map(SubtaskId).zip(&self.durable.entries) {
            match entry.phase {
                Phase::Granted => self.live.unknown.insert(id, None, None),
                Phase::Computing => {
                    self.live.seats().hold_lane(entry.rank);
                    self.live.unknown.insert(id, Some(entry.node), Some(entry.rank));
                }
                _ => {}
            }
        }
    }

    /// A node says that this runs there. What should not run is stopped.
    pub(super) fn on_adopted(&mut self, adopted: Adopted<'_>, out: &mut Vec<Action>) {
        let Adopted { subtask, attempt, part, .. } = adopted;
        let is_known = self
            .live
            .running(subtask)
            .is_some_and(|running| (running.attempt, running.placement.part) == (attempt, part));
        if is_known || self.try_adopt(adopted, out) {
            return;
        }
        out.push(Action::Stop { subtask, attempt, part, signal: SIGKILL });
    }

    fn try_adopt(&mut self, adopted: Adopted<'_>, out: &mut Vec<Action>) -> bool {
        let Adopted { subtask, attempt, rank, part, cores } = adopted;
        let is_current =
            self.durable.entries.get(subtask.index()).is_some_and(|entry| entry.attempt == attempt);
        let node = match &self.gang {
            Some(gang) => gang.node_of(part),
            None => self.live.seats().node_of(part),
        };
        let is_there = |known: Option<u32>| known.is_none() || known == node;
        if !is_current || !self.live.unknown.contains(subtask) || !is_there(self.live.unknown.node(subtask)) {
            return false;
        }
        if self.gang.is_some() {
            return self.try_adopt_in_gang(adopted, out);
        }
        let need = self.spec.needs[subtask.index()];
        let ahead = self.live.alone_on(rank, part, cores, need.mem_bytes);
        let ahead = ahead.map(|ahead| (ahead.subtask, ahead.attempt, ahead.placement.clone()));
        let (placement, behind) = match (self.live.seats().adopt(part, cores, need), ahead) {
            (Some(placement), _) => (placement, None),
            // One of the two waits for the other's end: they have lane and cores together.
            (None, Some((ahead, of, placement))) => (placement, Some((ahead, of))),
            (None, None) => return false,
        };
        if let Some(Some(lane)) = self.live.unknown.remove(subtask) {
            self.live.seats().let_lane_go(lane);
        }
        if behind.is_none() {
            self.live.seats().hold_lane(rank);
        }
        if self.durable.entries[subtask.index()].phase == Phase::Granted {
            let (cpus, node) = (placement.cpus.clone(), placement.node);
            self.commit(Record::Launched { subtask, attempt, rank, cpus, node }, out);
        }
        let number = self.durable.seq;
        self.live.on_launched(Running { subtask, attempt, rank, placement, number, behind, follower: None });
        if let JobPhase::Stopping(reason) = self.durable.phase {
            out.push(Action::Stop { subtask, attempt, part, signal: stop_signal(reason) });
        }
        true
    }

    /// Whether this attempt is unknown. If so, and its launch is not in the journal, that is made good: it has been
    /// heard of.
    pub(super) fn is_heard_of(
        &mut self,
        subtask: SubtaskId,
        attempt: Attempt,
        out: &mut Vec<Action>,
    ) -> bool {
        let entry = self.durable.entries.get(subtask.index());
        let Some(phase) = entry.filter(|entry| entry.attempt == attempt).map(|entry| entry.phase) else {
            return false;
        };
        if !self.live.unknown.contains(subtask) {
            return false;
        }
        if phase == Phase::Granted {
            let rank = self.presumed_rank(subtask);
            self.commit(Record::Launched { subtask, attempt, rank, cpus: CpuSet::new(), node: 0 }, out);
        }
        true
    }

    /// The lane that a subtask must have had, as far as can be said.
    fn presumed_rank(&self, subtask: SubtaskId) -> Rank {
        match &self.gang {
            Some(gang) => gang.rank_of(subtask).unwrap_or_default(),
            None if self.spec.ranks as usize == self.spec.needs.len() => Rank(subtask.0),
            None => Rank(0),
        }
    }

    /// What no node has spoken of is given up: what was launched on this node, or all.
    pub(super) fn on_give_up_unknown(&mut self, node: Option<u32>, out: &mut Vec<Action>) {
        let given_up = self.live.unknown.of(node);
        if self.gang.is_some() && !given_up.is_empty() {
            return self.give_up_gang(given_up, out);
        }
        for subtask in given_up {
            let attempt = self.durable.entries[subtask.index()].attempt;
            self.give_up(subtask, attempt, GiveUp::NodeLost, out);
        }
    }

    /// An attempt ends without counting, and its subtask waits again.
    pub(super) fn give_up(
        &mut self,
        subtask: SubtaskId,
        attempt: Attempt,
        why: GiveUp,
        out: &mut Vec<Action>,
    ) {
        self.live.on_ended(subtask);
        self.commit(Record::GivenUp { subtask, attempt, why }, out);
        self.live.wait(&self.spec, subtask);
    }
}

/// What a node says that it runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adopted<'a> {
    pub subtask: SubtaskId,
    pub attempt: Attempt,
    pub rank: Rank,
    pub part: u32,
    pub cores: &'a [u32],
}
