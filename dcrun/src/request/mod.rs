//! What is asked for, checked as far as the command line alone can tell. Knows no file and no machine.

mod error;
mod failure;
mod merge;
mod nodes;
mod placement;
mod streams;

pub use error::RequestError;
pub use failure::check_warning;
pub use merge::Merge;
pub use nodes::{Nodes, Sched, on_one_machine};
pub use placement::Memory;

use crate::cli::Cli;
use dc_model::cluster::client::WhichJob;
use dc_model::domain::{Meaning, SIDE_MAX};
use dc_model::{Bind, Distribution, MpiFamily, RestartOn};
use dc_spool::job::{JobOptions, StreamOptions, Warning};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

/// The most ranks, blocks and subtasks a job may have.
pub const COUNT_MAX: u32 = 1 << 24;
/// The most restarts a subtask may be given.
pub const RESTARTS_MAX: u32 = 1_000_000;
/// Restarts without `--restarts`.
const RESTARTS: u32 = 3;
/// Time between the signal and SIGKILL, unless `DC_GRACE` says another.
const GRACE: Duration = Duration::from_secs(30);
/// The longest `DC_GRACE`, in seconds.
pub const GRACE_S_MAX: u64 = 86_400;

/// A checked command line.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// How dcrun behaves towards its user; may be given anew at each resume.
    pub view: View,
    /// Who decides where ranks run.
    pub sched: Sched,
    /// What is to be done.
    pub task: Task,
}

/// How dcrun behaves towards its user.
#[derive(Clone, PartialEq, Debug)]
pub struct View {
    /// The rank before each line.
    pub label: bool,
    /// Output is passed on as it is read.
    pub unbuffered: bool,
    /// How much is said.
    pub verbosity: Verbosity,
    /// Events as JSON: not at all, to the default stream, or to a file.
    pub json: Option<Option<PathBuf>>,
    /// The time limit.
    pub time_limit: Option<Duration>,
    /// What ranks get before it.
    pub warning: Option<Warning>,
    /// From the signal to SIGKILL, where `DC_GRACE` says it.
    pub grace: Option<Duration>,
    /// Whether the job's files stay after a success.
    pub keep: bool,
    /// The fill value of a merged grid, checked to be a number.
    pub fill: Option<String>,
}

/// How much dcrun says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// What one should know.
    Normal,
    /// More.
    Verbose,
}

/// What is to be done.
#[derive(Clone, PartialEq, Debug)]
pub enum Task {
    /// Show what would be run.
    Plan(NewJob),
    /// Run a new job.
    Run {
        /// The job.
        job: NewJob,
        /// Its directory, when the user names one.
        spool: Option<PathBuf>,
    },
    /// Tell what became of a job.
    Report {
        /// Its directory.
        spool: PathBuf,
    },
    /// Show which MPIs there are.
    MpiList {
        /// The kernel, where one is given.
        kernel: Option<OsString>,
    },
    /// Follow a job that a scheduler has.
    Attach(WhichJob),
    /// Go on with a job.
    Resume {
        /// Its directory.
        spool: PathBuf,
        /// Whether a changed kernel or domain is taken.
        force: bool,
    },
}

/// How a kernel that may be an MPI program is launched.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Mpi {
    /// As its file tells.
    #[default]
    Auto,
    /// By the launcher of its MPI, or of this one.
    Exec(Option<MpiFamily>),
    /// As any other kernel.
    None,
}

/// A job as asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct NewJob {
    /// The kernel and its arguments; empty only for a plan.
    pub kernel: Vec<OsString>,
    /// Lanes.
    pub ranks: Option<u32>,
    /// Cores a subtask.
    pub cores: u32,
    /// Where the subtasks come from.
    pub work: Work,
    /// What becomes of the results, in this order.
    pub merges: Vec<Merge>,
    /// The job's name, when the user gives one.
    pub name: Option<String>,
    /// The ranks' directory, when it is not dcrun's.
    pub chdir: Option<PathBuf>,
    /// Restarts a subtask.
    pub restarts: u32,
    /// Which failures are tried again.
    pub restart_on: RestartOn,
    /// Whether others go on after a final failure.
    pub keep_going: bool,
    /// What ranks are bound to, when the user says.
    pub bind: Option<Bind>,
    /// Whether each rank's CPUs are told at its launch.
    pub bind_verbose: bool,
    /// How ranks are spread over the NUMA domains.
    pub distribution: Distribution,
    /// The memory of a subtask whose own line says none.
    pub memory: Memory,
    /// Whether ranks may share cores.
    pub oversubscribe: bool,
    /// Where the ranks' streams go and come from.
    pub streams: StreamOptions,
    /// Whether ranks get other launchers' variables too.
    pub compat_env: bool,
    /// How an MPI kernel is launched.
    pub mpi: Mpi,
    /// What is asked of a cluster.
    pub nodes: Nodes,
}

