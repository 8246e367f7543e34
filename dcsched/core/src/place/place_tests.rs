use super::*;
use dc_model::{Core, NumaDomain};
use proptest::prelude::*;

fn pool_of(topology: &Topology, bind: Bind, ranks_per_core: u32) -> CorePool {
    CorePool::new(topology, bind, ranks_per_core, None)
}

fn need(cells: u64, cores: u32) -> Need {
    Need { cells, cores, mem_bytes: 0 }
}

fn take(pool: &mut CorePool, cells: u64, cores: u32) -> Option<Placement> {
    pool.take(need(cells, cores), &Wish::default()).ok()
}

fn cores_of(pool: &mut CorePool, cells: u64, cores: u32) -> Vec<u32> {
    take(pool, cells, cores).unwrap().cores
}

#[test]
fn heavy_subtasks_keep_apart() {
    // Two domains of two L3s of two cores.
    let mut pool = pool_of(&Topology::uniform(8, 2, 4), Bind::Core, 1);
    let taken: Vec<_> = (0..8).map(|_| cores_of(&mut pool, 100, 1)[0]).collect();
    assert_eq!(taken, [0, 4, 2, 6, 1, 5, 3, 7]);
    assert_eq!(take(&mut pool, 1, 1), None);
    assert!(!pool.any_free());
}

#[test]
fn crowded_cores_come_last() {
    // Two domains of two cores; others use the first of each, two of them the very first.
    let pool = || pool_of(&Topology::uniform(4, 2, 2), Bind::Core, 2).crowded(&[2, 0, 1]);
    let mut one_each = pool();
    let taken: Vec<_> = (0..5).map(|_| cores_of(&mut one_each, 1, 1)[0]).collect();
    assert_eq!(taken, [1, 3, 2, 0, 1], "a second rank of its own only when every core has one");
    let mut wide = pool();
    assert_eq!(cores_of(&mut wide, 1, 3), [1, 2, 3]);
    assert_eq!(cores_of(&mut wide, 1, 3), [0, 1, 3]);
    let first = one_each.placement(vec![1], need(1, 1), Vec::new());
    one_each.give_back(&first);
    one_each.give_back(&first);
    assert_eq!(cores_of(&mut one_each, 1, 1), [1], "an emptier core goes before the crowd");
}

#[test]
fn light_ones_fill_up_beside_each_other_before_the_heavy() {
    let mut pool = pool_of(&Topology::uniform(4, 2, 4), Bind::Core, 1);
    assert_eq!(cores_of(&mut pool, 1000, 1), [0]);
    assert_eq!(cores_of(&mut pool, 10, 1), [2]);
    assert_eq!(cores_of(&mut pool, 10, 1), [3], "beside the light one, not the heavy one");
}

#[test]
fn domains_share_cells_in_proportion_to_their_cores() {
    // 6 cores in one domain, 2 in the other.
    let mut topology = Topology::uniform(8, 8, 8);
    for core in &mut topology.cores[6..] {
        (core.numa, core.l3) = (1, 1);
    }
    topology.numa.push(NumaDomain { os_index: 4, memory_bytes: 1 });
    let mut pool = pool_of(&topology, Bind::Core, 1000);
    for _ in 0..400 {
        take(&mut pool, 7, 1).unwrap();
    }
    assert_eq!(pool.domains[0].share.load, share(7 * 300, 1));
    assert_eq!(pool.domains[1].share.load, share(7 * 100, 1));
}

#[test]
fn several_cores_stay_within_a_cache_or_a_domain() {
    let mut pool = pool_of(&Topology::uniform(16, 4, 8), Bind::Core, 1);
    assert_eq!(cores_of(&mut pool, 9, 3), [0, 1, 2]);
    assert_eq!(cores_of(&mut pool, 9, 4), [8, 9, 10, 11]);
    assert_eq!(cores_of(&mut pool, 9, 4), [4, 5, 6, 7]);
    // Core 3 is alone now: two cores fit in the last cache only.
    assert_eq!(cores_of(&mut pool, 9, 2), [12, 13]);
    let spilled = take(&mut pool, 9, 3).unwrap();
    assert_eq!(spilled.cores, [3, 14, 15]);
    assert_eq!(spilled.numa, None);
    pool.give_back(&spilled);
    assert_eq!(take(&mut pool, 9, 4), None);
    assert_eq!(take(&mut pool, 9, 17), None);
}

#[test]
fn within_a_domain_several_caches_before_several_domains() {
    let mut pool = pool_of(&Topology::uniform(16, 4, 8), Bind::Core, 1);
    let placement = take(&mut pool, 9, 6).unwrap();
    assert_eq!((placement.cores.as_slice(), placement.numa), ([0, 1, 2, 3, 4, 5].as_slice(), Some(0)));
    assert_eq!(cores_of(&mut pool, 9, 8), [8, 9, 10, 11, 12, 13, 14, 15]);
}

