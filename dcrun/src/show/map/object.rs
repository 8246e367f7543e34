//! The machine of a plan as an event.

use super::{Domain, Package, Seat, cells};
use crate::events::{self, Event, MachineCore, MachineDomain, MachineMemory, MachinePackage};
use dcd::topology::Found;

/// All of it: no core is left out.
#[must_use]
pub fn event<'a>(found: &'a Found, packages: &[Package<'_>]) -> Event<'a> {
    let numa = &found.topology.numa;
    Event::Machine {
        host: &found.topology.host,
        described_by: found.described_by,
        packages: packages.iter().map(package).collect(),
        memory_only: found
            .memory_only
            .iter()
            .map(|node| MachineMemory {
                numa: node.os_index,
                memory_bytes: node.memory_bytes,
                kind: node.kind.clone(),
                near: node.near.iter().filter_map(|near| Some(numa.get(*near as usize)?.os_index)).collect(),
            })
            .collect(),
        left_out: events::cpus(&found.left_out),
    }
}

fn package(package: &Package<'_>) -> MachinePackage {
    MachinePackage {
        package: package.number,
        cells_total: cells(package.seats()),
        domains: package.domains.iter().map(domain).collect(),
    }
}

fn domain(domain: &Domain<'_>) -> MachineDomain {
    MachineDomain {
        numa: domain.numa.os_index,
        memory_bytes: domain.numa.memory_bytes,
        cells_total: cells(domain.seats()),
        cores: domain.seats().map(core).collect(),
    }
}

fn core(seat: &Seat<'_>) -> MachineCore {
    MachineCore {
        core: seat.core.logical,
        cpus: events::cpus(&seat.core.cpus),
        cache: seat.core.l3,
        rank: seat.rank,
        subtasks_total: seat.load.subtasks.len(),
        cells_total: seat.load.cells,
    }
}
