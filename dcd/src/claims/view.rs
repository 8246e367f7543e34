//! What the others' claims mean to one job: whose CPUs are its own too, and how crowded each core is.

use super::Says;
use dc_model::{Core, CpuSet};
use std::collections::BTreeSet;

/// Another dcrun that lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// Its user.
    pub uid: u32,
    /// What it says.
    pub says: Says,
}

/// Those that are neither around nor inside of this job, nor inside of another of them: what runs inside of one uses
/// that one's CPUs, and counts once.
fn strangers<'a>(neighbours: &'a [Neighbour], says: &'a Says) -> impl Iterator<Item = &'a Neighbour> {
    let bound: BTreeSet<_> =
        neighbours.iter().filter(|other| !other.says.cpus.is_empty()).map(|other| other.says.job).collect();
    neighbours
        .iter()
        .filter(|other| other.says.job != says.job)
        .filter(|other| !says.within.contains(&other.says.job) && !other.says.within.contains(&says.job))
        .filter(move |other| {
            !other.says.within.iter().any(|job| bound.contains(job) && !says.within.contains(job))
        })
}

/// Those of the neighbours that use some of these CPUs, and are neither around nor inside of this job.
#[must_use]
pub fn overlapping<'a>(neighbours: &'a [Neighbour], says: &'a Says) -> Vec<(&'a Neighbour, CpuSet)> {
    strangers(neighbours, says)
        .map(|other| (other, other.says.cpus.and(&says.cpus)))
        .filter(|(_, shared)| !shared.is_empty())
        .collect()
}

/// How many others use each of these cores, in their order.
#[must_use]
pub fn crowd(neighbours: &[Neighbour], says: &Says, cores: &[Core]) -> Vec<u32> {
    let others: Vec<&CpuSet> = strangers(neighbours, says).map(|other| &other.says.cpus).collect();
    let users = |core: &Core| others.iter().filter(|cpus| cpus.intersects(&core.cpus)).count() as u32;
    cores.iter().map(users).collect()
}
