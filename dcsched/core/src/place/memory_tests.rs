//! Memory of domains and of the node; the words of binding; the orders of domains.

use super::*;
use dc_model::{Core, NumaDomain};
use proptest::prelude::*;

const G: u64 = 1 << 30;

fn need(cores: u32, mem_bytes: u64) -> Need {
    Need { cells: 10, cores, mem_bytes }
}

/// Two domains of four cores, 8 GiB each.
fn two_domains() -> Topology {
    let mut topology = Topology::uniform(8, 4, 4);
    topology.numa.iter_mut().for_each(|numa| numa.memory_bytes = 8 * G);
    topology
}

fn pool(topology: &Topology) -> CorePool {
    CorePool::new(topology, Bind::Core, 1, None)
}

fn take(pool: &mut CorePool, cores: u32, mem_bytes: u64) -> Result<Chosen, Lack> {
    let placement = pool.take(need(cores, mem_bytes), &Wish::default())?;
    Ok((placement.cores, placement.memory))
}

#[test]
fn a_domain_gives_what_it_has() {
    let mut pool = pool(&two_domains());
    assert_eq!(take(&mut pool, 1, 6 * G), Ok((vec![0], vec![(0, 6 * G)])));
    assert_eq!(take(&mut pool, 1, 6 * G), Ok((vec![4], vec![(1, 6 * G)])));
    assert_eq!(take(&mut pool, 1, 3 * G), Err(Lack::Memory), "2 GiB are left in each");
    assert_eq!(take(&mut pool, 1, 2 * G), Ok((vec![1], vec![(0, 2 * G)])));
    assert_eq!(take(&mut pool, 1, 1), Ok((vec![5], vec![(1, 1)])), "the first domain has nothing left");
    assert_eq!(take(&mut pool, 1, 0), Ok((vec![2], vec![])));
}

#[test]
fn several_domains_give_in_proportion_to_the_cores() {
    let mut pool = pool(&two_domains());
    assert_eq!(take(&mut pool, 6, 6 * G).unwrap().1, [(0, 4 * G), (1, 2 * G)]);
    let mut busy = self::pool(&two_domains());
    for _ in 0..6 {
        take(&mut busy, 1, 0).unwrap();
    }
    // One core is left in each.
    assert_eq!(take(&mut busy, 2, 3).unwrap(), (vec![3, 7], vec![(0, 2), (1, 1)]));
}

#[test]
fn what_no_domain_has_is_taken_from_several() {
    let mut pool = pool(&two_domains());
    assert!(pool.spills(need(1, 9 * G)) && !pool.spills(need(1, 8 * G)));
    let (cores, memory) = take(&mut pool, 1, 12 * G).unwrap();
    assert_eq!((cores, memory), (vec![0], vec![(0, 8 * G), (1, 4 * G)]));
    assert_eq!(take(&mut pool, 1, 12 * G), Err(Lack::Memory));
    assert_eq!(take(&mut pool, 1, 4 * G).unwrap(), (vec![4], vec![(1, 4 * G)]));
    assert_eq!(take(&mut pool, 1, 17 * G), Err(Lack::Memory));
    // More cores than a domain has, and more memory than their share of it.
    let mut pool = self::pool(&two_domains());
    assert_eq!(take(&mut pool, 5, 16 * G).unwrap().1, [(0, 8 * G), (1, 8 * G)]);
}

#[test]
fn a_limit_on_all_counts_too() {
    let mut pool = CorePool::new(&two_domains(), Bind::Core, 1, Some(10 * G));
    assert_eq!(pool.memory_bytes(), 10 * G);
    take(&mut pool, 1, 6 * G).unwrap();
    assert_eq!(
        take(&mut pool, 1, 5 * G),
        Err(Lack::Memory),
        "the other domain has it, but the limit has not"
    );
    take(&mut pool, 1, 4 * G).unwrap();
    let small = CorePool::new(&two_domains(), Bind::Core, 1, Some(3 * G));
    assert_eq!(small.slots(need(1, 2 * G)), 1);
}

#[test]
fn slots_count_memory() {
    let pool = pool(&two_domains());
    for (cores, mem_bytes, slots) in [
        (1, 0, 8),
        (1, 3 * G, 4),
        (2, 3 * G, 4),
        (4, 3 * G, 2),
        (1, 9 * G, 1),
        (1, 16 * G, 1),
        (1, 17 * G, 0),
    ] {
        assert_eq!(pool.slots(need(cores, mem_bytes)), slots, "{cores} cores, {mem_bytes} bytes");
    }
}

/// Two packages of two domains of two cores of two threads, numbered as Linux does: thread 0 of all cores first.
fn threads() -> Topology {
    let core = |logical: u32| Core {
        logical,
        cpus: CpuSet::from_iter([logical, logical + 8]),
        l3: logical / 2,
        numa: logical / 2,
        package: logical / 4,
    };
    let numa = (0..4).map(|os_index| NumaDomain { os_index, memory_bytes: G }).collect();
    Topology { host: "h".to_owned(), cores: (0..8).map(core).collect(), numa }
}

fn cpus(pool: &mut CorePool, cores: u32, wish: &Wish<'_>) -> String {
    pool.take(need(cores, 0), wish).unwrap().cpus.to_string()
}