/// Where the subtasks come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Work {
    /// As many as ranks, of equal cost.
    Plain,
    /// Blocks of a domain.
    Domain {
        /// Its file.
        file: PathBuf,
        /// How its values are taken.
        meaning: Meaning,
        /// Into how many.
        split: Split,
    },
    /// A list.
    List {
        /// Its file.
        file: PathBuf,
    },
}

/// Into how many blocks a domain is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Split {
    /// As many as there are ranks when those are given, else as balance asks for.
    Default,
    /// As balance asks for.
    Auto,
    /// So many.
    Blocks(u32),
    /// Tiles of one shape.
    Tiles {
        /// Columns of a tile.
        width: u32,
        /// Rows of a tile.
        height: u32,
    },
}

impl View {
    /// From the signal to SIGKILL.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.grace.unwrap_or(GRACE)
    }

    /// Takes over from a job's start what was not said anew.
    pub fn inherit(&mut self, options: &JobOptions) {
        self.label |= options.label;
        self.unbuffered |= options.streams.unbuffered;
        self.keep |= options.keep;
        self.warning = self.warning.or(options.failure.warning);
        self.time_limit = self.time_limit.or(options.time_limit_ms.map(Duration::from_millis));
        self.grace = self.grace.or(Some(Duration::from_millis(options.grace_ms)));
    }
}

impl Request {
    /// Checks a command line. `grace` is the value of `DC_GRACE`, `exit_error` that of `DC_EXIT_ERROR`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(cli: Cli, grace: Option<&OsStr>, exit_error: Option<&OsStr>) -> Result<Self, RequestError> {
        failure::check_exit_error(exit_error)?;
        let view = view(&cli, grace)?;
        let sched = nodes::sched(&cli);
        let task = match (&cli.report, &cli.resume) {
            _ if cli.attach.is_some() => {
                nodes::check_attach(&cli)?;
                Task::Attach(nodes::which(cli.attach.as_deref().unwrap_or_default())?)
            }
            (Some(spool), _) => {
                check_report(&cli)?;
                Task::Report { spool: spool.clone() }
            }
            (None, Some(spool)) => {
                check_resume(&cli)?;
                Task::Resume { spool: spool.clone(), force: cli.force }
            }
            (None, None) => {
                check_warning(view.warning, view.time_limit)?;
                new_task(cli)?
            }
        };
        Ok(Self { view, sched, task })
    }
}

