//! What may be tried again, and from where: the policy as the pages have it, from the records alone.

use dc_model::{Attempt, Cause, Outcome, Record, Restart, SubtaskId};
use dcsched_core::job::JobSpec;
use std::collections::{BTreeMap, BTreeSet};

/// A subtask; nothing: the gang, whose subtasks share all of it.
type Whose = Option<SubtaskId>;

/// Restarts that may fail from one checkpoint, in a row.
const FAILED_FROM_ONE_MAX: u32 = 2;

/// Failures, and what follows from them.
#[derive(Default, Debug)]
pub(super) struct Tries {
    /// In this run.
    failures: BTreeMap<Whose, u32>,
    /// Those that may not be tried again in this run.
    spent: BTreeSet<Whose>,
    /// What attempts went on from, by what is on disk.
    from: BTreeMap<(SubtaskId, Attempt), Option<Restart>>,
    /// How often in a row attempts have failed from a checkpoint and left none.
    failed_from: BTreeMap<Whose, (Restart, u32)>,
    /// Only older ones than these may be gone on from.
    older_than: BTreeMap<Whose, Restart>,
}

fn whose(subtask: SubtaskId, gang: bool) -> Whose {
    (!gang).then_some(subtask)
}

impl Tries {
    pub fn on_run(&mut self) {
        self.failures.clear();
        self.spent.clear();
    }

    pub fn on_decision(&mut self, record: &Record, spec: &JobSpec) {
        let Record::AttemptFailed { subtask, outcome, advanced, .. } = record else { return };
        let whose = whose(*subtask, spec.gang);
        let count = self.failures.entry(whose).or_insert(0);
        *count += 1;
        let cause = match outcome {
            Outcome::Signalled(_) | Outcome::OutOfMemory => Some(Cause::Signal),
            Outcome::Exited(_) => Some(Cause::Exit),
            Outcome::NotLaunched { stage, .. } => stage.may_pass().then_some(Cause::Node),
        };
        let is_in_policy = cause.is_some_and(|cause| {
            spec.restart_on.has(cause) || (*advanced && spec.restart_on.has(Cause::Progress))
        });
        if *count > spec.restarts || !is_in_policy {
            self.spent.insert(whose);
        }
    }

    pub fn is_spent(&self, subtask: SubtaskId, gang: bool) -> bool {
        self.spent.contains(&whose(subtask, gang))
    }

    pub fn on_durable(&mut self, record: &Record, gang: bool) {
        match record {
            Record::Started { subtask, attempt, from } => {
                self.from.insert((*subtask, *attempt), *from);
            }
            Record::AttemptFailed { subtask, attempt, checkpoint, .. } => {
                let whose = whose(*subtask, gang);
                if checkpoint.is_some() {
                    self.failed_from.remove(&whose);
                    self.older_than.remove(&whose);
                } else if let Some(from) = self.from.get(&(*subtask, *attempt)).copied().flatten() {
                    let count = match self.failed_from.get(&whose) {
                        Some((same, count)) if *same == from => count + 1,
                        _ => 1,
                    };
                    self.failed_from.insert(whose, (from, count));
                    if count >= FAILED_FROM_ONE_MAX {
                        self.older_than.insert(whose, from);
                    }
                }
            }
            _ => {}
        }
    }

    pub fn is_suspect(&self, subtask: SubtaskId, from: Option<Restart>, gang: bool) -> bool {
        let older_than = self.older_than.get(&whose(subtask, gang));
        from.zip(older_than.copied()).is_some_and(|(from, older_than)| from >= older_than)
    }
}