#[test]
fn threads_of_idle_cores_come_first_and_a_ranks_threads_stay_together() {
    let topology = threads();
    let mut pool = CorePool::new(&topology, Bind::Thread, 1, None);
    assert_eq!(pool.cores(), 16);
    let first: Vec<String> = (0..8).map(|_| cpus(&mut pool, 1, &Wish::default())).collect();
    assert_eq!(first, ["0", "2", "4", "6", "1", "3", "5", "7"]);
    assert_eq!(cpus(&mut pool, 1, &Wish::default()), "8", "now a core is shared");
    let mut pool = CorePool::new(&topology, Bind::Thread, 1, None);
    let placement = pool.take(need(2, 0), &Wish::default()).unwrap();
    assert_eq!((placement.cpus.to_string(), placement.threads), ("0,8".to_owned(), 2));
    assert_eq!(cpus(&mut pool, 4, &Wish::default()), "2,3,10,11");
}

#[test]
fn words_of_binding() {
    let topology = threads();
    for (bind, cores, wanted, numa, threads) in [
        (Bind::Core, 1, "0,8", Some(0), 1),
        (Bind::Numa, 1, "0,1,8,9", Some(0), 1),
        (Bind::Socket, 1, "0-3,8-11", None, 1),
        (Bind::Thread, 1, "0", Some(0), 1),
        (Bind::None, 2, "", None, 2),
    ] {
        let mut pool = CorePool::new(&topology, bind.clone(), 1, None);
        let placement = pool.take(need(cores, 0), &Wish::default()).unwrap();
        let seen = (placement.cpus.to_string(), placement.numa, placement.threads);
        assert_eq!(seen, (wanted.to_owned(), numa, threads), "{bind:?}");
    }
    // One domain a package: its memory.
    let mut one = topology.clone();
    one.cores.iter_mut().for_each(|core| core.numa = core.package);
    let mut pool = CorePool::new(&one, Bind::Socket, 1, None);
    assert_eq!(pool.take(need(1, 0), &Wish::default()).unwrap().numa, Some(0));
}

#[test]
fn fixed_ones_are_given_as_they_are() {
    let topology = threads();
    let mask = CpuSet::from_iter([1, 9, 2]);
    let units = units_of_cpus(&topology, &mask);
    let mut pool = CorePool::new(&topology, Bind::Fixed(vec![mask.clone()]), 1, None);
    let wish = Wish { units: Some(&units), ..Wish::default() };
    let placement = pool.take(need(1, 4), &wish).unwrap();
    assert_eq!((&placement.cpus, placement.threads), (&mask, 2), "two cores, one of them whole");
    assert_eq!(placement.memory, [(0, 3), (1, 1)], "by threads, the odd byte from the first");
    assert_eq!(pool.take(need(1, 0), &wish), Err(Lack::Cores));
    pool.give_back(&placement);
    assert_eq!(pool.take(need(1, 5 * G), &wish), Err(Lack::Memory));
    // Above its own domains: from the others too.
    assert_eq!(pool.take(need(1, 4 * G), &wish).unwrap().memory, [(0, G), (1, G), (2, G), (3, G)]);
}

#[test]
fn preferred_domains_come_in_their_order() {
    let topology = threads();
    let mut pool = CorePool::new(&topology, Bind::Core, 1, None);
    let wish = Wish { domains: &[3, 0, 1, 2], ..Wish::default() };
    let got: Vec<String> = (0..4).map(|_| cpus(&mut pool, 1, &wish)).collect();
    assert_eq!(got, ["6,14", "7,15", "0,8", "1,9"]);
    assert_eq!(cpus(&mut pool, 3, &wish), "2-4,10-12", "no domain has three");
    // A domain without enough memory is passed over.
    let mut pool = CorePool::new(&topology, Bind::Core, 1, None);
    let half = Need { mem_bytes: G / 2 + 1, ..need(1, 0) };
    let got: Vec<_> = (0..2).map(|_| pool.take(half, &wish).unwrap().cores[0]).collect();
    assert_eq!(got, [6, 0]);
}

proptest! {
    /// Whatever is taken and given back, in whatever order: no domain gives more than it has, and all comes back.
    #[test]
    fn no_domain_is_over_committed(
        memory in prop::collection::vec(0u64..40, 3),
        limit in prop::option::of(1u64..100),
        per_core in 1u32..3,
        steps in prop::collection::vec((any::<bool>(), 0u64..60, 1u32..6, any::<prop::sample::Index>()), 1..80),
    ) {
        let mut topology = Topology::uniform(9, 3, 3);
        for (numa, bytes) in topology.numa.iter_mut().zip(&memory) {
            numa.memory_bytes = *bytes;
        }
        let fresh = CorePool::new(&topology, Bind::Core, per_core, limit);
        let mut pool = fresh.clone();
        let mut running: Vec<Placement> = Vec::new();
        for (ends, mem_bytes, cores, which) in steps {
            if ends && !running.is_empty() {
                let ended = running.swap_remove(which.index(running.len()));
                pool.give_back(&ended);
                continue;
            }
            let need = need(cores, mem_bytes);
            let Ok(placement) = pool.take(need, &Wish::default()) else {
                prop_assert!(!running.is_empty() || pool.slots(need) == 0, "an idle node takes what it can hold");
                continue;
            };
            prop_assert_eq!(placement.mem_bytes(), mem_bytes);
            running.push(placement);
            let mut used = [0u64; 3];
            for (domain, bytes) in running.iter().flat_map(|one| &one.memory) {
                used[*domain as usize] += bytes;
            }
            prop_assert!(used.iter().zip(&memory).all(|(used, all)| used <= all), "{:?} of {:?}", used, memory);
            prop_assert!(limit.is_none_or(|limit| used.iter().sum::<u64>() <= limit));
        }
        for placement in &running {
            pool.give_back(placement);
        }
        let but_for_tickets = |pool: &CorePool| format!("{:?}", CorePool { ticket: 0, ..pool.clone() });
        prop_assert_eq!(but_for_tickets(&pool), but_for_tickets(&fresh));
    }
}
