//! A new job. What takes long is begun first, and the job's directory is made last, when nothing can go wrong any more
//! that the user's input is to blame for.

use super::environment::{Environment, strip};
use super::learned::Learning;
use super::machine::Machine;
use super::place_of_files::{default_directory, name_of_kernel};
use super::plan::{Plan, predict, predict_roughly};
use super::work::{Made, make};
use super::{Ready, SetupError, Surroundings, claim, fit, kernel, manner, merge_target, mpi, stdin};
use crate::report::Account;
use crate::request::{NewJob, View, Work};
use crate::show::amount::counted;
use crate::words;
use dc_model::{JobUuid, SubtaskId};
use dc_spool::hash::FileIdentity;
use dc_spool::job::{FailurePolicy, JobOptions, JobRecord, StreamOptions};
use dc_spool::spool::{Spool, SpoolError};
use dcd::starter::compat::ASKED as COMPAT_ENV;
use dcd::topology::Found;
use dcsched_brief::{hello, spec};
use dcsched_core::job::Job;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Makes the job, its directory and its starter.
///
/// # Errors
/// When something is wrong; nothing is left behind then.
pub fn new(
    job: &NewJob,
    directory: Option<&Path>,
    view: &View,
    at: &Surroundings,
    machine: &mut Machine,
) -> Result<Ready, SetupError> {
    let program = find_kernel(job, at)?;
    let cwd = rank_directory(job, at)?;
    let merges = merge_targets(job, view, at)?;
    let kernel = FileIdentity::of(&program).map_err(SpoolError::File)?;
    // Where only the disk can refuse from here on, the starter need not wait for the rest.
    let mpi = mpi::decide(job.mpi, &program, at)?;
    let is_plain = job.work == Work::Plain && job.cores == 1 && mpi.launcher.is_none();
    let uuid = uuid()?;
    if is_plain {
        machine.call_crew(job.ranks.unwrap_or(1), uuid)?;
    }
    let settled = Settled { uuid, job, directory, view, at, kernel, cwd, merges, mpi };
    let made = settled.make(machine);
    if made.is_err() {
        machine.dismiss();
    }
    made
}

/// What was asked for, as far as it is checked.
struct Settled<'a> {
    uuid: JobUuid,
    job: &'a NewJob,
    directory: Option<&'a Path>,
    view: &'a View,
    at: &'a Surroundings,
    kernel: FileIdentity,
    cwd: PathBuf,
    merges: Vec<dc_spool::job::MergeTarget>,
    mpi: mpi::Decision,
}

impl Settled<'_> {
    fn make(self, machine: &mut Machine) -> Result<Ready, SetupError> {
        let Self { uuid, job, directory, view, at, kernel, cwd, merges, mpi } = self;
        let gang_job = mpi.launcher.as_ref().map(|_| of_gang(job, machine)).transpose()?;
        let job = gang_job.as_ref().unwrap_or(job);
        let made = make(job, &at.cwd, &mut || machine.topology())?;
        let environment = environment(job, &cwd, at);
        let record = JobRecord {
            uuid,
            name: job.name.clone().unwrap_or_else(|| name_of_kernel(&kernel.path)),
            kernel,
            argv: job.kernel.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
            cwd,
            env: environment.vars.iter().map(|(name, value)| var(name, value)).collect(),
            options: JobOptions {
                mpi: mpi.launcher.as_ref().map(|launcher| launcher.family),
                ..options(job, view, made.ranks, merges)
            },
            limits: Some(at.limits.clone()),
            domain: made.domain.as_ref().map(|(_, identity)| identity.clone()),
            subtasks: made.subtasks,
        };
        if fit::is_asked_for(&record) {
            fit::fit(&mut spec(&record, machine.topology()?), &record, machine.is_here())?;
        }
        let input = stdin::source(&record, false)?;
        let stdin_kept_bytes = stdin::kept_bytes(at.var("DC_STDIN_KEEP"))?;
        if mpi.launcher.is_some() {
            let mut spec = spec(&record, machine.topology()?);
            spec.memory_max_bytes = fit::memory_max_bytes(&record, machine.is_here());
            mpi::check_gang(&spec)?;
        }
        let path = match directory {
            Some(directory) => at.cwd.join(directory),
            None => default_directory(&record.name, record.uuid, |name| at.var(name).map(OsStr::to_owned))?,
        };
        let (spool, writer) = create(&path, directory.is_some(), &record)?;
        let others = machine.topology().and_then(|topology| Ok((topology, machine.crew(made.ranks, uuid)?)));
        let (topology, crew) = match others {
            Ok(others) => others,
            Err(error) => {
                let _ = spool.remove(); // Only what was just made is in it; the first error is the one to tell.
                return Err(error);
            }
        };
        let has_costs = job.work != Work::Plain;
        let learning = Learning::look(&record, &topology, at);
        let mut spec = spec(&record, topology);
        spec.memory_max_bytes = fit::memory_max_bytes(&record, machine.is_here());
        let mut claimed = claim::claim(&mut spec, &record, at);
        claimed.details.extend(inherited(&environment, &spec.topology));
        let known = learning.known.as_ref();
        let plan = (view.json.is_some() || has_costs).then(|| predict(&spec, made.better_split, known));
        let predicted_ns = match plan.as_ref().and_then(|plan| plan.forecast.as_ref()) {
            Some(forecast) => Some(forecast.makespan_ns),
            None => known
                .and_then(|known| predict_roughly(&spec, (0..record.subtasks.len()).map(SubtaskId), known)),
        };
        let manner = manner(&record, view, mpi.launcher.as_ref(), input);
        Ok(Ready {
            hello: {
                let mut hello = hello(&record, spool.path(), &manner);
                hello.streams.fresh = true;
                hello
            },
            account: Account::new(&record.subtasks),
            record,
            job: Job::new(spec).learned(learning.seed()),
            learning,
            predicted_ns,
            spool,
            writer,
            crew,
            domain: made.domain.map(|(domain, _)| domain),
            plan,
            has_costs,
            named_spool: directory.is_some(),
            stdin_kept_bytes,
            stdin_missed: false,
            claimed,
            launcher: manner.launcher,
            mpi_warning: mpi.warning,
            openmp: openmp_against_cores(&environment, job.cores),
        })
    }
}

