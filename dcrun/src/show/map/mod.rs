//! The machine of a plan: its packages, NUMA domains, caches and cores, and what each is to compute. Here the numbers;
//! `draw` makes a picture of them, `object` an event.

mod draw;
mod object;

pub use draw::draw;
pub use object::event;

use crate::setup::plan::Plan;
use dc_model::{Core, NumaDomain, SubtaskId};
use dcd::topology::Found;

/// What a core, or all cores of a part, are to compute.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Load {
    /// Cells; those of a subtask with several cores are spread evenly over them.
    pub cells: u64,
    /// The subtasks in the order in which they start.
    pub subtasks: Vec<u32>,
}

/// A core with its load.
#[derive(Clone, Debug)]
pub struct Seat<'a> {
    /// It.
    pub core: &'a Core,
    /// What it is to compute.
    pub load: Load,
    /// The rank of its first subtask.
    pub rank: Option<u32>,
}

/// A NUMA domain, or as much of it as lies in a package.
#[derive(Clone, Debug)]
pub struct Domain<'a> {
    /// Its index into the topology's.
    pub index: u32,
    /// It.
    pub numa: &'a NumaDomain,
    /// Its cores, those of one cache together.
    pub caches: Vec<Vec<Seat<'a>>>,
}

/// A package.
#[derive(Clone, Debug)]
pub struct Package<'a> {
    /// Its number on the machine.
    pub number: u32,
    /// Its domains.
    pub domains: Vec<Domain<'a>>,
}

impl<'a> Domain<'a> {
    /// Its cores in order.
    pub fn seats(&self) -> impl Iterator<Item = &Seat<'a>> + Clone {
        self.caches.iter().flatten()
    }
}

impl<'a> Package<'a> {
    /// Its cores in order.
    pub fn seats(&self) -> impl Iterator<Item = &Seat<'a>> + Clone {
        self.domains.iter().flat_map(Domain::seats)
    }
}

/// The cells of some cores.
pub fn cells<'a, 'b: 'a>(seats: impl Iterator<Item = &'a Seat<'b>>) -> u64 {
    seats.map(|seat| seat.load.cells).sum()
}

/// The packages of a machine with what their cores are to compute, where a subtask has so many cells.
#[must_use]
pub fn packages<'a>(found: &'a Found, plan: &Plan, cells_of: impl Fn(SubtaskId) -> u64) -> Vec<Package<'a>> {
    let topology = &found.topology;
    let mut loads = vec![Load::default(); topology.cores.len()];
    for (subtask, cores) in &plan.starts {
        let cells = cells_of(*subtask);
        let count = cores.len().max(1) as u64;
        for (i, core) in (0..).zip(cores) {
            let Some(load) = loads.get_mut(*core as usize) else { continue };
            load.cells += cells / count + u64::from(i < cells % count);
            load.subtasks.push(subtask.0);
        }
    }
    let mut packages: Vec<Package<'a>> = Vec::new();
    for (core, load) in topology.cores.iter().zip(loads) {
        let Some(numa) = topology.numa.get(core.numa as usize) else { continue };
        let rank_of = |subtask: &u32| plan.seats.get(*subtask as usize)?.as_ref().map(|(rank, _)| *rank);
        let rank = load.subtasks.first().and_then(rank_of);
        let package = entry(
            &mut packages,
            |package| package.number == core.package,
            || Package { number: core.package, domains: Vec::new() },
        );
        let domain = entry(
            &mut package.domains,
            |domain| domain.index == core.numa,
            || Domain { index: core.numa, numa, caches: Vec::new() },
        );
        let shares = |cache: &Vec<Seat<'_>>| cache.first().is_some_and(|seat| seat.core.l3 == core.l3);
        entry(&mut domain.caches, shares, Vec::new).push(Seat { core, load, rank });
    }
    packages
}

/// The entry that fits, made where there is none. The last one is looked at first: cores come in order.
fn entry<T>(list: &mut Vec<T>, fits: impl FnMut(&T) -> bool, make: impl FnOnce() -> T) -> &mut T {
    let at = list.iter().rposition(fits).unwrap_or_else(|| {
        list.push(make());
        list.len() - 1
    });
    &mut list[at]
}
