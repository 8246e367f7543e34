//! Copies that this node keeps for others: `copies/UUID/ckpt/` in the state directory, laid out and verified as a job's own
//! checkpoints, the last two of a subtask. They go when the job is forgotten, or when nobody has asked for a day.

use dc_model::{Attempt, JobUuid, Restart, SubtaskId};
use dc_spool::Spool;
use dc_spool::checkpoint::{Checkpoints, Incoming};
use dc_spool::files::{Dir, FileError};
use dc_spool::layout;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Kept of a subtask.
pub(crate) const KEPT: usize = 2;
/// Of a job of which nobody has said anything for so long nothing is kept.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    /// In a state directory; nothing is made.
    pub fn new(state: &Path) -> Self {
        Self { root: state.join("copies") }
    }

    fn dir(&self, job: JobUuid) -> PathBuf {
        self.root.join(job.to_string())
    }

    /// Those of a job; `None`: there are none.
    pub fn of(&self, job: JobUuid) -> Option<Checkpoints> {
        Checkpoints::open(&Dir::open(&self.dir(job)).ok()?, job).ok()
    }

    /// Whether this one is here, whole.
    pub fn has(&self, job: JobUuid, subtask: SubtaskId, restart: Restart) -> bool {
        self.of(job).is_some_and(|copies| copies.open_verified(subtask, restart).is_ok())
    }

    /// Begins to take one.
    pub fn take(
        &self,
        job: JobUuid,
        subtask: SubtaskId,
        restart: Restart,
        bytes: u64,
    ) -> Result<(Checkpoints, Incoming), FileError> {
        Spool::make_parents(&self.root.join("x"))?;
        let dir = Dir::open(&self.root)?.subdir_or_make(job.to_string(), layout::DIR_MODE)?;
        dir.subdir_or_make(layout::CKPT, layout::DIR_MODE)?;
        let copies = Checkpoints::open(&dir, job)?;
        let incoming = copies.take(subtask, restart, bytes)?;
        self.touch(job);
        Ok((copies, incoming))
    }

    /// The job lives: what is kept of it does not age.
    pub fn touch(&self, job: JobUuid) {
        if let Ok(dir) = File::open(self.dir(job)) {
            // It ages sooner, at worst.
            let _ = dir.set_modified(SystemTime::now());
        }
    }

    /// Removes all of a job's.
    pub fn forget(&self, job: JobUuid) {
        let dir = self.dir(job);
        if dir.is_dir() {
            // What stays is removed when it is old.
            let _ = Spool::remove_at(&dir, &[]);
        }
    }

    /// Removes what is old.
    pub fn sweep(&self) {
        let now = SystemTime::now();
        for entry in std::fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let age = entry.metadata().and_then(|stat| stat.modified()).map(|at| now.duration_since(at));
            let is_job = entry.file_name().to_str().is_some_and(|name| JobUuid::parse(name).is_some());
            if is_job && matches!(age, Ok(Ok(age)) if age > AGE_MAX) {
                let _ = Spool::remove_at(&entry.path(), &[]);
            }
        }
    }
}

/// The newest valid ones of attempts before `below` in several places, each once, from the newest on.
pub(crate) fn newest(places: &[Checkpoints], subtask: SubtaskId, below: Attempt) -> Vec<Restart> {
    let mut all: Vec<Restart> =
        places.iter().flat_map(|place| place.newest(subtask, below, KEPT).unwrap_or_default()).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.dedup();
    all.truncate(KEPT);
    all
}
