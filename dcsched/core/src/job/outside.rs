//! What the cluster around a job asks it.

use super::{Durable, Job, JobSpec, Running};
use dc_model::{Attempt, SubtaskId};

impl Job {
    /// A job of which the durable state is known, to be taken up.
    #[must_use]
    pub fn resumed(spec: JobSpec, durable: Durable) -> Self {
        Self::with(spec, durable)
    }

    /// Whether a scheduler of before has granted this attempt, and no node has spoken of it since.
    #[must_use]
    pub fn is_unknown(&self, subtask: SubtaskId, attempt: Attempt) -> bool {
        let entry = self.durable.entries.get(subtask.index());
        self.live.unknown.contains(subtask) && entry.is_some_and(|entry| entry.attempt == attempt)
    }

    /// All attempts that were launched in these parts and have not ended, by subtask; those that wait for another's lane
    /// too.
    #[must_use]
    pub fn launched_in(&self, is_meant: impl Fn(u32) -> bool) -> Vec<Running> {
        let all = self.live.all_running().into_iter();
        all.filter(|running| is_meant(running.placement.part)).collect()
    }
}
