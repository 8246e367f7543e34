//! The merge, in a thread of its own: committed results into the files asked for.

use dc_gather::{Fill, Part};
use dc_model::{Domain, SubtaskId};
use dc_spool::files::Dir;
use dc_spool::job::{JobRecord, MergeKind, MergeTarget};
use dc_spool::result::Results;
use dcsched_core::job::Entry;
use std::path::PathBuf;

/// All that is needed, owned by the thread.
#[derive(Debug)]
pub struct Merge {
    /// The job's directory.
    pub dir: Dir,
    /// Whose results.
    pub job: dc_model::JobUuid,
    /// What is merged.
    pub parts: Vec<Part>,
    /// Into what.
    pub targets: Vec<MergeTarget>,
    /// The domain, for grids.
    pub domain: Option<Domain>,
}

/// The parts of a job: its subtasks that cost anything, each with what was committed.
#[must_use]
pub fn parts(record: &JobRecord, entries: &[Entry]) -> Vec<Part> {
    let all = record.subtasks.iter().zip(entries).enumerate();
    all.filter(|(_, (subtask, _))| subtask.cells > 0)
        .map(|(id, (subtask, entry))| Part {
            subtask: SubtaskId(id as u32),
            name: subtask.name.clone(),
            block: subtask.block,
            committed: entry.result.map(|meta| (entry.attempt, meta)),
        })
        .collect()
}

impl Merge {
    /// Merges into every target, and gives those.
    ///
    /// # Errors
    /// One line; the target it is about is as it was before.
    pub fn run(self) -> Result<Vec<PathBuf>, String> {
        let results = Results::open(&self.dir, self.job).map_err(|e| e.to_string())?;
        let mut merged = Vec::new();
        for target in &self.targets {
            let parts = self.parts.iter().cloned();
            let done = match (target.kind, &self.domain) {
                (MergeKind::Concat, _) => dc_gather::concat(&target.path, parts, &results).map(drop),
                (MergeKind::Grid, Some(domain)) => {
                    let fill = target.fill.as_deref().map(str::parse::<Fill>).transpose();
                    let fill = fill.map_err(|e| e.to_string())?;
                    dc_gather::grid(&target.path, domain, parts, &results, fill.as_ref()).map(drop)
                }
                (MergeKind::Grid, None) => return Err("a grid needs the job's domain".to_owned()),
            };
            done.map_err(|e| e.to_string())?;
            merged.push(target.path.clone());
        }
        Ok(merged)
    }
}