fn view(cli: &Cli, grace: Option<&OsStr>) -> Result<View, RequestError> {
    let verbosity = match (cli.quiet, cli.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    if let Some(fill) = &cli.fill {
        let is_number = fill.parse::<dc_gather::Fill>().is_ok();
        is_number.then_some(()).ok_or_else(|| RequestError::Fill { given: fill.clone() })?;
    }
    Ok(View {
        label: cli.label,
        unbuffered: cli.unbuffered,
        verbosity,
        json: cli.json.clone(),
        time_limit: cli.time.as_deref().map(time_limit).transpose()?.flatten(),
        grace: grace.map(grace_of).transpose()?,
        warning: cli.signal.as_deref().map(failure::warning).transpose()?,
        keep: cli.keep,
        fill: cli.fill.clone(),
    })
}

fn grace_of(given: &OsStr) -> Result<Duration, RequestError> {
    let bad = || RequestError::Grace { given: given.to_string_lossy().into_owned() };
    let seconds: f64 = given.to_str().and_then(|text| text.parse().ok()).ok_or_else(bad)?;
    if !(0.0..=GRACE_S_MAX as f64).contains(&seconds) {
        return Err(bad());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// None for 0, which means no limit.
fn time_limit(given: &str) -> Result<Option<Duration>, RequestError> {
    let limit = dc_model::timespec::parse(given)
        .map_err(|e| RequestError::Time { given: given.to_owned(), why: e.to_string() })?;
    Ok(limit.map(|limit| Duration::from_millis(limit.ms)))
}

/// A report is of what has been: nothing can be said about how it should be done.
fn check_report(cli: &Cli) -> Result<(), RequestError> {
    let others = [
        ("KERNEL", !cli.kernel.is_empty()),
        ("--resume", cli.resume.is_some()),
        ("--plan", cli.plan),
        ("--spool", cli.spool.is_some()),
        ("--keep", cli.keep),
        ("--fill", cli.fill.is_some()),
        ("-t", cli.time.is_some()),
        ("-l", cli.label),
    ];
    match others.into_iter().chain(fixed(cli)).find(|(_, given)| *given) {
        Some((option, _)) => Err(RequestError::MeaninglessWithReport { option }),
        None => Ok(()),
    }
}

/// What was fixed when the job was started cannot be given anew.
fn check_resume(cli: &Cli) -> Result<(), RequestError> {
    if !cli.kernel.is_empty() {
        return Err(RequestError::KernelWithResume);
    }
    if cli.plan {
        return Err(RequestError::PlanWithResume);
    }
    match fixed(cli).find(|(_, given)| *given) {
        Some((option, _)) => Err(RequestError::FixedAtStart { option }),
        None => Ok(()),
    }
}

/// What belongs to a job's start, and whether it was given.
fn fixed(cli: &Cli) -> impl Iterator<Item = (&'static str, bool)> {
    [
        ("-n", cli.ntasks.is_some()),
        ("-c", cli.cores.is_some()),
        ("--domain", cli.domain.is_some()),
        ("--split", cli.split.is_some()),
        ("--subtasks", cli.subtasks.is_some()),
        ("--merge", !cli.merge.is_empty()),
        ("-o", cli.output.is_some()),
        ("-e", cli.error.is_some()),
        ("-i", cli.input.is_some()),
        ("--result", cli.result.is_some()),
        ("-J", cli.job_name.is_some()),
        ("-D", cli.chdir.is_some()),
        ("--restarts", cli.restarts.is_some()),
        ("--restart-on", cli.restart_on.is_some()),
        ("--keep-going", cli.keep_going),
        ("-K", cli.kill_on_bad_exit.is_some()),
        ("--bind", cli.bind.is_some()),
        ("-m", cli.distribution.is_some()),
        ("--mem", cli.mem.is_some()),
        ("--mem-per-cpu", cli.mem_per_cpu.is_some()),
        ("--oversubscribe", cli.oversubscribe),
        ("--compat-env", cli.compat_env),
        ("--mpi", cli.mpi.is_some()),
        ("-N", cli.nodes.is_some()),
        ("--ntasks-per-node", cli.ntasks_per_node.is_some()),
        ("-w", cli.nodelist.is_some()),
        ("-x", cli.exclude.is_some()),
        ("--exclusive", cli.exclusive),
        ("--bcast", !cli.bcast.is_empty()),
        ("--detach", cli.detach),
    ]
    .into_iter()
}

fn mpi(given: Option<&str>) -> Result<Mpi, RequestError> {
    match given {
        None | Some("auto") => Ok(Mpi::Auto),
        Some("exec") => Ok(Mpi::Exec(None)),
        Some("none") => Ok(Mpi::None),
        Some(given) => {
            let family = given
                .strip_prefix("exec:")
                .and_then(|word| MpiFamily::ALL.into_iter().find(|family| family.word() == word));
            let family = family.ok_or_else(|| RequestError::Mpi { given: given.to_owned() })?;
            Ok(Mpi::Exec(Some(family)))
        }
    }
}

fn new_task(cli: Cli) -> Result<Task, RequestError> {
    if cli.mpi.as_deref() == Some("list") {
        return Ok(Task::MpiList { kernel: cli.kernel.into_iter().next() });
    }
    if cli.kernel.is_empty() && !cli.plan {
        return Err(RequestError::NoKernel);
    }
    let ranks = count("-n", cli.ntasks.as_deref(), RequestError::ZeroRanks)?;
    let cores = count("-c", cli.cores.as_deref(), RequestError::ZeroCores)?.unwrap_or(1);
    let merges = cli.merge.iter().map(|given| merge::of(given)).collect::<Result<Vec<_>, _>>()?;
    let streams = streams::streams(&cli, &merges)?;
    let keep_going = failure::keep_going(&cli)?;
    let nodes = nodes::nodes(&cli)?;
    let work = match (cli.domain, cli.subtasks) {
        (Some(given), _) => {
            let (meaning, file) = domain(given)?;
            Work::Domain { file, meaning, split: split(cli.split.as_deref())? }
        }
        (None, Some(file)) => Work::List { file },
        (None, None) => Work::Plain,
    };
    merge::check(&merges, &work, cli.fill.is_some())?;
    if let Some(name) = cli.job_name.as_ref().filter(|name| !dc_lists::is_name(name.as_bytes())) {
        return Err(RequestError::Name { given: name.clone() });
    }
    let (bind, bind_verbose) = placement::bind(cli.bind.as_deref())?;
    let job = NewJob {
        nodes,
        kernel: cli.kernel,
        ranks,
        cores,
        work,
        merges,
        name: cli.job_name,
        chdir: cli.chdir,
        restarts: restarts(cli.restarts.as_deref())?,
        restart_on: failure::restart_on(cli.restart_on.as_deref())?,
        keep_going,
        bind,
        bind_verbose,
        distribution: placement::distribution(cli.distribution.as_deref())?,
        memory: placement::memory(cli.mem.as_deref(), cli.mem_per_cpu.as_deref())?,
        oversubscribe: cli.oversubscribe,
        streams,
        compat_env: cli.compat_env,
        mpi: mpi(cli.mpi.as_deref())?,
    };
    if !cli.plan {
        return Ok(Task::Run { job, spool: cli.spool });
    }
    match [("--spool", cli.spool.is_some()), ("--keep", cli.keep)].into_iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(RequestError::MeaninglessWithPlan { option }),
        None => Ok(Task::Plan(job)),
    }
}

fn digits(given: &str) -> Option<u64> {
    let plain = !given.is_empty() && given.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| given.parse().unwrap_or(u64::MAX))
}

fn count(option: &'static str, given: Option<&str>, zero: RequestError) -> Result<Option<u32>, RequestError> {
    let Some(given) = given else { return Ok(None) };
    match digits(given) {
        Some(0) => Err(zero),
        Some(n) if n <= u64::from(COUNT_MAX) => Ok(Some(n as u32)),
        _ => Err(RequestError::NotCount { option, given: given.to_owned(), max: COUNT_MAX }),
    }
}

/// `FILE`, `mask:FILE` or `weights:FILE`.
fn domain(given: PathBuf) -> Result<(Meaning, PathBuf), RequestError> {
    let bytes = given.as_os_str().as_bytes();
    for (prefix, meaning) in [("mask:", Meaning::Mask), ("weights:", Meaning::Weights)] {
        let Some(file) = bytes.strip_prefix(prefix.as_bytes()) else { continue };
        if file.is_empty() {
            return Err(RequestError::NoDomainFile { prefix });
        }
        return Ok((meaning, PathBuf::from(OsStr::from_bytes(file))));
    }
    Ok((Meaning::AsFound, given))
}

fn split(given: Option<&str>) -> Result<Split, RequestError> {
    match given {
        None => Ok(Split::Default),
        Some("auto") => Ok(Split::Auto),
        Some(given) if given.contains('x') => tiles(given),
        given => Ok(count("--split", given, RequestError::ZeroBlocks)?.map_or(Split::Default, Split::Blocks)),
    }
}

/// `WxH`.
fn tiles(given: &str) -> Result<Split, RequestError> {
    let side = |text: &str| digits(text).filter(|n| (1..=u64::from(SIDE_MAX)).contains(n));
    let sides = given.split_once('x').and_then(|(width, height)| Some((side(width)?, side(height)?)));
    let (width, height) = sides.ok_or_else(|| RequestError::NotTiles { given: given.to_owned() })?;
    // At most SIDE_MAX.
    Ok(Split::Tiles { width: width as u32, height: height as u32 })
}

fn restarts(given: Option<&str>) -> Result<u32, RequestError> {
    let Some(given) = given else { return Ok(RESTARTS) };
    match digits(given) {
        Some(n) if n <= u64::from(RESTARTS_MAX) => Ok(n as u32),
        _ => Err(RequestError::NotRestarts { given: given.to_owned(), max: RESTARTS_MAX }),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
