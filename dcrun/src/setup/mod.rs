//! From a checked command line to a job that can run: its subtasks, its directory, its starter.

mod claim;
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
pub use error::SetupError;
pub use machine::{Crew, Machine};
pub use mpi::Launcher;
pub use new::{new, plan_only};
pub use past::read_account;
pub use resume::{Resumption, resume};

use crate::report::Account;
use crate::request::View;
use dc_model::pattern::Pattern;
use dc_model::wire::{Hello, OpenMp, Sink, Source, StreamPlan};
use dc_model::{Domain, Limits, Subtask, Topology};
use dc_spool::job::{DomainKind, JobRecord, OutputTo};
use dc_spool::journal::Writer;
use dc_spool::spool::Spool;
use dcsched_core::job::{Job, JobSpec, Need};
use dcsched_core::place::{Bind, count_units};
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
    pub launcher: Option<Launcher>,
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

/// What the core is told.
fn spec(record: &JobRecord, topology: Topology) -> JobSpec {
    let options = &record.options;
    let need =
        |subtask: &Subtask| Need { cells: subtask.cells, cores: subtask.cores, mem_bytes: subtask.mem_bytes };
    let needs: Vec<_> = record.subtasks.iter().map(need).collect();
    let bind = options.bind.clone().unwrap_or_default();
    let ranks_per_core = match bind {
        _ if !options.oversubscribe => 1,
        // Entries may overlap as they like.
        Bind::Fixed(_) => options.ranks,
        _ => {
            let cores_most = needs.iter().map(|need| need.cores).max().unwrap_or(1);
            let wanted = u64::from(options.ranks) * u64::from(cores_most);
            let cores = u64::from(count_units(&topology, &bind).max(1));
            u32::try_from(wanted.div_ceil(cores)).unwrap_or(u32::MAX).max(1)
        }
    };
    JobSpec {
        needs,
        ranks: options.ranks,
        restarts: options.restarts,
        restart_on: options.failure.restart_on,
        keep_going: options.keep_going,
        gang: options.mpi.is_some(),
        merge: !options.merges.is_empty(),
        topology,
        bind,
        distribution: options.distribution,
        ranks_per_core,
        crowd: Vec::new(),
        memory_max_bytes: None,
    }
}

/// The starter's first message.
fn hello(record: &JobRecord, spool: &Spool, view: &View, openmp: bool, stdin: Source) -> Hello {
    let mut env = record.env.clone();
    let mut set = |name: &str, value: &[u8]| env.push([name.as_bytes(), b"=", value].concat());
    set("DC_JOB_NAME", record.name.as_bytes());
    set("DC_SUBTASKS_TOTAL", record.subtasks.len().to_string().as_bytes());
    if let Some(domain) = &record.domain {
        set("DC_DOMAIN", domain.file.path.as_os_str().as_bytes());
        let kind = if domain.kind == DomainKind::Mask { "mask" } else { "weights" };
        set("DC_DOMAIN_KIND", kind.as_bytes());
        set("DC_GRID", format!("{} {}", domain.nx, domain.ny).as_bytes());
    }
    Hello {
        job: record.uuid,
        spool: spool.path().as_os_str().as_bytes().to_vec(),
        cwd: record.cwd.as_os_str().as_bytes().to_vec(),
        program: record.kernel.path.as_os_str().as_bytes().to_vec(),
        argv: record.argv.clone(),
        env,
        ranks: record.options.ranks,
        grace_ms: view.grace().as_millis() as u64,
        openmp: match &record.options.bind {
            _ if !openmp => OpenMp::Untold,
            Some(Bind::Numa | Bind::Socket) => OpenMp::OnePlace,
            _ => OpenMp::Places,
        },
        streams: StreamPlan {
            unbuffered: view.unbuffered,
            label: view.label,
            lanes_are_subtasks: record.options.ranks == record.subtasks.len(),
            fresh: false,
            ..streams(record, stdin)
        },
        limits: None,
    }
}

/// What was asked for of streams, as the starter is told.
fn streams(record: &JobRecord, stdin: Source) -> StreamPlan {
    let asked = &record.options.streams;
    let sink = |to: &Option<OutputTo>| match to {
        None => Sink::Dcrun,
        Some(OutputTo::Nowhere) => Sink::Null,
        Some(OutputTo::File(pattern)) => Sink::File(pattern.clone()),
    };
    let stdout = if asked.result_stdout { Sink::Result } else { sink(&asked.stdout) };
    let stderr = sink(&asked.stderr);
    let patterns = [&stdout, &stderr].into_iter().filter_map(|sink| match sink {
        Sink::File(pattern) => Some(pattern),
        _ => None,
    });
    let input = match &stdin {
        Source::File(pattern) => Some(pattern),
        _ => None,
    };
    // Asked for only where it is wanted: it may have to come from afar.
    let wants_user =
        patterns.chain(input).filter_map(|text| Pattern::parse(text).ok()).any(|pattern| pattern.has_user());
    let user = if wants_user { user() } else { Vec::new() };
    StreamPlan { stdout, stderr, stdin, name: record.name.as_bytes().to_vec(), user, ..StreamPlan::default() }
}

/// The user's name, or number where it has none.
fn user() -> Vec<u8> {
    let uid = nix::unistd::getuid();
    let found = nix::unistd::User::from_uid(uid).ok().flatten();
    found.map_or_else(|| uid.to_string(), |user| user.name).into_bytes()
}

/// Whether the environment a job was started with leaves OpenMP to dc.
fn leaves_openmp(record: &JobRecord) -> bool {
    let sets = |var: &[u8]| {
        environment::OPENMP.iter().any(|name| var.starts_with(&[name.as_bytes(), b"="].concat()))
    };
    !record.env.iter().any(|var| sets(var))
}
