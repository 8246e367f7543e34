//! Whether a job fits on this machine at all: its cores, its memory, the CPUs that were given by number. Asked before
//! anything is made, and again when a job is gone on with, perhaps on another machine.

use dc_model::{Bind, CpuSet, Rank, Subtask, SubtaskId, size};
use dc_spool::job::JobRecord;
use dcsched_core::job::JobSpec;
use dcsched_core::seats::{Misfit, check};
use thiserror::Error;

/// Why it does not fit.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FitError {
    /// More cores than there are.
    #[error(
        "subtask {subtask} needs {wanted} {what}, but this process may use {allowed}; ask for fewer with -c"
    )]
    Cores {
        /// Which.
        subtask: String,
        /// So many.
        wanted: u32,
        /// Cores or hardware threads.
        what: &'static str,
        /// There are.
        allowed: u32,
    },
    /// More memory than there is.
    #[error("subtask {subtask} needs {} of memory, and {host} has {}; ask for less with --mem", size::shown(*wanted), size::shown(*node >> 20 << 20))]
    Memory {
        /// Which.
        subtask: String,
        /// So much, in bytes.
        wanted: u64,
        /// The host.
        host: String,
        /// It has so much, in bytes.
        node: u64,
    },
    /// A CPU that is not there.
    #[error("--bind: entry {entry} names CPU {cpu}, and this process may use CPUs {allowed}")]
    Cpu {
        /// The entry, counted from 0.
        entry: u32,
        /// Its CPU.
        cpu: u32,
        /// Those that may be used.
        allowed: CpuSet,
    },
    /// Two ranks on the same CPUs.
    #[error(
        "--bind: ranks {first} and {second} would both have CPUs {cpus}: give each its own, or let them share with --oversubscribe"
    )]
    Overlap {
        /// The one.
        first: Rank,
        /// The other.
        second: Rank,
        /// What both have.
        cpus: CpuSet,
    },
    /// Fewer CPUs than cores are asked for.
    #[error(
        "--bind: rank {rank} has CPUs {cpus}, and subtask {subtask} needs {wanted}: give the rank more with mask_cpu, or ask for fewer with -c"
    )]
    Entry {
        /// The rank.
        rank: Rank,
        /// Its CPUs.
        cpus: CpuSet,
        /// The subtask.
        subtask: String,
        /// What it needs.
        wanted: u32,
    },
}

/// Whether there is more to ask than the making of the subtasks has asked.
#[must_use]
pub fn is_asked_for(record: &JobRecord) -> bool {
    matches!(record.options.bind, Some(Bind::Fixed(_))) || needs_memory(record)
}

fn needs_memory(record: &JobRecord) -> bool {
    record.subtasks.iter().any(|subtask| subtask.mem_bytes > 0)
}

/// The most memory that all ranks may have together: a limit of dcrun's own, on this machine. Nothing where nobody asks.
#[must_use]
pub fn memory_max_bytes(record: &JobRecord, is_here: bool) -> Option<u64> {
    (is_here && needs_memory(record)).then(dcd::memory_limit::own_bytes).flatten()
}

/// Tells the core of the limit on memory, and tries all needs on the idle machine.
///
/// # Errors
/// What can never run.
pub fn fit(spec: &mut JobSpec, record: &JobRecord, is_here: bool) -> Result<(), FitError> {
    spec.memory_max_bytes = memory_max_bytes(record, is_here);
    let shown =
        |id: SubtaskId| record.subtasks.get(id).map_or_else(|| id.to_string(), |s: &Subtask| s.shown(id));
    check(spec).map_err(|misfit| match misfit {
        Misfit::Cores { subtask, wanted, allowed } => {
            let what = if spec.bind == Bind::Thread { "hardware threads" } else { "cores" };
            FitError::Cores { subtask: shown(subtask), wanted, what, allowed }
        }
        Misfit::Memory { subtask, wanted, node } => {
            let host = spec.topology.host.escape_debug().to_string();
            FitError::Memory { subtask: shown(subtask), wanted, host, node }
        }
        Misfit::Cpu { entry, cpu, allowed } => FitError::Cpu { entry, cpu, allowed },
        Misfit::Overlap { first, second, cpus } => FitError::Overlap { first, second, cpus },
        Misfit::Entry { rank, cpus, subtask, wanted } => {
            FitError::Entry { rank, cpus, subtask: shown(subtask), wanted }
        }
    })
}
