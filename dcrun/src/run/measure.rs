//! What is measured in a run, for its report and for the next run's prediction. Nothing is decided by it here.

use super::Run;
use crate::setup::plan;
use dc_model::{Attempt, Outcome, SubtaskId};
use dc_spool::layout;
use dcsched_core::job::Event;

impl Run {
    /// What this run is on, and what is expected of it.
    pub(super) fn node(&self) -> Event {
        let spec = self.job.spec();
        let cores_most = spec.needs.iter().map(|need| need.cores).max().unwrap_or(1);
        Event::Node {
            host: spec.topology.host.clone(),
            cores: spec.topology.cores.len() as u32,
            usable: plan::slots(spec).saturating_mul(cores_most),
            predicted_ns: self.predicted_ns,
        }
    }

    /// An attempt has ended; its end is told to the core next.
    pub(super) fn measure(
        &mut self,
        subtask: SubtaskId,
        attempt: Attempt,
        outcome: Outcome,
        ran_ns: u64,
        stopped: bool,
    ) {
        if matches!(outcome, Outcome::NotLaunched { .. }) {
            return;
        }
        let ran_ns = self.job.share_ns(subtask, ran_ns);
        let is_done = outcome.success() && !stopped;
        let kept_ns = if is_done { 0 } else { self.kept_ns(subtask, attempt, ran_ns) };
        self.events.push_back(Event::Measured { subtask, attempt, ran_ns, kept_ns });
    }

    /// The starter is gone, and nobody will say how long its ranks ran.
    pub(super) fn measure_lost(&mut self) {
        let now_ns = self.front.now_ns();
        for running in self.job.all_running() {
            let Some(started_ns) = self.front.tally.started_ns(running.subtask) else { continue };
            let (subtask, attempt) = (running.subtask, running.attempt);
            let ran_ns = self.job.share_ns(subtask, now_ns.saturating_sub(started_ns));
            let kept_ns = self.kept_ns(subtask, attempt, ran_ns);
            self.events.push_back(Event::Measured { subtask, attempt, ran_ns, kept_ns });
        }
    }

    /// How much of an attempt that ended just now its newest checkpoint keeps: all but the time since that was
    /// written. Files are looked at here, but only after something went wrong.
    fn kept_ns(&self, subtask: SubtaskId, attempt: Attempt, ran_ns: u64) -> u64 {
        let dir = self.dir.subdir(layout::CKPT).and_then(|dir| dir.subdir(layout::subtask_dir(subtask)));
        let Ok((dir, entries)) = dir.and_then(|dir| dir.list().map(|entries| (dir, entries))) else {
            return 0;
        };
        let ages_ns = entries.iter().filter_map(|entry| {
            let at = layout::parse_checkpoint(&entry.name).filter(|at| at.attempt == attempt)?;
            let written =
                std::fs::symlink_metadata(dir.path_of(layout::checkpoint(at))).ok()?.modified().ok()?;
            // One of the future, by a clock that was set back, was written just now.
            u64::try_from(written.elapsed().unwrap_or_default().as_nanos()).ok()
        });
        ages_ns.min().map_or(0, |age_ns| ran_ns.saturating_sub(age_ns))
    }

    /// Keeps what this run has taught of its kernel. Only a hint: that it cannot be kept is nobody's trouble.
    pub(super) fn keep_taught(&self) {
        if let Err(error) = self.learning.keep(self.job.taught(), self.front.account.core_ns()) {
            self.front.tell_detail(|| format!("what this run took is not kept for predictions: {error}"));
        }
    }
}
