//! Why a job cannot be begun or gone on with: one line each, with what to do about it.

use super::fit::FitError;
use super::kernel::KernelError;
use super::mpi::MpiError;
use crate::request::RequestError;
use crate::show::amount::counted;
use dc_lists::ListError;
use dc_model::domain::DomainError;
use dc_model::exit;
use dc_spool::files::{FileError, shown};
use dc_spool::job::JobError;
use dc_spool::spool::SpoolError;
use dcd::spawn::SpawnError;
use dcd::topology::TopologyError;
use dcsched_core::job::ReplayError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why there is no job to run.
#[derive(Debug, Error)]
pub enum SetupError {
    /// What is asked for anew does not fit the job.
    #[error(transparent)]
    Request(RequestError),
    /// The kernel cannot be run.
    #[error("cannot run the kernel: {0}")]
    Kernel(#[from] KernelError),
    /// It is an MPI program that cannot be run as one.
    #[error(transparent)]
    Mpi(#[from] MpiError),
    /// A file of the user's cannot be read.
    #[error("cannot read {}: {source}", shown(path))]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Input for a rank that there is not.
    #[error("-i {rank}: there are {total} subtasks, numbered from 0; give a smaller number, all or none")]
    InputRank {
        /// Which.
        rank: u32,
        /// So many there are.
        total: u32,
    },
    /// `DC_STDIN_KEEP` that is no number of bytes.
    #[error("DC_STDIN_KEEP={}: not a number of bytes, with or without K, M or G", given.escape_debug())]
    StdinKeep {
        /// Its value.
        given: String,
    },
    /// The domain's file is not a domain.
    #[error("{}: {source}", shown(path))]
    Domain {
        /// Which.
        path: PathBuf,
        /// Why.
        source: DomainError,
    },
    /// More tiles than a job can have.
    #[error(
        "--split {width}x{height} makes {total} tiles; {} is the most: give larger ones",
        crate::request::COUNT_MAX
    )]
    Tiles {
        /// Columns of a tile.
        width: u32,
        /// Rows of a tile.
        height: u32,
        /// So many.
        total: u64,
    },
    /// The list's file is not a list.
    #[error("{}: {source}", shown(path))]
    List {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ListError,
    },
    /// A report of a job whose directory is not there.
    #[error(
        "{} does not exist: a job's directory is removed after a success, unless it was run with --keep",
        shown(dir)
    )]
    NoJobToReport {
        /// The directory.
        dir: PathBuf,
    },
    /// A report of a job of which no attempt has ended.
    #[error("{} tells of no attempt that has ended: there is nothing to report yet", shown(dir))]
    NothingToReport {
        /// The directory.
        dir: PathBuf,
    },
    /// A report of a job of before times were kept.
    #[error(
        "{} keeps no times: an older dc ran it; what is gone on with by this one is measured",
        shown(dir)
    )]
    NoTimes {
        /// The directory.
        dir: PathBuf,
    },
    /// A list from standard input that is a terminal.
    #[error("--subtasks -: standard input is a terminal; pipe a list into dcrun, or give its file")]
    ListFromTerminal,
    /// Every subtask of the list costs nothing.
    #[error("{}: every subtask has 0 cells, so that there is nothing to run", shown(path))]
    NothingToDo {
        /// The list.
        path: PathBuf,
    },
    /// A subtask needs more cores than there are.
    #[error("{what} needs {}, but this process may use {allowed}; ask for fewer with {remedy}", counted(u64::from(*cores), "core", "cores"))]
    Cores {
        /// What asks.
        what: String,
        /// For so many.
        cores: u32,
        /// So many there are.
        allowed: usize,
        /// Where to ask for fewer.
        remedy: &'static str,
    },
    /// A node that the scheduler does not know.
    #[error("{option}: there is no node {}; dcinfo lists the nodes", name.escape_debug())]
    NoSuchNode {
        /// The option.
        option: &'static str,
        /// Its name.
        name: String,
    },
    /// No node is left.
    #[error(
        "no node may run this job: the scheduler has none yet, or -w and -x leave none; dcinfo lists the nodes"
    )]
    NoNodes,
    /// More nodes than there are.
    #[error("-N {min}: there are {nodes} nodes for this job; ranks a node are --ntasks-per-node, ranks -n")]
    TooFewNodes {
        /// So many are wanted.
        min: u32,
        /// So many there are.
        nodes: usize,
    },
    /// More cores than any node has.
    #[error("{what} needs {}, and no node for this job has more than {most}; ask for fewer with -c", counted(u64::from(*cores), "core", "cores"))]
    NodeCores {
        /// What asks.
        what: String,
        /// For so many.
        cores: u32,
        /// The largest node has so many.
        most: u32,
    },
    /// More memory than any node has.
    #[error(
        "{what} needs {wanted} of memory, and no node for this job has more than {most}; ask for less with --mem"
    )]
    NodeMemory {
        /// What asks.
        what: String,
        /// For so much.
        wanted: String,
        /// The node with the most has so much.
        most: String,
    },
    /// Something that can never run on this machine.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// `--mem-per-cpu` times the cores is beyond counting.
    #[error("--mem-per-cpu: a subtask's cores together need more memory than can be counted")]
    MemoryOverflow,
    /// Arguments that no process could be given.
    #[error(
        "subtask {subtask} has {bytes} bytes of arguments; {max} is the most that can be passed on: put them into a file"
    )]
    Arguments {
        /// Which.
        subtask: String,
        /// So many.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The working directory is none.
    #[error("-D {}: {source}", shown(path))]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// dcrun's own working directory is gone.
    #[error("the working directory cannot be told: {0}; go to another one")]
    NoDirectory(#[source] io::Error),
    /// The merged file could not be put where it should go.
    #[error("--merge into {}: {why}", shown(target))]
    Target {
        /// Which.
        target: PathBuf,
        /// Why.
        why: String,
    },
    /// The event file cannot be opened.
    #[error("--json={}: {source}", shown(path))]
    Events {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nowhere to keep the job's files.
    #[error("neither XDG_STATE_HOME nor HOME is set: say with --spool DIR where the job's files are to be")]
    NoHome,
    /// The directory above the job's cannot be made.
    #[error("{0}; say with --spool DIR where the job's files are to be")]
    StateDirectory(#[source] FileError),
    /// The job's directory.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The job's record.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The topology.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The starter.
    #[error(transparent)]
    Starter(#[from] SpawnError),
    /// Something the system refused.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The kernel of a resumed job is another one now.
    #[error(
        "the kernel {} has changed since the job was started: results would not belong together; --force goes on all the same",
        shown(path)
    )]
    KernelChanged {
        /// Its file.
        path: PathBuf,
    },
    /// The domain of a resumed job is another one now.
    #[error(
        "the domain {} has changed since the job was started: its blocks would not fit it; {remedy}",
        shown(path)
    )]
    DomainChanged {
        /// Its file.
        path: PathBuf,
        /// What helps.
        remedy: &'static str,
    },
    /// A fill value for a job that merges no grid.
    #[error("--fill: this job merges no grid; leave it out")]
    NoGrid,
    /// The journal contradicts itself.
    #[error("{}: {error}; dcspool dump shows it, the job must be started anew", shown(dir))]
    Replay {
        /// The job's directory.
        dir: PathBuf,
        /// Where.
        error: ReplayError,
    },
}

impl SetupError {
    /// dcrun's exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Kernel(error) => error.status(),
            Self::Mpi(error) => error.status(),
            _ => exit::DC_ERROR,
        }
    }

    /// For what the system refuses without the user's doing.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