#[test]
fn masks_hold_all_threads_and_follow_the_binding() {
    // Two cores of two threads, numbered as Linux likes to: 0,2 and 1,3; domains 0 and 2 of the OS.
    let core = |logical: u32| Core {
        logical,
        cpus: [logical, logical + 2].into_iter().collect(),
        l3: logical,
        numa: logical,
        package: 0,
    };
    let numa = |os_index| NumaDomain { os_index, memory_bytes: 1 };
    let topology = Topology { host: "h".into(), cores: vec![core(0), core(1)], numa: vec![numa(0), numa(2)] };
    let give = |bind, cores| take(&mut pool_of(&topology, bind, 1), 1, cores).unwrap();
    let seen = |placement: Placement| (placement.cpus.to_string(), placement.numa);
    assert_eq!(seen(give(Bind::Core, 1)), ("0,2".to_owned(), Some(0)));
    assert_eq!(seen(give(Bind::Core, 2)), ("0-3".to_owned(), None));
    assert_eq!(seen(give(Bind::Numa, 1)), ("0,2".to_owned(), Some(0)));
    assert_eq!(seen(give(Bind::None, 1)), (String::new(), None));

    let mut topology = Topology::uniform(4, 2, 2);
    topology.numa.iter_mut().for_each(|numa| numa.os_index += 3);
    let mut pool = pool_of(&topology, Bind::Numa, 1);
    take(&mut pool, 5, 1).unwrap();
    assert_eq!(seen(take(&mut pool, 5, 1).unwrap()), ("2,3".to_owned(), Some(4)));
    let one_domain = take(&mut pool_of(&Topology::uniform(4, 2, 4), Bind::Core, 1), 5, 1).unwrap();
    assert_eq!(one_domain.numa, None, "one domain needs no policy");
}

#[test]
fn idle_cores_come_before_shared_ones() {
    let mut pool = pool_of(&Topology::uniform(4, 2, 4), Bind::None, 3);
    assert_eq!((pool.slots(need(1, 1)), pool.slots(need(1, 4)), pool.slots(need(1, 5))), (12, 3, 0));
    assert_eq!(cores_of(&mut pool, 1000, 1), [0]);
    assert_eq!(cores_of(&mut pool, 1, 2), [2, 3]);
    assert_eq!(cores_of(&mut pool, 1, 1), [1], "the only idle core, though its cache is the busier");
    assert_eq!(cores_of(&mut pool, 1, 4), [0, 1, 2, 3]);
    assert_eq!(cores_of(&mut pool, 1, 4), [0, 1, 2, 3]);
    assert_eq!((take(&mut pool, 1, 1), pool.free()), (None, 0));
}

#[test]
fn shared_cores_fill_evenly_so_that_no_place_is_lost() {
    let mut pool = pool_of(&Topology::uniform(3, 2, 4), Bind::Core, 2);
    assert_eq!(pool.slots(need(1, 2)), 3);
    assert_eq!(cores_of(&mut pool, 1, 2), [0, 1]);
    assert_eq!(cores_of(&mut pool, 1, 2), [0, 2]);
    assert_eq!(cores_of(&mut pool, 1, 2), [1, 2]);
}

#[test]
#[should_panic(expected = "without having been taken")]
fn what_was_not_taken_is_not_given_back() {
    let mut pool = pool_of(&Topology::uniform(2, 2, 2), Bind::Core, 1);
    let placement = take(&mut pool, 1, 1).unwrap();
    pool.give_back(&placement);
    pool.give_back(&placement);
}

/// A machine of uneven caches and domains.
fn machines() -> impl Strategy<Value = Topology> {
    prop::collection::vec((1u32..6, 0u32..3), 1..7).prop_map(|caches| {
        let mut topology = Topology::uniform(caches.iter().map(|(n, _)| n).sum(), 1, u32::MAX);
        let caches = (0..).zip(&caches).flat_map(|(l3, (n, numa))| (0..*n).map(move |_| (l3, *numa)));
        for (core, (l3, numa)) in topology.cores.iter_mut().zip(caches) {
            (core.l3, core.numa) = (l3, numa);
        }
        topology.numa = (0..3).map(|i| NumaDomain { os_index: i * 2, memory_bytes: 1 }).collect();
        topology
    })
}

proptest! {
    #[test]
    fn never_overbooked_and_all_comes_back(
        topology in machines(),
        per_core in 1u32..4,
        steps in prop::collection::vec((any::<bool>(), 0u64..1000, 0u32..8, any::<prop::sample::Index>()), 1..80),
    ) {
        let fresh = pool_of(&topology, Bind::Core, per_core);
        let mut pool = fresh.clone();
        let mut running: Vec<Placement> = Vec::new();
        for (ends, cells, cores, which) in steps {
            if ends && !running.is_empty() {
                let ended = running.swap_remove(which.index(running.len()));
                pool.give_back(&ended);
                continue;
            }
            let used = |core: u32| running.iter().filter(|p| p.cores.contains(&core)).count() as u32;
            let rooms = (0..pool.cores()).filter(|core| used(*core) < per_core).count();
            let found = take(&mut pool, cells, cores);
            prop_assert_eq!(found.is_some(), rooms >= cores.max(1) as usize);
            let Some(placement) = found else { continue };
            prop_assert_eq!(placement.cores.len(), cores.max(1) as usize);
            prop_assert!(placement.cores.is_sorted_by(|a, b| a < b), "whole cores, each once");
            let cpus: CpuSet = placement.cores.iter().copied().collect();
            prop_assert_eq!(&placement.cpus, &cpus);
            // No core that is passed over has fewer ranks than one that is taken.
            let worst = placement.cores.iter().map(|core| used(*core)).max().unwrap();
            prop_assert!(worst < per_core);
            let passed_over = (0..pool.cores()).filter(|core| !placement.cores.contains(core));
            prop_assert!(passed_over.into_iter().all(|core| used(core) >= worst));
            running.push(placement);
            let taken: usize = running.iter().map(|p| p.cores.len()).sum();
            prop_assert_eq!(pool.free() + taken as u64, fresh.free());
        }
        for placement in &running {
            pool.give_back(placement);
        }
        let but_for_tickets = |pool: &CorePool| format!("{:?}", CorePool { ticket: 0, ..pool.clone() });
        prop_assert_eq!(but_for_tickets(&pool), but_for_tickets(&fresh));
    }
}
