//! From a checked command line to a job that can run: its subtasks, its directory, its starter.

mod claim;
mod elsewhere;
mod environment;
mod error;
mod fit;
mod kernel;
pub mod learned;
mod machine;
mod merge_target;
mod mpi;
mod new;
mod past;
mod place_of_files;
pub mod plan;
mod resume;
mod stdin;
mod work;

pub use claim::Claimed;
pub use elsewhere::{Submission, elsewhere};
pub use error::SetupError;
pub use machine::{Crew, Machine};
pub use new::{new, plan_only};
pub use past::read_account;
pub use place_of_files::default_directory;
pub use resume::{Resumption, domain_again, resume};

use crate::report::Account;
use crate::request::{Verbosity, View};
use dc_model::wire::{Hello, Source};
use dc_model::{Domain, Limits};
use dc_spool::job::JobRecord;
use dc_spool::journal::Writer;
use dc_spool::spool::Spool;
use dcsched_brief::{GangLauncher, Manner, leaves_openmp, wants_user};
use dcsched_core::job::Job;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What dcrun was started in.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Its working directory.
    pub cwd: PathBuf,
    /// Its environment, before anything was added.
    pub vars: Vec<(OsString, OsString)>,
    /// Its limits and its umask.
    pub limits: Limits,
}

impl Surroundings {
    /// As they are now.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub fn now() -> Result<Self, SetupError> {
        let cwd = std::env::current_dir().map_err(SetupError::NoDirectory)?;
        Ok(Self { cwd, vars: std::env::vars_os().collect(), limits: dcd::limits::own() })
    }

    /// A variable's value.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.vars.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_os_str())
    }
}

/// A job that can run.
#[derive(Debug)]
pub struct Ready {
    /// What it is.
    pub record: JobRecord,
    /// Its state.
    pub job: Job,
    /// Its directory, locked.
    pub spool: Spool,
    /// Its journal.
    pub writer: Writer,
    /// Its starter, and what it is told first.
    pub crew: Crew,
    /// The starter's first message.
    pub hello: Hello,
    /// The domain, where results are merged onto its grid.
    pub domain: Option<Domain>,
    /// What is expected of it, where somebody wants to know.
    pub plan: Option<plan::Plan>,
    /// What is known of its kernel, and where what it teaches belongs.
    pub learning: learned::Learning,
    /// Predicted time to its end, in ns.
    pub predicted_ns: Option<u64>,
    /// What its earlier runs left for the report.
    pub account: Account,
    /// Whether its subtasks have costs of their own.
    pub has_costs: bool,
    /// Whether the user named the directory.
    pub named_spool: bool,
    /// Bytes of standard input that are kept for another attempt.
    pub stdin_kept_bytes: u64,
    /// The job's standard input was a pipe, and is not there any more.
    pub stdin_missed: bool,
    /// Which CPUs it uses, and who else does.
    pub claimed: Claimed,
    /// What launches its ranks, where they are a gang.
    pub launcher: Option<GangLauncher>,
    /// A line about its MPI.
    pub mpi_warning: Option<String>,
    /// An OpenMP variable that the user has set against the cores of a rank.
    pub openmp: Option<String>,
}

/// What there is for MPI kernels, and what a kernel is.
///
/// # Errors
/// When the kernel is not there.
pub fn mpi_list(kernel: Option<&OsStr>, at: &Surroundings) -> Result<Vec<String>, SetupError> {
    let program = kernel.map(|name| kernel::find(name, at.var("PATH"), &at.cwd)).transpose()?;
    Ok(mpi::list(program.as_deref(), at))
}

/// How this run's ranks are treated.
fn manner(record: &JobRecord, view: &View, launcher: Option<&mpi::Launcher>, stdin: Source) -> Manner {
    Manner {
        grace_ms: view.grace().as_millis() as u64,
        unbuffered: view.unbuffered,
        label: view.label,
        openmp: leaves_openmp(record),
        user: if wants_user(record, &stdin) { user() } else { Vec::new() },
        stdin,
        launcher: launcher.map(|launcher| GangLauncher {
            family: launcher.family,
            path: launcher.path.as_os_str().as_bytes().to_vec(),
            timeout_ms: u64::try_from(launcher.timeout.as_millis()).unwrap_or(u64::MAX),
            verbose: view.verbosity == Verbosity::Verbose,
        }),
    }
}

/// The user's name, or number where it has none.
fn user() -> Vec<u8> {
    let uid = nix::unistd::getuid();
    let found = nix::unistd::User::from_uid(uid).ok().flatten();
    found.map_or_else(|| uid.to_string(), |user| user.name).into_bytes()
}
