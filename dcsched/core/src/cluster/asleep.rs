//! Jobs that have not begun are kept as the bytes that were submitted: what decides within a job is made when its turn is
//! near. So a hundred thousand queued jobs take little memory, no records, and no time when the scheduler starts again.

use super::{Action, Cluster, JobId};
use crate::job::{Event as JobEvent, Job, JobSpec};
use dc_model::Tick;
use dc_model::cluster::Wants;

/// Makes what the core is told of a job, of the bytes that were submitted. Always the same of the same.
pub type SpecOf = fn(&Wants, &[u8]) -> Option<JobSpec>;

/// A job of more subtasks begins when it is submitted: its bytes are not read twice.
const SUBTASKS_MAX: usize = 10_000;

impl Cluster {
    /// Jobs wait as bytes, of which this makes what the core is told. Before replay.
    #[must_use]
    pub fn with_specs(mut self, spec_of: SpecOf) -> Self {
        self.spec_of = Some(spec_of);
        self.durable.keeps_bytes = true;
        self
    }

    /// Whether a job that is submitted may wait as bytes. One without anything to compute may not: it ends at once.
    pub(super) fn may_sleep(&self, spec: &JobSpec) -> bool {
        let is_small = spec.needs.len() <= SUBTASKS_MAX;
        self.spec_of.is_some() && is_small && spec.needs.iter().any(|need| need.cells > 0)
    }

    /// Jobs begin before there are cores for them: so many that cores do not wait for the disk.
    pub(super) fn begin_ahead(&mut self, now: Tick, out: &mut Vec<Action>) {
        while self.hungry.len() - self.asleep.len() < self.config.begun_ahead
            && let Some(id) = self.asleep.first().copied()
        {
            self.wake(now, id, out);
        }
    }

    /// A job's turn is near, or something has happened to it: it begins.
    pub(super) fn wake(&mut self, now: Tick, id: JobId, out: &mut Vec<Action>) {
        if !self.asleep.remove(&id) {
            return;
        }
        self.hungry.remove(&id);
        let kept = self.durable.jobs.get(&id);
        let spec = kept.zip(self.spec_of).and_then(|(kept, of)| of(&kept.wants, &kept.record));
        let (Some(spec), Some(live)) = (spec, self.jobs.get_mut(&id)) else { return };
        live.set_job(Job::new(spec));
        self.step_job(now, id, JobEvent::Begin, out);
    }
}
