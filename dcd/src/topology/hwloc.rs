//! What hwloc says of a machine, in plain values. The only file that knows hwloc.
//!
//! Unsafe for what the crate has no word for: the NUMA nodes, which hang beside the tree of objects and have no level
//! that it could be asked for, and the name of the host. Both are read through the C structure that the crate's
//! objects are.
#![allow(unsafe_code)]

use super::TopologyError;
use dc_model::CpuSet;
use dc_model::cpuset::CPUS_MAX;
use hwloc2::{Bitmap, ObjectType, TopologyObject};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

/// `HWLOC_OBJ_NUMANODE`, of all 2.x.
const NUMA_NODE: c_int = 13;

/// A machine's processing units and NUMA nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    /// Whether hwloc has asked this machine, and not read a description.
    pub is_native: bool,
    /// The host's name, if a description has it.
    pub host: Option<String>,
    /// The kind of cache that units are told of.
    pub cache: Option<&'static str>,
    /// In logical order.
    pub units: Vec<Unit>,
    /// In the order of the OS's numbers.
    pub nodes: Vec<Node>,
    /// All CPUs, those too that are offline or hidden.
    pub known: CpuSet,
}

/// A hardware thread, with logical numbers of what it lies in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Unit {
    pub os_index: u32,
    pub logical: u32,
    pub core: Option<u32>,
    pub cache: Option<u32>,
    pub package: Option<u32>,
    /// NUMA nodes that are local to it, by the OS's numbers.
    pub nodes: CpuSet,
}

/// A NUMA node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Node {
    pub os_index: u32,
    pub memory_bytes: u64,
    /// hwloc's subtype, such as `HBM`.
    pub kind: Option<String>,
    /// Its CPUs; none where it is memory without a place.
    pub cpus: CpuSet,
}

/// Asks hwloc, which looks at its own variables.
pub(super) fn load(is_described: bool) -> Result<Shape, TopologyError> {
    let machine = hwloc2::Topology::new().ok_or(TopologyError::Load)?;
    let depth = |kind: ObjectType| machine.depth_for_type(&kind).ok();
    let unit_depth = depth(ObjectType::PU).ok_or(TopologyError::Load)?;
    let caches = [(ObjectType::L3Cache, "L3"), (ObjectType::L2Cache, "L2"), (ObjectType::L1Cache, "L1")];
    let cache = caches.into_iter().find_map(|(kind, name)| Some((depth(kind)?, name)));
    let (core_depth, package_depth) = (depth(ObjectType::Core), depth(ObjectType::Package));
    let units = machine.objects_at_depth(unit_depth).into_iter().map(|unit| {
        let at = |depth: Option<u32>| above(unit, depth?).map(TopologyObject::logical_index);
        Ok(Unit {
            os_index: bounded(unit.os_index())?,
            logical: unit.logical_index(),
            core: at(core_depth),
            cache: at(cache.map(|(depth, _)| depth)),
            package: at(package_depth),
            nodes: unit.nodeset().map(|nodes| numbers(&nodes)).unwrap_or_default(),
        })
    });
    let units = units.collect::<Result<Vec<Unit>, TopologyError>>()?;
    let root = machine.object_at_root();
    let known = root.complete_cpuset().map(|cpus| numbers(&cpus)).unwrap_or_default();
    Ok(Shape {
        // hwloc can bind only where it runs.
        is_native: machine.support().cpu().set_current_process(),
        // Only a description's is worth looking for: this host knows its name.
        host: is_described.then(|| info(root, c"HostName")).flatten(),
        cache: cache.map(|(_, name)| name),
        units,
        nodes: nodes_below(root),
        known,
    })
}

fn above(object: &TopologyObject, depth: u32) -> Option<&TopologyObject> {
    std::iter::successors(Some(object), |object| object.parent()).find(|object| object.depth() == depth)
}

fn bounded(cpu: u32) -> Result<u32, TopologyError> {
    if cpu < CPUS_MAX { Ok(cpu) } else { Err(TopologyError::CpuNumber(cpu)) }
}

