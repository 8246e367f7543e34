//! The subtasks of a new job: plain ones, a list's, or blocks of a domain.

use super::SetupError;
use crate::request::{COUNT_MAX, Memory, NewJob, Split, Work};
use dc_model::domain::{Domain, Meaning};
use dc_model::{Bind, Subtask, Topology};
use dc_spool::domain_file::{self, DomainFileError};
use dc_spool::hash::FileIdentity;
use dc_spool::job::{DomainIdentity, DomainKind, Subtasks};
use dcsched_core::partition::{Piece, Splitter, tiles, tiles_total};
use dcsched_core::place::count_units;
use std::ffi::OsStr;
use std::io::{IsTerminal, Read};
use std::path::Path;

/// The most bytes of arguments a subtask may add.
const ARGUMENT_BYTES_MAX: usize = 1 << 20;

/// What a job is made of.
#[derive(Debug)]
pub struct Made {
    /// The subtasks.
    pub subtasks: Subtasks,
    /// Lanes.
    pub ranks: u32,
    /// The domain, and what its file was.
    pub domain: Option<(Domain, DomainIdentity)>,
    /// A number of blocks that would end sooner.
    pub better_split: Option<u32>,
}

/// Makes the subtasks. The topology is asked for only where a number depends on it.
///
/// # Errors
/// When a file cannot be read or used, or too many cores are asked for.
pub fn make(
    job: &NewJob,
    cwd: &Path,
    topology: &mut dyn FnMut() -> Result<Topology, SetupError>,
) -> Result<Made, SetupError> {
    let made = match &job.work {
        Work::Plain => plain(job, topology),
        Work::List { file } if file.as_os_str() == "-" => {
            listed(job, Path::new("standard input"), &read_stdin()?, topology)
        }
        Work::List { file } => {
            let file = cwd.join(file);
            listed(job, &file, &read(&file)?, topology)
        }
        Work::Domain { file, meaning, split } => cut(job, &cwd.join(file), *meaning, *split, topology),
    }?;
    Ok(Made { subtasks: with_memory(made.subtasks, job.memory)?, ..made })
}

/// Each subtask that says nothing of its memory gets what was said for all.
fn with_memory(subtasks: Subtasks, memory: Memory) -> Result<Subtasks, SetupError> {
    if memory == Memory::Each(0) {
        return Ok(subtasks);
    }
    let needs_own = |subtask: &&Subtask| subtask.mem_bytes == 0;
    if subtasks.iter().filter(needs_own).any(|subtask| memory.of(subtask.cores).is_none()) {
        return Err(SetupError::MemoryOverflow);
    }
    Ok(subtasks.map(|subtask| match (subtask.mem_bytes, memory.of(subtask.cores)) {
        (0, Some(mem_bytes)) => Subtask { mem_bytes, ..subtask },
        _ => subtask,
    }))
}

type Machine<'a> = &'a mut dyn FnMut() -> Result<Topology, SetupError>;

fn plain(job: &NewJob, topology: Machine<'_>) -> Result<Made, SetupError> {
    if job.cores > 1 {
        check_cores(job, &topology()?)?;
    }
    let ranks = job.ranks.unwrap_or(1);
    let subtasks = Subtasks::plain(ranks, 1, job.cores).unwrap_or_default();
    Ok(Made { subtasks, ranks, domain: None, better_split: None })
}

/// What `-c` counts: cores, or hardware threads where ranks are bound to those. CPUs given by number are counted later.
fn allowed_cores(job: &NewJob, topology: &Topology) -> u32 {
    count_units(topology, job.bind.as_ref().unwrap_or(&Bind::Core))
}

fn check_cores(job: &NewJob, topology: &Topology) -> Result<(), SetupError> {
    let allowed = allowed_cores(job, topology) as usize;
    if job.cores as usize <= allowed {
        return Ok(());
    }
    Err(SetupError::Cores { what: "a subtask".to_owned(), cores: job.cores, allowed, remedy: "-c" })
}

