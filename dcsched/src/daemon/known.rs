//! What the daemon remembers of jobs beside the core: their records as they were decoded, for launches, and their names,
//! for lists. All of it can be made again.

use dc_model::cluster::Wants;
use dc_model::{JobUuid, Record, SubtaskId};
use dc_spool::job::JobRecord;
use dcsched_brief::Manner;
use dcsched_core::cluster::{Cluster, JobId};
use dcsched_core::job::{Job, JobSpec, Phase};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A job's record and manner.
#[derive(Debug)]
pub struct Brief {
    /// Its record.
    pub record: JobRecord,
    /// How its ranks are treated.
    pub manner: Manner,
}

/// How far a job is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Subtasks computed.
    pub done: u32,
    /// Their cells.
    pub cells_done: u64,
    /// All cells.
    pub cells: u64,
}

/// All that is remembered.
#[derive(Debug, Default)]
pub struct Known {
    names: BTreeMap<JobUuid, String>,
    /// Of those that have ended.
    uuids: BTreeMap<JobId, JobUuid>,
    briefs: BTreeMap<JobId, Arc<Brief>>,
    tallies: BTreeMap<JobId, Tally>,
    /// Jobs that were never opened anywhere.
    fresh: BTreeSet<JobId>,
    /// Subtasks of all jobs that have not ended.
    pub subtasks: u64,
}

impl Known {
    /// What the core is told of a job of before, and its name.
    pub fn on_replayed(&mut self, wants: &Wants, bytes: &[u8]) -> Option<JobSpec> {
        let record = dc_spool::job::decode(bytes).ok()?;
        let spec = super::submission::spec_of(wants, &record);
        self.names.insert(record.uuid, record.name);
        Some(spec)
    }

    /// A job was taken.
    pub fn on_taken(&mut self, job: JobId, uuid: JobUuid, name: String, subtasks: u64) {
        self.names.insert(uuid, name);
        self.fresh.insert(job);
        self.subtasks += subtasks;
    }

    /// After replay: counts what there is.
    pub fn count(&mut self, core: &Cluster) {
        for id in core.jobs() {
            let Some(view) = core.job(id) else { continue };
            match view.status() {
                None => self.subtasks += view.job().durable().entries.len() as u64,
                Some(_) => {
                    self.uuids.insert(id, view.uuid());
                }
            }
            if view.job().durable().entries.iter().all(|entry| entry.attempt.0 == 0) {
                self.fresh.insert(id);
            }
        }
    }

    /// Whether a job is opened for the first time anywhere; it is not any more.
    pub fn take_fresh(&mut self, job: JobId) -> bool {
        self.fresh.remove(&job)
    }

    /// A job's record, decoded.
    pub fn brief(&mut self, core: &Cluster, job: JobId) -> Option<Arc<Brief>> {
        if let Some(brief) = self.briefs.get(&job) {
            return Some(Arc::clone(brief));
        }
        let view = core.job(job)?;
        let record = dc_spool::job::decode(view.record()).ok()?;
        let manner = Manner::decode(&view.wants().brief).ok()?;
        let brief = Arc::new(Brief { record, manner });
        self.briefs.insert(job, Arc::clone(&brief));
        Some(brief)
    }

    /// A job's name.
    #[must_use]
    pub fn name(&self, uuid: JobUuid) -> &str {
        self.names.get(&uuid).map_or("", String::as_str)
    }

    /// How far a job is: counted once, kept in step by [`Known::on_record`].
    pub fn tally(&mut self, id: JobId, job: &Job) -> Tally {
        *self.tallies.entry(id).or_insert_with(|| {
            let mut tally = Tally::default();
            for (need, entry) in job.spec().needs.iter().zip(&job.durable().entries) {
                tally.cells += need.cells;
                if matches!(entry.phase, Phase::Computed | Phase::Merging | Phase::Completed) {
                    tally.done += 1;
                    tally.cells_done += need.cells;
                }
            }
            tally
        })
    }

    /// A decision in a job.
    pub fn on_record(&mut self, id: JobId, record: &Record, cells: impl FnOnce(SubtaskId) -> u64) {
        match record {
            Record::Done { subtask, .. } => {
                if let Some(tally) = self.tallies.get_mut(&id) {
                    tally.done += 1;
                    tally.cells_done += cells(*subtask);
                }
            }
            // What was done may count no more.
            Record::Epoch { .. } | Record::GivenUp { .. } | Record::ResultLost { .. } => {
                self.tallies.remove(&id);
            }
            _ => {}
        }
    }

    /// A job has ended.
    pub fn on_ended(&mut self, id: JobId, uuid: JobUuid, subtasks: u64) {
        self.uuids.insert(id, uuid);
        self.briefs.remove(&id);
        self.fresh.remove(&id);
        self.subtasks = self.subtasks.saturating_sub(subtasks);
    }

    /// A job is forgotten.
    pub fn on_forgotten(&mut self, id: JobId) {
        self.briefs.remove(&id);
        self.tallies.remove(&id);
        if let Some(uuid) = self.uuids.remove(&id) {
            self.names.remove(&uuid);
        }
    }
}
