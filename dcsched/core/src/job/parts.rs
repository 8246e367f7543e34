//! Parts that join and go, and what of them the job has a use for.

use super::Job;
use super::durable::JobPhase;
use super::event::Action;
use super::on::STARTER_LOSSES_MAX;
use crate::seats::PartSpec;
use dc_model::{GiveUp, StopReason};

/// What a job would take, were it offered.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Appetite {
    /// So many cores beyond those that it has (hardware threads, where ranks are bound to those).
    pub cores: u64,
    /// So many of them on one node, at least: those of the subtask that is to start next, or of a whole gang. 0 when it
    /// wants none.
    pub piece: u32,
    /// The memory that goes with such a piece, in bytes.
    pub piece_mem_bytes: u64,
}

impl Job {
    /// How much more it could use now. Looks at a few numbers only.
    #[must_use]
    pub fn appetite(&self) -> Appetite {
        if self.durable.phase != JobPhase::Running {
            return Appetite::default();
        }
        if let Some(gang) = &self.gang {
            return if self.live.is_drained() { Appetite::default() } else { gang.appetite() };
        }
        let cores = self.live.cores_wanted();
        let Some(first) = self.live.first_queued().filter(|_| cores > 0) else { return Appetite::default() };
        let need = self.spec.needs[first.index()];
        Appetite { cores, piece: need.cores.max(1), piece_mem_bytes: need.mem_bytes }
    }

    /// Cores that the job may use from now on.
    pub(super) fn on_part_joined(&mut self, part: &PartSpec) {
        match &mut self.gang {
            Some(gang) => gang.join(&self.spec, part),
            None => self.live.join(part),
        }
    }

    /// A part is gone, and all that ran there: its subtasks wait again.
    pub(super) fn on_part_lost(&mut self, part: u32, why: GiveUp, out: &mut Vec<Action>) {
        if let Some(gang) = &mut self.gang {
            if gang.lose(part) {
                self.lose_gang(why, out);
            }
        } else {
            self.live.seats().lose(part);
            for subtask in self.live.running_on(part) {
                if let Some(attempt) = self.live.running(subtask).map(|running| running.attempt) {
                    self.give_up(subtask, attempt, why, out);
                }
            }
        }
        if why == GiveUp::StarterLost {
            self.live.starter_losses += 1;
            if self.live.starter_losses > STARTER_LOSSES_MAX {
                self.on_stop(StopReason::Error, out);
            }
        }
    }

    /// Free cores go back as soon as the job has no use for them. On one machine nobody else is there to have them.
    pub(super) fn want_release(&mut self, out: &mut Vec<Action>) {
        if !self.spec.releases {
            return;
        }
        let is_over = self.durable.phase != JobPhase::Running;
        let released = match &mut self.gang {
            Some(gang) => gang.release(is_over || self.live.is_drained()),
            None => self.live.release(is_over),
        };
        out.extend(released.into_iter().map(|(part, cores)| Action::Released { part, cores }));
    }
}
