//! Jobs of the kernel `ledger` on a cluster, and what must be true of each at its end.

use super::Cluster;
use super::query::field;
use crate::fixtures::linked_fixture;
use crate::hosts::Inside;
use crate::ledger::Ledger;
use crate::wait::within;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A job: so many subtasks of so much work, merged into a file.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name, and its files' in the shared directory.
    pub name: String,
    /// Subtasks.
    pub subtasks: u32,
    /// Steps of each subtask.
    pub steps: u64,
    /// Microseconds of each step.
    pub step_us: u64,
    /// Bytes that each subtask prints.
    pub flood: u64,
    /// More options of dcrun.
    pub options: String,
}

impl Job {
    /// Of this name, with this many subtasks of `steps` steps of 5 ms.
    #[must_use]
    pub fn new(name: &str, subtasks: u32, steps: u64) -> Self {
        Self { name: name.to_owned(), subtasks, steps, step_us: 5000, flood: 0, options: String::new() }
    }

    /// The merged file.
    #[must_use]
    pub fn merged(&self, cluster: &Cluster) -> PathBuf {
        cluster.net.shared().join(format!("{}.merged", self.name))
    }

    /// Starts dcrun for it on a host.
    pub fn start(&self, cluster: &Cluster, index: usize, options: &str) -> Inside {
        let list = cluster.net.shared().join(format!("{}.list", self.name));
        fs::write(&list, Ledger::list(self.subtasks)).unwrap();
        let merged = self.merged(cluster);
        cluster
            .ask(index, "dcrun")
            .words(options)
            .words(&self.options)
            .words(&format!(
                "-J {} --subtasks {} --merge concat:{}",
                self.name,
                list.display(),
                merged.display()
            ))
            .arg(linked_fixture("ledger"))
            .env("STEPS", self.steps.to_string())
            .env("STEP_US", self.step_us.to_string())
            .env("FLOOD", self.flood.to_string())
            .start()
    }

    /// Waits for a dcrun's end, which must be a good one, and looks at all that must be true then.
    #[track_caller]
    pub fn is_done(&self, cluster: &Cluster, dcrun: Inside) {
        let limit = Duration::from_secs(120);
        let Some(code) = dcrun.ends_within(limit) else {
            panic!("{} has not ended\n{}\n{}", self.name, dcrun.said(), cluster.said())
        };
        assert!(code == 0, "{} ended with {code}\n{}\n{}", self.name, dcrun.said(), cluster.said());
        self.is_merged(cluster);
    }

    /// The merged file has every subtask's result, once, and right.
    #[track_caller]
    pub fn is_merged(&self, cluster: &Cluster) {
        let merged = fs::read_to_string(self.merged(cluster)).unwrap_or_default();
        let wrongs = Ledger::wrongs_of_merged(&merged, self.subtasks, |_| self.steps);
        assert!(wrongs.is_empty(), "{}: {}", self.name, wrongs.join("\n"));
    }
}

impl Cluster {
    /// Waits until every job that dcqueue knows has ended, at least `count`; those that ended otherwise than `completed` are given back.
    #[track_caller]
    pub fn all_end(&self, count: usize, limit: Duration) -> Vec<serde_json::Value> {
        let is_over = |state: &str| ["completed", "failed", "cancelled", "timeout"].contains(&state);
        let all = within(limit, || {
            let jobs = self.jobs()?;
            (jobs.len() >= count && jobs.iter().all(|job| is_over(&field(job, "state")))).then_some(jobs)
        });
        let Some(jobs) = all else { panic!("not all jobs end: {:?}\n{}", self.jobs(), self.said()) };
        jobs.into_iter().filter(|job| field(job, "state") != "completed").collect()
    }
}
