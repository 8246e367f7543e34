//! What the daemon remembers of jobs beside the core: their records as they were decoded, for launches, and their names,
//! for lists. All of it can be made again.

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

/// A job in a few numbers, from its submission to its end.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Outline {
    /// Its lanes.
    pub ranks: u32,
    /// Its subtasks.
    pub subtasks: u32,
    /// Their cells.
    pub cells: u64,
}

impl Outline {
    /// Of what the core is told.
    #[must_use]
    pub fn of(spec: &JobSpec) -> Self {
        let cells = spec.needs.iter().fold(0, |sum: u64, need| sum.saturating_add(need.cells));
        Self { ranks: spec.ranks, subtasks: spec.needs.len() as u32, cells }
    }
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
    outlines: BTreeMap<JobId, Outline>,
    tallies: BTreeMap<JobId, Tally>,
    /// Jobs that were never opened anywhere.
    fresh: BTreeSet<JobId>,
    /// Subtasks of all jobs that have not ended.
    pub subtasks: u64,
}

impl Known {
    /// A job was taken.
    pub fn on_taken(&mut self, job: JobId, uuid: JobUuid, name: String, outline: Outline) {
        self.names.insert(uuid, name);
        self.fresh.insert(job);
        self.outlines.insert(job, outline);
        self.subtasks += u64::from(outline.subtasks);
    }

    /// After replay: counts what there is.
    pub fn count(&mut self, core: &Cluster) {
        for id in core.jobs() {
            let Some(view) = core.job(id) else { continue };
            let Ok(record) = dc_spool::job::decode(view.record()) else { continue };
            let outline = match view.job() {
                Some(job) => Outline::of(job.spec()),
                None => Outline::of(&super::submission::spec_of(view.wants(), &record)),
            };
            self.outlines.insert(id, outline);
            self.names.insert(record.uuid, record.name);
            match view.status() {
                None => self.subtasks += u64::from(outline.subtasks),
                Some(_) => {
                    self.uuids.insert(id, view.uuid());
                }
            }
            let entries = view.job().map(|job| &job.durable().entries);
            if entries.is_none_or(|entries| entries.iter().all(|entry| entry.attempt.0 == 0)) {
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

    /// A job in a few numbers.
    #[must_use]
    pub fn outline(&self, id: JobId) -> Outline {
        self.outlines.get(&id).copied().unwrap_or_default()
    }

    /// A job's name.
    #[must_use]
    pub fn name(&self, uuid: JobUuid) -> &str {
        self.names.get(&uuid).map_or("", String::as_str)
    }

    /// How far a job is: counted once, kept in step by [`Known::on_record`].
    pub fn tally(&mut self, id: JobId, job: Option<&Job>) -> Tally {
        let Some(job) = job else {
            return Tally { cells: self.outline(id).cells, ..Tally::default() };
        };
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
        self.outlines.remove(&id);
        if let Some(uuid) = self.uuids.remove(&id) {
            self.names.remove(&uuid);
        }
    }
}
