//! A job that is gone on with: found, locked, compared with what it was, and swept of what its last run left.

use super::learned::Learning;
use super::machine::Machine;
use super::plan::predict_roughly;
use super::{Ready, SetupError, Surroundings, claim, fit, kernel, manner, mpi, stdin, work};
use crate::report::Account;
use crate::request::{Verbosity, View, check_warning};
use dc_model::SubtaskId;
use dc_model::domain::{Domain, Meaning};
use dc_spool::hash::FileIdentity;
use dc_spool::job::{DomainKind, JobRecord};
use dc_spool::spool::{Resumed, Spool, SpoolError};
use dcsched_brief::{hello, spec};
use dcsched_core::job::{Job, JobPhase};
use std::path::Path;

/// What there is to go on with.
#[derive(Debug)]
pub enum Resumption {
    /// The job.
    Ready(Box<Ready>),
    /// Nothing: it has succeeded.
    Succeeded {
        /// Its name.
        name: String,
    },
}

/// Takes a job up again.
///
/// # Errors
/// When it cannot be gone on with; it is left as it was then.
pub fn resume(
    directory: &Path,
    force: bool,
    view: &mut View,
    at: &Surroundings,
    machine: &mut Machine,
) -> Result<Resumption, SetupError> {
    let Resumed { spool, job: mut record, replay } = Spool::resume(&at.cwd.join(directory))?;
    let warns_anew = view.warning.is_some();
    view.inherit(&record.options);
    if let Err(error) = check_warning(view.warning, view.time_limit) {
        if warns_anew {
            return Err(SetupError::Request(error));
        }
        view.warning = None;
        if view.verbosity > Verbosity::Quiet {
            crate::words::say(&format!("no signal is sent before the time limit: {error}"));
        }
    }
    if let Some(fill) = &view.fill {
        let mut grids = record.options.merges.iter_mut().filter(|merge| merge.kind.is_grid()).peekable();
        grids.peek().ok_or(SetupError::NoGrid)?;
        grids.for_each(|merge| merge.fill = Some(fill.clone()));
    }
    let mut spec = spec(&record, machine.topology()?);
    fit::fit(&mut spec, &record, machine.is_here())?;
    let claimed = claim::claim(&mut spec, &record, at);
    let records = replay.records.iter().map(|(_, record)| record);
    let job = Job::replay(spec, records)
        .map_err(|error| SetupError::Replay { dir: spool.path().to_owned(), error })?;
    if job.durable().phase == JobPhase::Ended(dc_model::exit::OK) {
        return Ok(Resumption::Succeeded { name: record.name });
    }
    check_kernel(&mut record, force)?;
    let program = &record.kernel.path;
    let launcher = record.options.mpi.map(|family| mpi::again(family, program, at)).transpose()?;
    if launcher.is_some() {
        mpi::check_gang(job.spec())?;
    }
    let domain = check_domain(&record, force)?;
    let input = stdin::source(&record, true)?;
    let stdin_kept_bytes = stdin::kept_bytes(at.var("DC_STDIN_KEEP"))?;
    let stdin_missed = stdin::is_missed(&record, &input);
    // Ranks of a run that was killed may still be dying, or hide from their starter's end.
    dcd::sweep::sweep_job(record.uuid).map_err(SetupError::system("end what the job's last run left"))?;
    let crew = machine.crew(record.options.ranks, record.uuid)?;
    let writer = spool.next_epoch(&replay)?;
    let manner = manner(&record, view, launcher.as_ref(), input);
    let mut hello = hello(&record, spool.path(), &manner);
    // Where they are the present ones the starter has them already.
    hello.limits = record.limits.clone().filter(|limits| *limits != at.limits);
    let mut account = Account::new(&record.subtasks);
    replay.records.iter().for_each(|(_, record)| account.on_record(record));
    let learning = Learning::look(&record, &machine.topology()?, at);
    let left = job.durable().entries.iter().enumerate().filter(|(_, entry)| entry.is_unfinished());
    let left = left.map(|(id, _)| SubtaskId(id as u32));
    let predicted_ns = learning.known.as_ref().and_then(|known| predict_roughly(job.spec(), left, known));
    let job = job.learned(learning.seed());
    let has_costs = record.domain.is_some() || record.subtasks.iter().any(|subtask| subtask.cells != 1);
    Ok(Resumption::Ready(Box::new(Ready {
        record,
        job,
        spool,
        writer,
        crew,
        hello,
        domain,
        plan: None,
        has_costs,
        learning,
        predicted_ns,
        account,
        named_spool: true,
        stdin_kept_bytes,
        stdin_missed,
        claimed,
        launcher: manner.launcher,
        mpi_warning: None,
        openmp: None,
    })))
}

fn check_kernel(record: &mut JobRecord, force: bool) -> Result<(), SetupError> {
    let path = record.kernel.path.clone();
    kernel::find(path.as_os_str(), None, Path::new("/"))?;
    let found = FileIdentity::of(&path).map_err(SpoolError::File)?;
    if found.same_content(&record.kernel) || force {
        return Ok(());
    }
    Err(SetupError::KernelChanged { path })
}

/// The domain of a job that was submitted before, as it was then.
///
/// # Errors
/// When it has changed, or cannot be read.
pub fn domain_again(record: &JobRecord) -> Result<Option<Domain>, SetupError> {
    check_domain(record, false)
}

/// The domain again, where results are put onto its grid. A forced other one must still have the same shape.
fn check_domain(record: &JobRecord, force: bool) -> Result<Option<Domain>, SetupError> {
    let Some(identity) = &record.domain else { return Ok(None) };
    let path = identity.file.path.clone();
    let changed = |remedy| SetupError::DomainChanged { path: path.clone(), remedy };
    if !FileIdentity::of(&path).map_err(SpoolError::File)?.same_content(&identity.file) && !force {
        return Err(changed("--force goes on all the same"));
    }
    let meaning = match identity.kind {
        DomainKind::Mask => Meaning::Mask,
        DomainKind::Weights => Meaning::Weights,
    };
    let (domain, _) = work::read_domain(&path, meaning)?;
    if (domain.nx(), domain.ny()) != (identity.nx, identity.ny) {
        return Err(changed("its grid has another shape now: put it back"));
    }
    Ok(Some(domain))
}