fn listed(job: &NewJob, file: &Path, bytes: &[u8], topology: Machine<'_>) -> Result<Made, SetupError> {
    let format = dc_lists::Format::of(file.extension().and_then(OsStr::to_str), bytes);
    let subtasks = dc_lists::read_as(format, bytes, job.cores)
        .map_err(|source| SetupError::List { path: file.to_owned(), source })?;
    if subtasks.iter().all(|subtask| subtask.cells == 0) {
        return Err(SetupError::NothingToDo { path: file.to_owned() });
    }
    if let Some(most) = subtasks.iter().filter(|s| s.cores > 1).max_by_key(|s| s.cores) {
        let allowed = allowed_cores(job, &topology()?) as usize;
        if most.cores as usize > allowed {
            let what = format!("subtask {}", most.name.as_deref().unwrap_or("of the list"));
            return Err(SetupError::Cores { what, cores: most.cores, allowed, remedy: "-c or in the list" });
        }
    }
    for subtask in &subtasks {
        let bytes: usize = subtask.args.iter().map(Vec::len).sum();
        if bytes > ARGUMENT_BYTES_MAX {
            let subtask = subtask.name.as_deref().unwrap_or_default().to_owned();
            return Err(SetupError::Arguments { subtask, bytes, max: ARGUMENT_BYTES_MAX });
        }
    }
    let ranks = job.ranks.unwrap_or(subtasks.len() as u32);
    // The list's reader has counted them.
    let subtasks = Subtasks::from_list(subtasks).unwrap_or_default();
    Ok(Made { subtasks, ranks, domain: None, better_split: None })
}

fn cut(
    job: &NewJob,
    file: &Path,
    meaning: Meaning,
    split: Split,
    topology: Machine<'_>,
) -> Result<Made, SetupError> {
    let (domain, file_identity) = read_domain(file, meaning)?;
    let topology = topology()?;
    check_cores(job, &topology)?;
    let fitting = (allowed_cores(job, &topology) / job.cores).max(1);
    let ranks = job.ranks.unwrap_or(fitting);
    let slots = if job.oversubscribe { ranks } else { ranks.min(fitting) };
    let (pieces, better_split) = pieces(&domain, split, job.ranks, slots)?;
    let subtasks = pieces
        .iter()
        .map(|piece| Subtask { block: Some(piece.block), ..Subtask::plain(piece.cells, job.cores) });
    let subtasks = Subtasks::from_list(subtasks).unwrap_or_default();
    let identity = DomainIdentity {
        file: file_identity,
        nx: domain.nx(),
        ny: domain.ny(),
        kind: if domain.is_mask() { DomainKind::Mask } else { DomainKind::Weights },
    };
    Ok(Made { subtasks, ranks, domain: Some((domain, identity)), better_split })
}

/// The domain's pieces, and a number of them that would end sooner. Tiles are as they were asked for.
fn pieces(
    domain: &Domain,
    split: Split,
    ranks: Option<u32>,
    slots: u32,
) -> Result<(Vec<Piece>, Option<u32>), SetupError> {
    if let Split::Tiles { width, height } = split {
        let total = tiles_total(domain, width, height);
        if total > u64::from(COUNT_MAX) {
            return Err(SetupError::Tiles { width, height, total });
        }
        return Ok((tiles(domain, width, height), None));
    }
    let splitter = Splitter::new(domain);
    let (parts, better_split) = match (split, ranks) {
        (Split::Blocks(parts), _) | (Split::Default, Some(parts)) => (parts, better(&splitter, parts, slots)),
        _ => (splitter.choose_parts(slots).parts, None),
    };
    Ok((splitter.split(parts), better_split))
}

/// A number of blocks that ends sooner, when the one asked for is not good.
fn better(splitter: &Splitter<'_>, parts: u32, slots: u32) -> Option<u32> {
    let asked = splitter.predict(parts, slots);
    if asked.is_good() {
        return None;
    }
    let best = splitter.choose_parts(slots);
    (best.makespan < asked.makespan).then_some(best.parts)
}

/// Reads a domain, and tells what its file is.
pub fn read_domain(path: &Path, meaning: Meaning) -> Result<(Domain, FileIdentity), SetupError> {
    domain_file::read(path, meaning).map_err(|error| match error {
        DomainFileError::Read(source) => SetupError::Read { path: path.to_owned(), source },
        DomainFileError::Format(source) => SetupError::Domain { path: path.to_owned(), source },
    })
}

/// Reads a list from standard input, which nobody is asked to type.
fn read_stdin() -> Result<Vec<u8>, SetupError> {
    let mut stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        return Err(SetupError::ListFromTerminal);
    }
    let mut bytes = Vec::new();
    stdin
        .read_to_end(&mut bytes)
        .map_err(|source| SetupError::Read { path: "standard input".into(), source })?;
    Ok(bytes)
}

/// Reads a whole file of the user's.
pub fn read(path: &Path) -> Result<Vec<u8>, SetupError> {
    std::fs::read(path).map_err(|source| SetupError::Read { path: path.to_owned(), source })
}