/// What would be run, without running or making anything.
///
/// # Errors
/// When something is wrong with what was asked for.
pub fn plan_only(
    job: &NewJob,
    view: &View,
    at: &Surroundings,
    machine: &mut Machine,
) -> Result<(JobRecord, Plan, Found), SetupError> {
    // A kernel that is not built yet is no hindrance: nothing is run.
    let program = job.kernel.first().map_or_else(|| PathBuf::from("job"), PathBuf::from);
    let path = find_kernel(job, at).ok();
    let kernel = path.as_ref().and_then(|path| FileIdentity::of(path).ok());
    // Nor is a launcher that is not installed here.
    let launcher = path.and_then(|path| mpi::decide(job.mpi, &path, at).ok()?.launcher);
    let gang_job = launcher.as_ref().map(|_| of_gang(job, machine)).transpose()?;
    let job = gang_job.as_ref().unwrap_or(job);
    let is_there = kernel.is_some();
    let cwd = rank_directory(job, at)?;
    let merges = merge_targets(job, view, at)?;
    let Made { subtasks, ranks, better_split, .. } = make(job, &at.cwd, &mut || machine.topology())?;
    let found = machine.found()?.clone();
    let record = JobRecord {
        uuid: JobUuid([0; 16]),
        name: job.name.clone().unwrap_or_else(|| name_of_kernel(&program)),
        kernel: kernel.unwrap_or_else(|| FileIdentity::of_bytes(&program, &[])),
        argv: job.kernel.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
        cwd,
        env: Vec::new(),
        limits: None,
        options: JobOptions {
            mpi: launcher.as_ref().map(|launcher| launcher.family),
            ..options(job, view, ranks, merges)
        },
        domain: None,
        subtasks,
    };
    let learning = is_there.then(|| Learning::look(&record, &found.topology, at));
    let mut spec = spec(&record, found.topology.clone());
    fit::fit(&mut spec, &record, machine.is_here())?;
    if launcher.is_some() {
        mpi::check_gang(&spec)?;
    }
    // What other dcruns use says nothing of a machine that is only described.
    if machine.must_be_here().is_ok() {
        claim::look(&mut spec, &record, at);
    }
    let known = learning.as_ref().and_then(|learning| learning.known.as_ref());
    let plan = predict(&spec, better_split, known);
    if let Some(trouble) = learning.and_then(|learning| learning.trouble) {
        words::say(&format!("no time is predicted: {trouble}"));
    }
    Ok((record, plan, found))
}

/// A gang has as many ranks as fit beside each other, and a block for each, unless the user says otherwise.
fn of_gang(job: &NewJob, machine: &mut Machine) -> Result<NewJob, SetupError> {
    let mut job = job.clone();
    if let (Work::Domain { .. }, None) = (&job.work, job.ranks) {
        job.ranks = Some((machine.topology()?.cores.len() as u32 / job.cores).max(1));
    }
    Ok(job)
}

