//! What cores this process may use: hwloc's topology cut down to the process's own affinity. The only file that
//! knows hwloc.
//!
//! Unsafe for one call: changing this process's environment before hwloc reads it, while there is one thread.
#![allow(unsafe_code)]

use crate::process::calls::affinity;
use dc_model::{Core, CpuSet, NumaDomain, Topology};
use hwloc2::{Bitmap, ObjectType, TopologyObject};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use thiserror::Error;

/// Why the cores are not known.
#[derive(Debug, Error)]
pub enum TopologyError {
    /// The process's own affinity cannot be read.
    #[error("cannot read this process's CPU affinity: {0}")]
    Affinity(#[source] std::io::Error),
    /// hwloc gave up.
    #[error("hwloc cannot read this machine's topology: try `lstopo`, and see that /sys is mounted")]
    Load,
    /// Nothing is left.
    #[error(
        "hwloc shows no CPU that this process may run on (CPUs {0}): unset HWLOC_SYNTHETIC and HWLOC_XMLFILE"
    )]
    NoneAllowed(CpuSet),
}

/// Spares hwloc what dc has no use for: asking each CPU by CPUID what /sys says as well, and looking for plugins.
/// That is two thirds of its time. Where the user has set any variable of hwloc's, all is left to the user.
///
/// To be called at the start of main, while there is one thread, and after the environment for ranks was captured.
pub fn prepare_environment() {
    if std::env::vars_os().any(|(name, _)| name.as_encoded_bytes().starts_with(b"HWLOC_")) {
        return;
    }
    // SAFETY: by contract there is one thread, so that nobody reads the environment meanwhile.
    unsafe {
        std::env::set_var("HWLOC_COMPONENTS", "-x86");
        std::env::set_var("HWLOC_PLUGINS_PATH", "/dev/null");
    }
}

/// The cores that this process may use, now: hwloc's allowed ones within the process's affinity.
///
/// # Errors
/// When hwloc or the kernel does not say, or nothing is left.
pub fn discover() -> Result<Topology, TopologyError> {
    let allowed = affinity(Pid::from_raw(0)).map_err(|errno| TopologyError::Affinity(errno.into()))?;
    let machine = hwloc2::Topology::new().ok_or(TopologyError::Load)?;
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (cores, numa) = Reading::of(&machine)?.cores(&allowed);
    if cores.is_empty() {
        return Err(TopologyError::NoneAllowed(allowed));
    }
    Ok(Topology { host, cores, numa })
}

/// Depths of the levels that matter. Never a NUMA level: it has none that the crate could be asked for.
struct Reading<'a> {
    units: Vec<&'a TopologyObject>,
    core_depth: Option<u32>,
    cache_depth: Option<u32>,
    package_depth: Option<u32>,
}

impl<'a> Reading<'a> {
    fn of(machine: &'a hwloc2::Topology) -> Result<Self, TopologyError> {
        let depth = |kind: ObjectType| machine.depth_for_type(&kind).ok();
        let unit_depth = depth(ObjectType::PU).ok_or(TopologyError::Load)?;
        let caches = [ObjectType::L3Cache, ObjectType::L2Cache, ObjectType::L1Cache];
        Ok(Self {
            units: machine.objects_at_depth(unit_depth),
            core_depth: depth(ObjectType::Core),
            cache_depth: caches.into_iter().find_map(depth),
            package_depth: depth(ObjectType::Package),
        })
    }

    fn cores(&self, allowed: &CpuSet) -> (Vec<Core>, Vec<NumaDomain>) {
        let mut caches = BTreeMap::new();
        let mut domains = BTreeMap::new();
        let mut cores: Vec<Core> = Vec::new();
        for unit in &self.units {
            let at = |depth: Option<u32>| above(unit, depth?).map(TopologyObject::logical_index);
            let package = at(self.package_depth).unwrap_or(0);
            let node = first_node(unit).unwrap_or(0);
            // Without a cache to share, what lies on one package and domain shares its way to memory.
            let cache = at(self.cache_depth).map_or((1, package, node), |cache| (0, cache, 0));
            let next = caches.len() as u32;
            let l3 = *caches.entry(cache).or_insert(next);
            if !allowed.contains(unit.os_index()) {
                continue;
            }
            // Where no cores are known, each hardware thread stands for one.
            let logical = at(self.core_depth).unwrap_or_else(|| unit.logical_index());
            match cores.last_mut().filter(|core| core.logical == logical) {
                Some(core) => core.cpus.insert(unit.os_index()),
                None => {
                    let cpus = CpuSet::from_iter([unit.os_index()]);
                    cores.push(Core { logical, cpus, l3, numa: node, package });
                    domains.entry(node).or_insert_with(|| memory_bytes(unit, node));
                }
            }
        }
        let places: BTreeMap<u32, u32> = domains.keys().copied().zip(0..).collect();
        for core in &mut cores {
            core.numa = places.get(&core.numa).copied().unwrap_or(0);
        }
        let numa = domains.into_iter().map(|(os_index, memory_bytes)| NumaDomain { os_index, memory_bytes });
        (cores, numa.collect())
    }
}

/// The object itself and all above it.
fn lineage(object: &TopologyObject) -> impl Iterator<Item = &TopologyObject> {
    std::iter::successors(Some(object), |object| object.parent())
}

fn above(object: &TopologyObject, depth: u32) -> Option<&TopologyObject> {
    lineage(object).find(|object| object.depth() == depth)
}

/// The OS's number of the object's NUMA node, the lowest where it is near to several.
fn first_node(object: &TopologyObject) -> Option<u32> {
    u32::try_from(object.nodeset()?.first()).ok()
}

/// The memory of a NUMA node: that of the largest part of the machine that is near to this node alone.
fn memory_bytes(unit: &TopologyObject, node: u32) -> u64 {
    let alone = |nodes: &Bitmap| nodes.weight() == 1 && nodes.is_set(node);
    let near = lineage(unit).take_while(|object| object.nodeset().is_some_and(|nodes| alone(&nodes)));
    if let Some(part) = near.last() {
        return part.total_memory();
    }
    // Near to several: an equal share of the machine's.
    let machine = lineage(unit).last();
    let nodes = machine.and_then(TopologyObject::nodeset).map_or(1, |nodes| nodes.weight().max(1));
    machine.map_or(0, TopologyObject::total_memory) / u64::from(nodes.unsigned_abs())
}
