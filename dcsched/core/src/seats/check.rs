//! Whether every subtask can run on this node at all, when nothing else does: asked before anything starts.

use super::Seats;
use crate::job::{JobSpec, Need};
use crate::place::Bind;
use dc_model::{CpuSet, Rank, SubtaskId};

/// What can never run here. Amounts of memory are in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Misfit {
    /// A subtask needs more cores than there are.
    Cores {
        /// The one that needs most.
        subtask: SubtaskId,
        /// So many.
        wanted: u32,
        /// There are (cores, or hardware threads where ranks are bound to those).
        allowed: u32,
    },
    /// A subtask needs more memory than the node has.
    Memory {
        /// The one that needs most.
        subtask: SubtaskId,
        /// So much.
        wanted: u64,
        /// The node has.
        node: u64,
    },
    /// A CPU that a rank was given by number is not there, or not allowed.
    Cpu {
        /// The first entry with such a CPU, counted from 0.
        entry: u32,
        /// It.
        cpu: u32,
        /// Those that are allowed.
        allowed: CpuSet,
    },
    /// Two entries share CPUs, and ranks must not.
    Overlap {
        /// The rank of the first.
        first: Rank,
        /// The rank of the second.
        second: Rank,
        /// What both have.
        cpus: CpuSet,
    },
    /// An entry has fewer CPUs than a subtask needs cores.
    Entry {
        /// The rank.
        rank: Rank,
        /// Its CPUs.
        cpus: CpuSet,
        /// The subtask.
        subtask: SubtaskId,
        /// What it needs.
        wanted: u32,
    },
}

/// Tries every need against the idle node.
///
/// # Errors
/// The first thing that does not fit.
pub fn check(spec: &JobSpec) -> Result<(), Misfit> {
    let live = || (0..).map(SubtaskId).zip(&spec.needs).filter(|(_, need)| need.cells > 0);
    if let Bind::Fixed(entries) = &spec.bind {
        check_entries(spec, entries)?;
        let used = entries.len().min(spec.ranks as usize).max(1);
        let own = spec.ranks as usize == spec.needs.len();
        for (rank, cpus) in (0u32..).zip(entries.iter().take(used)) {
            let comes = live().filter(|(subtask, _)| !own || subtask.index() % used == rank as usize);
            let too_much = hungriest(comes).filter(|(_, need)| need.cores as usize > cpus.len());
            if let Some((subtask, need)) = too_much {
                let (rank, cpus) = (Rank(rank), cpus.clone());
                return Err(Misfit::Entry { rank, cpus, subtask, wanted: need.cores });
            }
        }
    }
    let seats = Seats::new(spec);
    let allowed = seats.parts.iter().map(|part| part.pool.cores()).max().unwrap_or(0);
    if let Some((subtask, need)) = hungriest(live()).filter(|(_, need)| need.cores > allowed) {
        return Err(Misfit::Cores { subtask, wanted: need.cores, allowed });
    }
    let node = seats.parts.iter().map(|part| part.pool.memory_bytes()).max().unwrap_or(0);
    let greediest = live().fold(None, |most: Option<(SubtaskId, u64)>, (subtask, need)| {
        if most.is_some_and(|(_, bytes)| bytes >= need.mem_bytes) {
            most
        } else {
            Some((subtask, need.mem_bytes))
        }
    });
    match greediest.filter(|(_, wanted)| *wanted > node) {
        Some((subtask, wanted)) => Err(Misfit::Memory { subtask, wanted, node }),
        None => Ok(()),
    }
}

fn check_entries(spec: &JobSpec, entries: &[CpuSet]) -> Result<(), Misfit> {
    let allowed = spec.topology.cpus();
    for (entry, cpus) in (0..).zip(entries) {
        if let Some(cpu) = cpus.iter().find(|cpu| !allowed.contains(*cpu)) {
            return Err(Misfit::Cpu { entry, cpu, allowed });
        }
    }
    if spec.ranks_per_core > 1 {
        return Ok(());
    }
    let mut taken: Vec<Option<u32>> = Vec::new();
    for (rank, cpus) in (0u32..).zip(entries.iter().take(spec.ranks as usize)) {
        for cpu in cpus.iter() {
            let slot = cpu as usize;
            if taken.len() <= slot {
                taken.resize(slot + 1, None);
            }
            if let Some(first) = taken[slot].replace(rank) {
                let cpus = entries[first as usize].and(cpus);
                return Err(Misfit::Overlap { first: Rank(first), second: Rank(rank), cpus });
            }
        }
    }
    Ok(())
}

/// The first of those that need most cores.
fn hungriest<'a>(needs: impl Iterator<Item = (SubtaskId, &'a Need)>) -> Option<(SubtaskId, &'a Need)> {
    needs.fold(None, |most, one| match most {
        Some((_, need)) if need.cores >= one.1.cores => most,
        _ => Some(one),
    })
}
