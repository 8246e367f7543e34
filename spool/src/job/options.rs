//! What was asked for on the command line and still counts when the job is gone on with.

use super::streams::StreamOptions;
use dc_model::{Bind, Distribution, MpiFamily, RestartOn};
use std::path::PathBuf;

/// The options of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobOptions {
    /// Lanes.
    pub ranks: u32,
    /// Cores a subtask, unless its line in the list says another.
    pub cores: u32,
    /// Restarts a subtask may have.
    pub restarts: u32,
    /// Whether the other subtasks go on after one has failed for good.
    pub keep_going: bool,
    /// What ranks are bound to, when the user said.
    pub bind: Option<Bind>,
    /// Whether each rank's CPUs are told at its launch.
    pub bind_verbose: bool,
    /// How ranks are spread over the NUMA domains.
    pub distribution: Distribution,
    /// Whether ranks may share cores.
    pub oversubscribe: bool,
    /// Whether each line of output begins with its rank.
    pub label: bool,
    /// Whether the job's files stay after a success.
    pub keep: bool,
    /// The time limit of one run, in ms.
    pub time_limit_ms: Option<u64>,
    /// From the signal to SIGKILL, in ms.
    pub grace_ms: u64,
    /// Whose MPI launches its ranks, where they are a gang.
    pub mpi: Option<MpiFamily>,
    /// What becomes of the results; several targets are written in this order.
    pub merges: Vec<MergeTarget>,
    /// Where the ranks' streams go and come from.
    pub streams: StreamOptions,
    /// What is done about failures.
    pub failure: FailurePolicy,
}

/// What is done about failures, and before the time limit.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FailurePolicy {
    /// What is tried again.
    pub restart_on: RestartOn,
    /// What ranks get before the time limit.
    pub warning: Option<Warning>,
}

/// A signal before the time limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The signal's number.
    pub signal: u8,
    /// To the ranks' first processes alone, and not to their groups.
    pub leaders_only: bool,
    /// How long before the limit, in ms.
    pub before_ms: u64,
}

/// A file that results are merged into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MergeTarget {
    /// How they are put together.
    pub kind: MergeKind,
    /// The file, absolute; of [`MergeKind::Exec`] the command.
    pub path: PathBuf,
    /// The value of cells without a result, as the user wrote it.
    pub fill: Option<String>,
}

/// How results are put together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum MergeKind {
    /// One after another, in the order of subtasks.
    Concat = 1,
    /// Each at its place in the domain's grid, as an array.
    Grid = 2,
    /// The same as raw values.
    GridRaw = 3,
    /// The same as an image.
    GridPgm = 4,
    /// Given to a command.
    Exec = 5,
}

impl MergeKind {
    /// From its number in the record.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Concat, Self::Grid, Self::GridRaw, Self::GridPgm, Self::Exec]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }

    /// Whether results are put at their places in the domain.
    #[must_use]
    pub fn is_grid(self) -> bool {
        matches!(self, Self::Grid | Self::GridRaw | Self::GridPgm)
    }

    /// Whether the first version of the record knew it.
    pub(super) fn is_first(self) -> bool {
        matches!(self, Self::Concat | Self::Grid)
    }
}
