//! The checkers. They see what the world sees, never what the core thinks of it.

use dc_model::cluster::ClusterRecord;
use dc_model::{Attempt, CpuSet, JobUuid, Record, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};

/// A promise that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Violation {
    /// Two attempts of one subtask ran at once.
    TwoAttempts(JobUuid, SubtaskId),
    /// An attempt was started twice.
    StartedTwice(JobUuid, SubtaskId, Attempt),
    /// Two ranks of a node had a CPU at once.
    Overbooked(String, CpuSet),
    /// A rank was started whose grant was not on disk.
    LaunchedBeforeDurable(JobUuid, SubtaskId, Attempt),
    /// A subtask ran again after its commit was on disk.
    RanAfterCommit(JobUuid, SubtaskId),
    /// A subtask was committed twice.
    CommittedTwice(JobUuid, SubtaskId),
    /// What was committed is not what that attempt produced.
    WrongResult(JobUuid, SubtaskId, Attempt),
    /// An acknowledged job is not known any more.
    JobLost(JobUuid),
    /// A job ended well without all subtasks committed.
    SubtaskLost(JobUuid, SubtaskId),
    /// A job ended with a failure that nothing in the world explains.
    Failed(JobUuid, u8),
    /// Replaying the journal gives another state than the live one.
    ReplayDiffers,
    /// The journal does not replay.
    NoReplay(String),
    /// Jobs neither ended nor had anything left to wait for.
    Stuck(Vec<JobUuid>),
    /// Something runs after all jobs have ended.
    LeftRunning(String, JobUuid),
}

/// What runs.
type Key = (JobUuid, SubtaskId);

/// What was seen.
#[derive(Default, Debug)]
pub struct Checker {
    running: BTreeMap<Key, (Attempt, String, CpuSet)>,
    started: BTreeSet<(Key, Attempt)>,
    /// Attempts that ended well.
    produced: BTreeSet<(Key, Attempt)>,
    granted: BTreeSet<(Key, Attempt)>,
    committed: BTreeSet<Key>,
    uuids: BTreeMap<u64, JobUuid>,
    /// The first one.
    pub violation: Option<Violation>,
}

impl Checker {
    /// A promise was broken.
    pub fn fail(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// A rank's process begins.
    pub fn on_start(&mut self, key: Key, attempt: Attempt, node: &str, cpus: &CpuSet) {
        if self.running.contains_key(&key) {
            self.fail(Violation::TwoAttempts(key.0, key.1));
        }
        if !self.started.insert((key, attempt)) {
            self.fail(Violation::StartedTwice(key.0, key.1, attempt));
        }
        if !self.granted.contains(&(key, attempt)) {
            self.fail(Violation::LaunchedBeforeDurable(key.0, key.1, attempt));
        }
        if self.committed.contains(&key) {
            self.fail(Violation::RanAfterCommit(key.0, key.1));
        }
        let others = self.running.values().filter(|(_, on, _)| on == node);
        if others.into_iter().any(|(_, _, other)| other.intersects(cpus)) {
            self.fail(Violation::Overbooked(node.to_owned(), cpus.clone()));
        }
        self.running.insert(key, (attempt, node.to_owned(), cpus.clone()));
    }

    /// It has ended, or was killed.
    pub fn on_end(&mut self, key: Key, attempt: Attempt, is_success: bool) {
        if self.running.get(&key).is_some_and(|(running, ..)| *running == attempt) {
            self.running.remove(&key);
        }
        if is_success {
            self.produced.insert((key, attempt));
        }
    }

    /// A node stops, and what runs there does nothing; or it goes on.
    pub fn on_pause(&mut self, node: &str, processes: &[(Key, Attempt, CpuSet)], is_paused: bool) {
        if is_paused {
            self.running.retain(|_, (_, on, _)| on != node);
            return;
        }
        for (key, attempt, cpus) in processes {
            self.running.entry(*key).or_insert_with(|| (*attempt, node.to_owned(), cpus.clone()));
        }
    }

    /// A record is on disk.
    pub fn on_durable(&mut self, record: &ClusterRecord) {
        match record {
            ClusterRecord::Submitted { job, uuid, .. } => {
                self.uuids.insert(*job, *uuid);
            }
            ClusterRecord::Job { job, record } => {
                let Some(uuid) = self.uuids.get(job).copied() else { return };
                match record {
                    Record::Granted { subtask, attempt } => {
                        self.granted.insert(((uuid, *subtask), *attempt));
                    }
                    Record::Done { subtask, attempt, .. } => {
                        let key = (uuid, *subtask);
                        if !self.committed.insert(key) {
                            self.fail(Violation::CommittedTwice(uuid, *subtask));
                        }
                        if !self.produced.contains(&(key, *attempt)) {
                            self.fail(Violation::WrongResult(uuid, *subtask, *attempt));
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Whether a subtask is committed.
    pub fn is_committed(&self, key: Key) -> bool {
        self.committed.contains(&key)
    }
}
