//! The merge, in a thread of its own: committed results into the files asked for, or to a command.

pub mod exec;

use dc_gather::{Fill, Format, GridReport, MergeError, Part};
use dc_model::{Domain, SubtaskId, exit};
use dc_spool::files::{Dir, shown};
use dc_spool::job::{JobRecord, MergeKind, MergeTarget};
use dc_spool::result::Results;
use dcsched_core::job::Entry;
use exec::Leash;
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
    /// For commands.
    pub around: exec::Surroundings,
    /// How a command is stopped.
    pub leash: Leash,
}

/// What became of one target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Merged {
    /// It is in place; with what one must know to read it.
    File(PathBuf, Option<String>),
    /// The command has ended well.
    Command(String),
}

/// A merge that failed: a line, and what the job ends with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// dcrun's status.
    pub status: u8,
    /// Why.
    pub text: String,
}

impl Failed {
    /// Results or target are not as they should be.
    pub fn merge(error: MergeError) -> Self {
        Self { status: exit::DC_ERROR, text: error.to_string() }
    }

    /// The system refuses something.
    pub fn own(what: &str, error: &std::io::Error) -> Self {
        Self { status: exit::DC_ERROR, text: format!("cannot {what}: {error}") }
    }
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
            committed: entry.result.as_deref().map(|meta| (entry.attempt, *meta)),
        })
        .collect()
}

impl Merge {
    /// Merges in a thread of its own, and tells the end from there; where there is no thread, at once.
    pub fn start(self, told: impl Fn(Result<Vec<Merged>, Failed>) + Clone + Send + 'static) {
        let theirs = told.clone();
        let thread = std::thread::Builder::new().name("merge".to_owned());
        if let Err(error) = thread.spawn(move || theirs(self.run())) {
            told(Err(Failed::own("start a thread", &error)));
        }
    }

    /// Merges into every target in turn, and gives those.
    ///
    /// # Errors
    /// One line; the target it is about is as it was before.
    pub fn run(self) -> Result<Vec<Merged>, Failed> {
        let results = Results::open(&self.dir, self.job).map_err(|e| Failed::merge(e.into()))?;
        self.targets.iter().map(|target| self.one(target, &results)).collect()
    }

    fn one(&self, target: &MergeTarget, results: &Results) -> Result<Merged, Failed> {
        match target.kind {
            MergeKind::Exec => {
                let command = target.path.to_string_lossy().into_owned();
                let done = exec::run(&target.path, &self.parts, results, &self.around, &self.leash);
                done.map_err(|failed| Failed {
                    text: format!("exec:{}: {}", shown(&target.path), failed.text),
                    ..failed
                })?;
                Ok(Merged::Command(command))
            }
            MergeKind::Concat => {
                dc_gather::concat(&target.path, self.parts.iter().cloned(), results)
                    .map_err(Failed::merge)?;
                Ok(Merged::File(target.path.clone(), None))
            }
            MergeKind::Grid => self.grid(target, Format::Npy, results),
            MergeKind::GridRaw => self.grid(target, Format::Raw, results),
            MergeKind::GridPgm => self.grid(target, Format::Pgm, results),
        }
    }

    fn grid(&self, target: &MergeTarget, format: Format, results: &Results) -> Result<Merged, Failed> {
        let own = |text: String| Failed { status: exit::DC_ERROR, text };
        let domain = self.domain.as_ref().ok_or_else(|| own("a grid needs the job's domain".to_owned()))?;
        let fill = target.fill.as_deref().map(str::parse::<Fill>).transpose();
        let fill = fill.map_err(|e| own(e.to_string()))?;
        let parts = self.parts.iter().cloned();
        let report = dc_gather::grid(&target.path, format, domain, parts, results, fill.as_ref());
        let report = report.map_err(Failed::merge)?;
        Ok(Merged::File(target.path.clone(), note(format, &report)))
    }
}

/// What a file does not say of itself.
fn note(format: Format, report: &GridReport) -> Option<String> {
    let GridReport { dtype, nx, ny, values_per_cell, scale, .. } = report;
    match (format, scale) {
        (Format::Raw, _) => {
            let order = if dtype.bytes() > 1 { ", little-endian" } else { "" };
            let values = if *values_per_cell > 1 { format!(" x {values_per_cell}") } else { String::new() };
            Some(format!("{ny} rows x {nx} columns{values} of {dtype}{order}"))
        }
        (_, Some(scale)) => Some(format!("1 is {}, 65535 is {}, 0 is no value", scale.min, scale.max)),
        _ => None,
    }
}