pub(super) fn find_kernel(job: &NewJob, at: &Surroundings) -> Result<PathBuf, SetupError> {
    let name = job.kernel.first().map_or(OsStr::new(""), |name| name.as_os_str());
    Ok(kernel::find(name, at.var("PATH"), &at.cwd)?)
}

pub(super) fn rank_directory(job: &NewJob, at: &Surroundings) -> Result<PathBuf, SetupError> {
    let Some(directory) = &job.chdir else { return Ok(at.cwd.clone()) };
    let path = at.cwd.join(directory);
    let checked = std::fs::read_dir(&path).map(drop).and_then(|()| std::fs::canonicalize(&path));
    checked.map_err(|source| SetupError::Directory { path, source })
}

pub(super) fn merge_targets(
    job: &NewJob,
    view: &View,
    at: &Surroundings,
) -> Result<Vec<dc_spool::job::MergeTarget>, SetupError> {
    let targets = job.merges.iter().map(|merge| merge_target::check(merge, view.fill.as_ref(), &at.cwd));
    targets.collect()
}

pub(super) fn environment(job: &NewJob, cwd: &Path, at: &Surroundings) -> Environment {
    let mut environment = strip(at.vars.iter().cloned());
    if job.compat_env {
        // Kept with the job's environment, so that a resume gives it again.
        environment.vars.push((COMPAT_ENV.into(), "1".into()));
    }
    if job.chdir.is_some() {
        for (name, value) in &mut environment.vars {
            if name == "PWD" {
                *value = cwd.as_os_str().to_owned();
            }
        }
    }
    environment
}

/// What was taken over from the surroundings, for those who want to know.
fn inherited(environment: &Environment, topology: &dc_model::Topology) -> Vec<String> {
    let mut lines = vec![format!("CPUs {} are allowed, by this process's affinity", topology.cpus())];
    let value =
        |wanted: &str| environment.vars.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let around =
        [("Slurm", "SLURM_JOB_ID"), ("PBS", "PBS_JOBID"), ("Flux", "FLUX_JOB_ID"), ("LSF", "LSB_JOBID")];
    for (system, name) in around {
        if let Some(job) = value(name) {
            let job = job.to_string_lossy().escape_debug().to_string();
            lines.push(format!(
                "inside job {job} of {system}; its variables about CPUs count for nothing here"
            ));
        }
    }
    if !environment.stripped.is_empty() {
        let names = environment.stripped.join(", ");
        lines.push(format!("left out of the ranks' environment, as an outer job's: {names}"));
    }
    lines
}

pub(super) fn var(name: &OsStr, value: &OsStr) -> Vec<u8> {
    [name.as_bytes(), b"=", value.as_bytes()].concat()
}

pub(super) fn options(
    job: &NewJob,
    view: &View,
    ranks: u32,
    merges: Vec<dc_spool::job::MergeTarget>,
) -> JobOptions {
    JobOptions {
        ranks,
        cores: job.cores,
        restarts: job.restarts,
        keep_going: job.keep_going,
        bind: job.bind.clone(),
        bind_verbose: job.bind_verbose,
        distribution: job.distribution,
        oversubscribe: job.oversubscribe,
        label: view.label,
        keep: view.keep,
        time_limit_ms: view.time_limit.map(|limit| limit.as_millis() as u64),
        grace_ms: view.grace().as_millis() as u64,
        mpi: None,
        merges,
        streams: StreamOptions { found: stdin::found(&job.streams.stdin), ..job.streams.clone() },
        failure: FailurePolicy { restart_on: job.restart_on, warning: view.warning },
    }
}

pub(super) fn uuid() -> Result<JobUuid, SetupError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| SetupError::System { what: "draw a job's number", source: std::io::Error::other(e) })?;
    Ok(JobUuid(bytes))
}

fn create(
    path: &Path,
    named: bool,
    record: &JobRecord,
) -> Result<(Spool, dc_spool::journal::Writer), SetupError> {
    if !named {
        Spool::make_parents(path).map_err(SetupError::StateDirectory)?;
    }
    Ok(Spool::create(path, record)?)
}

/// The user's own number of threads, where it is not that of a rank's cores.
fn openmp_against_cores(environment: &Environment, cores: u32) -> Option<String> {
    environment.openmp?;
    let (_, threads) = environment.vars.iter().find(|(name, _)| name == "OMP_NUM_THREADS")?;
    let threads = threads.to_string_lossy();
    (threads != cores.to_string()).then(|| {
        format!(
            "OMP_NUM_THREADS={threads} is left as you set it; a subtask has {} (-c)",
            counted(u64::from(cores), "core", "cores")
        )
    })
}
