//! MPI kernels: recognised, and given a launcher or refused. One that is recognised never becomes N programs that know
//! nothing of each other, unless the user says so.

mod elf;
mod launcher;
mod libraries;
mod recognise;
mod room;

use super::Surroundings;
use crate::request::Mpi;
use crate::show::amount::{count, counted};
use dc_model::{MpiFamily, exit, size};
use recognise::{Kind, recognise};
pub use room::check_gang;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// How long all ranks may take to be there, unless `DC_MPI_TIMEOUT` says another.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The longest `DC_MPI_TIMEOUT`, in seconds.
const TIMEOUT_S_MAX: u64 = 86_400;

/// Why an MPI kernel cannot be run.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum MpiError {
    /// Its launcher is not there.
    #[error(
        "{kernel} is an MPI program ({by}: {}), and its launcher {} is not on PATH: install {}, or add it to PATH; \
         --mpi=none starts N programs that know nothing of each other",
        family.name(), wanted(*family), package(*family)
    )]
    NoLauncher {
        /// The kernel, escaped.
        kernel: String,
        /// What told.
        by: String,
        /// Whose.
        family: MpiFamily,
    },
    /// No launcher at all.
    #[error(
        "--mpi=exec: neither mpirun.openmpi nor mpiexec.hydra nor an mpirun of these is on PATH: install {} or {}",
        package(MpiFamily::OpenMpi),
        package(MpiFamily::Mpich)
    )]
    NoneAtAll,
    /// An MPI that dc cannot launch.
    #[error(
        "{kernel} is an MPI program ({by}), of an MPI that dc does not know how to launch: link it with Open MPI or MPICH, \
         name one whose launcher starts it with --mpi=exec:openmpi or --mpi=exec:mpich, or say --mpi=none to start N \
         programs that know nothing of each other"
    )]
    Foreign {
        /// The kernel, escaped.
        kernel: String,
        /// What told.
        by: String,
    },
    /// Its ranks would not all run at once.
    #[error(
        "an MPI job of {} with {} each needs {} cores at once, but this process may use \
         {allowed}; ask for fewer with -n or -c, or let ranks share cores with --oversubscribe",
        counted(u64::from(*ranks), "rank", "ranks"), counted(u64::from(*cores), "core", "cores"),
        count(*needed)
    )]
    Cores {
        /// Ranks.
        ranks: u32,
        /// Cores of each.
        cores: u32,
        /// All of them.
        needed: u64,
        /// So many there are.
        allowed: usize,
    },
    /// The memory of all ranks together.
    #[error(
        "the {ranks} ranks of an MPI job run at once, and do not find {} of memory beside each other on a node that has {}; \
         ask for less with --mem, or for fewer with -n",
        size::shown(*wanted), size::shown(*node >> 20 << 20)
    )]
    Memory {
        /// Ranks.
        ranks: u32,
        /// What all of them need, in bytes.
        wanted: u64,
        /// What they may have, in bytes.
        node: u64,
    },
    /// CPUs by number that leave some rank none.
    #[error(
        "the {ranks} ranks of an MPI job run at once: --bind must give each of them CPUs of its own; name more, or let \
         ranks share them with --oversubscribe"
    )]
    Bind {
        /// Ranks.
        ranks: u32,
    },
    /// Ranks without a subtask.
    #[error(
        "an MPI job of {ranks} ranks has only {} with cells: each rank needs one; give -n {subtasks}",
        counted(*subtasks as u64, "subtask", "subtasks")
    )]
    IdleRanks {
        /// Ranks.
        ranks: u32,
        /// Subtasks that cost anything.
        subtasks: usize,
    },
    /// `DC_MPI_TIMEOUT` that is no number.
    #[error("DC_MPI_TIMEOUT={}: not a number of seconds from 1 to {TIMEOUT_S_MAX}", given.escape_debug())]
    Timeout {
        /// Its value.
        given: String,
    },
}

impl MpiError {
    /// dcrun's exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::NoLauncher { .. } | Self::NoneAtAll => exit::NOT_FOUND,
            _ => exit::DC_ERROR,
        }
    }
}

fn wanted(family: MpiFamily) -> &'static str {
    match family {
        MpiFamily::OpenMpi => "mpirun.openmpi (or an mpirun of Open MPI)",
        MpiFamily::Mpich => "mpiexec.hydra (or an mpiexec of MPICH)",
    }
}

