//! What dc makes of a machine's shape: cores with their threads, the NUMA domain of each, and nodes that hold none.

use super::MemoryNode;
use super::hwloc::{Node, Shape, Unit};
use dc_model::{Core, CpuSet, NumaDomain};
use std::collections::BTreeMap;

/// The allowed cores in logical order, their domains in the order of the OS's numbers, and all other nodes.
pub(super) fn read(shape: &Shape, allowed: Option<&CpuSet>) -> (Vec<Core>, Vec<NumaDomain>, Vec<MemoryNode>) {
    let nodes: BTreeMap<u32, &Node> = shape.nodes.iter().map(|node| (node.os_index, node)).collect();
    let mut homes: BTreeMap<&CpuSet, u32> = BTreeMap::new();
    let mut caches = BTreeMap::new();
    let mut domains: BTreeMap<u32, u32> = BTreeMap::new();
    let mut cores: Vec<Core> = Vec::new();
    let mut last = None;
    for unit in &shape.units {
        let package = unit.package.unwrap_or(0);
        let node = *homes.entry(&unit.nodes).or_insert_with(|| home(&unit.nodes, &nodes));
        // Without a cache to share, what lies on one package and domain shares its way to memory.
        let cache = unit.cache.map_or((1, package, node), |cache| (0, cache, 0));
        let next = caches.len() as u32;
        let l3 = *caches.entry(cache).or_insert(next);
        if allowed.is_some_and(|allowed| !allowed.contains(unit.os_index)) {
            continue;
        }
        let key = key(unit);
        match cores.last_mut().filter(|_| last == Some(key)) {
            Some(core) => core.cpus.insert(unit.os_index),
            None => {
                let cpus = CpuSet::from_iter([unit.os_index]);
                cores.push(Core { logical: key.1, cpus, l3, numa: node, package });
                domains.insert(node, 0);
            }
        }
        last = Some(key);
    }
    for (place, index) in domains.values_mut().zip(0..) {
        *place = index;
    }
    for core in &mut cores {
        core.numa = domains.get(&core.numa).copied().unwrap_or(0);
    }
    let memory = |node: &u32| nodes.get(node).map_or(0, |node| node.memory_bytes);
    let numa =
        domains.keys().map(|node| NumaDomain { os_index: *node, memory_bytes: memory(node) }).collect();
    let others = shape.nodes.iter().filter(|node| !domains.contains_key(&node.os_index));
    let memory_only = others.map(|node| memory_node(node, &cores)).collect();
    (cores, numa, memory_only)
}

/// Whether it has a core, and the logical number of that. Where no core is known, a hardware thread stands for one.
fn key(unit: &Unit) -> (bool, u32) {
    unit.core.map_or((false, unit.logical), |core| (true, core))
}

/// The node that cores with these local nodes belong to: one that has CPUs rather than memory without a place, main
/// memory rather than another kind, the one that is shared with the fewest, the lowest. Cores without local memory (it
/// is offline or hidden) belong to the lowest such node of all: their memory comes from somewhere.
fn home(local: &CpuSet, nodes: &BTreeMap<u32, &Node>) -> u32 {
    let rank = |node: &&&Node| {
        (node.cpus.is_empty(), !is_main_memory(node), node.memory_bytes == 0, node.cpus.len(), node.os_index)
    };
    let best = local.iter().filter_map(|number| nodes.get(&number)).min_by_key(rank);
    let any =
        || nodes.values().min_by_key(|node| (!is_main_memory(node), node.memory_bytes == 0, node.os_index));
    best.or_else(any).map_or(0, |node| node.os_index)
}

/// hwloc names what is not: `HBM`, `MCDRAM`, `NVM`, `GPUMemory`, `CXL-DRAM` …
fn is_main_memory(node: &Node) -> bool {
    node.kind.as_deref().is_none_or(|kind| kind == "DRAM")
}

fn memory_node(node: &Node, cores: &[Core]) -> MemoryNode {
    let is_near = |core: &&Core| node.cpus.is_empty() || core.cpus.intersects(&node.cpus);
    let mut near: Vec<u32> = cores.iter().filter(is_near).map(|core| core.numa).collect();
    near.sort_unstable();
    near.dedup();
    MemoryNode { os_index: node.os_index, memory_bytes: node.memory_bytes, kind: node.kind.clone(), near }
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
