//! Shapes that no description at hand has.

use super::*;

fn unit(os_index: u32, core: Option<u32>, nodes: &[u32]) -> Unit {
    let nodes = nodes.iter().copied().collect();
    Unit { os_index, logical: os_index, core, cache: None, package: None, nodes }
}

fn node(os_index: u32, gib: u64, kind: Option<&str>, cpus: &[u32]) -> Node {
    let cpus = cpus.iter().copied().collect();
    Node { os_index, memory_bytes: gib << 30, kind: kind.map(str::to_owned), cpus }
}

fn shape(units: Vec<Unit>, nodes: Vec<Node>) -> Shape {
    Shape { is_native: true, host: None, cache: None, units, nodes, known: CpuSet::new() }
}

fn domains(shape: &Shape) -> Vec<u32> {
    let (cores, numa, _) = read(shape, None);
    cores.iter().map(|core| numa[core.numa as usize].os_index).collect()
}

#[test]
fn a_thread_without_a_core_is_none_of_the_core_before() {
    let units =
        vec![unit(0, Some(0), &[0]), unit(1, Some(1), &[0]), unit(2, None, &[0]), unit(3, None, &[0])];
    let (cores, ..) = read(&shape(units, vec![node(0, 1, None, &[0, 1, 2, 3])]), None);
    assert_eq!(cores.len(), 4);
    let units = vec![unit(0, None, &[0]), unit(1, Some(0), &[0]), unit(2, Some(0), &[0])];
    let (cores, ..) = read(&shape(units, vec![node(0, 1, None, &[0, 1, 2])]), None);
    assert_eq!(cores.iter().map(|core| core.cpus.len()).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn main_memory_before_other_kinds_and_the_near_before_the_far() {
    let all = &[0, 1];
    let nodes = vec![
        node(0, 9, Some("NVM"), &[0]),
        node(1, 9, None, all),
        node(2, 1, None, &[0]),
        node(3, 9, Some("GPUMemory"), &[]),
        node(4, 1, Some("DRAM"), &[1]),
    ];
    let units = vec![unit(0, None, &[0, 1, 2, 3]), unit(1, None, &[1, 3, 4])];
    let shape = shape(units, nodes);
    assert_eq!(domains(&shape), [2, 4]);
    let (_, _, memory_only) = read(&shape, None);
    let near: Vec<_> = memory_only.iter().map(|node| (node.os_index, node.near.clone())).collect();
    assert_eq!(near, [(0, vec![0]), (1, vec![0, 1]), (3, vec![0, 1])]);
}

#[test]
fn nothing_but_fast_memory_is_main_memory() {
    let units = vec![unit(0, None, &[1]), unit(1, None, &[0])];
    let nodes = vec![node(0, 8, Some("HBM"), &[1]), node(1, 8, Some("HBM"), &[0])];
    assert_eq!(domains(&shape(units, nodes)), [1, 0]);
}

#[test]
fn cores_without_local_memory_belong_somewhere() {
    let units = vec![unit(0, None, &[]), unit(1, None, &[5])];
    let nodes = vec![node(3, 0, None, &[]), node(4, 8, Some("HBM"), &[]), node(5, 8, None, &[1])];
    assert_eq!(domains(&shape(units.clone(), nodes)), [5, 5]);
    assert_eq!(domains(&shape(units, Vec::new())), [0, 0], "no node at all");
}

#[test]
fn what_is_not_allowed_leaves_its_domain() {
    let units = vec![unit(0, Some(0), &[0]), unit(1, Some(0), &[0]), unit(2, Some(1), &[1])];
    let shape = shape(units, vec![node(0, 1, None, &[0, 1]), node(1, 2, None, &[2])]);
    let (cores, numa, memory_only) = read(&shape, Some(&CpuSet::from_iter([2])));
    assert_eq!((cores.len(), cores[0].numa, cores[0].logical, cores[0].l3), (1, 0, 1, 1));
    assert_eq!(numa, [NumaDomain { os_index: 1, memory_bytes: 2 << 30 }]);
    assert_eq!((memory_only[0].os_index, memory_only[0].near.len()), (0, 0), "none of its cores is ours");
}