/// The numbers of a bitmap that are in bounds: one without an end has them all.
fn numbers(bitmap: &Bitmap) -> CpuSet {
    let last = u32::try_from(bitmap.last()).unwrap_or(CPUS_MAX).min(CPUS_MAX - 1);
    match u32::try_from(bitmap.first()) {
        Ok(first) => (first..=last).filter(|number| bitmap.is_set(*number)).collect(),
        Err(_) => CpuSet::new(),
    }
}

fn nodes_below(root: &TopologyObject) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut open = vec![root];
    while let Some(object) = open.pop() {
        if object.arity() > 0 {
            open.extend(object.children());
        }
        // Memory hangs beside, one after another; a cache in front of memory has that beneath it.
        let mut memory = view(object).memory_first_child();
        while let Some(object) = memory {
            let raw = view(object);
            if raw.object_type == NUMA_NODE {
                nodes.push(raw.node(object));
            } else {
                open.push(object);
            }
            memory = object.next_sibling();
        }
    }
    nodes.sort_by_key(|node: &Node| node.os_index);
    nodes
}

/// `struct hwloc_obj` of all 2.x.
#[repr(C)]
struct Raw {
    object_type: c_int,
    subtype: *const c_char,
    os_index: c_uint,
    name: *const c_char,
    total_memory: u64,
    attr: *const NodeAttributes,
    depth: c_int,
    logical_index: c_uint,
    next_cousin: *const c_void,
    prev_cousin: *const c_void,
    parent: *const c_void,
    sibling_rank: c_uint,
    next_sibling: *const c_void,
    prev_sibling: *const c_void,
    arity: c_uint,
    children: *const c_void,
    first_child: *const c_void,
    last_child: *const c_void,
    memory_arity: c_uint,
    memory_first_child: *const TopologyObject,
    io_arity: c_uint,
    io_first_child: *const c_void,
    misc_arity: c_uint,
    misc_first_child: *const c_void,
    cpuset: *const c_void,
    complete_cpuset: *const c_void,
    nodeset: *const c_void,
    complete_nodeset: *const c_void,
    infos: *const Info,
    infos_count: c_uint,
    userdata: *const c_void,
    gp_index: u64,
}

// The crate's structure and this one are views of the same.
const _: () = assert!(size_of::<Raw>() == size_of::<TopologyObject>());

/// The beginning of `struct hwloc_numanode_attr_s`.
#[repr(C)]
struct NodeAttributes {
    local_memory: u64,
}

/// `struct hwloc_info_s`.
#[repr(C)]
struct Info {
    name: *const c_char,
    value: *const c_char,
}

fn view(object: &TopologyObject) -> &Raw {
    // SAFETY: the crate's object is hwloc's own structure, of which Raw has the layout (its size is compared above);
    // it lives as long as the topology, which the reference borrows from, and nobody changes it.
    unsafe { &*std::ptr::from_ref(object).cast::<Raw>() }
}

impl Raw {
    fn memory_first_child(&self) -> Option<&TopologyObject> {
        // SAFETY: null, or an object of the same topology, that lives as long.
        unsafe { self.memory_first_child.as_ref() }
    }

    /// For an object whose type is `NUMA_NODE`.
    fn node(&self, object: &TopologyObject) -> Node {
        // SAFETY: null, or the attributes that hwloc gives to objects of this type.
        let attributes = unsafe { self.attr.as_ref() };
        Node {
            os_index: self.os_index,
            memory_bytes: attributes.map_or(0, |attributes| attributes.local_memory),
            kind: text(self.subtype),
            cpus: object.cpuset().map(|cpus| numbers(&cpus)).unwrap_or_default(),
        }
    }
}

/// What hwloc has noted under a name.
fn info(object: &TopologyObject, name: &CStr) -> Option<String> {
    let raw = view(object);
    if raw.infos.is_null() {
        return None;
    }
    // SAFETY: an array of so many, that lives as long as the object.
    let infos = unsafe { std::slice::from_raw_parts(raw.infos, raw.infos_count as usize) };
    // SAFETY: hwloc's names are C strings.
    let found =
        infos.iter().find(|info| !info.name.is_null() && unsafe { CStr::from_ptr(info.name) } == name);
    text(found?.value)
}

/// A copy of a text of hwloc's; none where there is nothing in it.
fn text(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: a C string that lives as long as its object; it is copied.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    (!text.is_empty()).then_some(text)
}