/// The package that has it, as Debian names it.
fn package(family: MpiFamily) -> &'static str {
    match family {
        MpiFamily::OpenMpi => "openmpi-bin",
        MpiFamily::Mpich => "mpich",
    }
}

/// How an MPI job's ranks are launched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launcher {
    /// Whose.
    pub family: MpiFamily,
    /// Its file.
    pub path: PathBuf,
    /// How long all ranks may take to be there.
    pub timeout: Duration,
}

/// What becomes of a kernel.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Decision {
    /// Its launcher; `None`: it is run as any other.
    pub launcher: Option<Launcher>,
    /// A line for the user.
    pub warning: Option<String>,
}

/// Decides how a kernel is run.
///
/// # Errors
/// When it is an MPI program and cannot be run as one.
pub fn decide(asked: Mpi, program: &Path, at: &Surroundings) -> Result<Decision, MpiError> {
    let kernel = || program.to_string_lossy().escape_debug().to_string();
    let kind = recognise(program, &at.var("LD_LIBRARY_PATH").unwrap_or_default().to_string_lossy());
    let find = |family, by: String| {
        let path = launcher::find(family, at.var("PATH"), &at.cwd);
        path.map(|path| (family, path)).ok_or_else(|| MpiError::NoLauncher { kernel: kernel(), by, family })
    };
    let (family, path) = match (asked, kind) {
        (Mpi::Auto, Kind::Plain) => return Ok(Decision::default()),
        (Mpi::None, Kind::Plain) => return Ok(Decision::default()),
        (Mpi::None, Kind::Mpi { by, .. } | Kind::Foreign { by }) => {
            let warning = format!(
                "{} is an MPI program ({by}): with --mpi=none its ranks know nothing of each other",
                kernel()
            );
            return Ok(Decision { launcher: None, warning: Some(warning) });
        }
        (Mpi::Auto | Mpi::Exec(None), Kind::Mpi { family, by }) => find(family, by)?,
        (Mpi::Auto | Mpi::Exec(None), Kind::Foreign { by }) => {
            return Err(MpiError::Foreign { kernel: kernel(), by });
        }
        (Mpi::Exec(None), Kind::Plain) => {
            launcher::usual(at.var("PATH"), &at.cwd).ok_or(MpiError::NoneAtAll)?
        }
        (Mpi::Exec(Some(family)), _) => find(family, format!("--mpi=exec:{}", family.word()))?,
    };
    Ok(Decision { launcher: Some(Launcher { family, path, timeout: timeout(at)? }), warning: None })
}

/// The launcher of a job that is gone on with.
///
/// # Errors
/// When it is not there any more.
pub fn again(family: MpiFamily, program: &Path, at: &Surroundings) -> Result<Launcher, MpiError> {
    decide(Mpi::Exec(Some(family)), program, at)?.launcher.ok_or(MpiError::NoneAtAll)
}

fn timeout(at: &Surroundings) -> Result<Duration, MpiError> {
    let Some(given) = at.var("DC_MPI_TIMEOUT").filter(|given| !given.is_empty()) else { return Ok(TIMEOUT) };
    let seconds = given.to_str().and_then(|text| text.parse().ok());
    match seconds.filter(|seconds| (1..=TIMEOUT_S_MAX).contains(seconds)) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err(MpiError::Timeout { given: given.to_string_lossy().into_owned() }),
    }
}

/// What there is here: `--mpi=list`, with what a kernel was recognised as.
#[must_use]
pub fn list(program: Option<&Path>, at: &Surroundings) -> Vec<String> {
    let mut lines: Vec<String> = MpiFamily::ALL
        .into_iter()
        .map(|family| {
            let path = launcher::find(family, at.var("PATH"), &at.cwd);
            let found = path.map_or_else(
                || format!("not found (install {})", package(family)),
                |path| path.to_string_lossy().escape_debug().to_string(),
            );
            format!("exec:{}  {}: {found}", family.word(), family.name())
        })
        .collect();
    lines.push("none  every rank a program of its own".to_owned());
    if let Some(program) = program {
        let shown = program.to_string_lossy().escape_debug().to_string();
        let kind = recognise(program, &at.var("LD_LIBRARY_PATH").unwrap_or_default().to_string_lossy());
        lines.push(match kind {
            Kind::Plain => format!("{shown} is not recognised as an MPI program"),
            Kind::Mpi { family, by } => format!("{shown} is an MPI program ({by}: {})", family.name()),
            Kind::Foreign { by } => format!("{shown} is an MPI program ({by}) that dc cannot launch"),
        });
    }
    lines
}
