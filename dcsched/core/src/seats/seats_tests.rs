//! Who is next: order, overtaking behind one that waits for memory, lanes with CPUs of their own, orders of domains.

use super::*;
use crate::cost::order;
use crate::place::Bind;
use dc_model::{CpuSet, Distribution, Topology};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn need(cells: u64, cores: u32, mem_bytes: u64) -> Need {
    Need { cells, cores, mem_bytes }
}

/// One domain of four cores and 100 bytes of memory.
fn spec(needs: &[Need], ranks: u32) -> JobSpec {
    let mut topology = Topology::uniform(4, 4, 4);
    topology.numa[0].memory_bytes = 100;
    JobSpec { topology, ..JobSpec::plain(needs.to_vec(), ranks) }
}

/// Seats and all subtasks, ready from the start.
struct Stage {
    spec: JobSpec,
    order: Vec<SubtaskId>,
    ready: Ready,
    seats: Seats,
    running: BTreeMap<u32, Seat>,
}

impl Stage {
    fn new(spec: JobSpec) -> Self {
        assert_eq!(check(&spec), Ok(()));
        let seats = Seats::new(&spec);
        let order = order(spec.needs.iter().map(|need| (need.cells, need.cores)));
        let mut ready = seats.ready();
        for (place, subtask) in (0..).zip(&order) {
            ready.insert(place, seats.class(*subtask, spec.needs[subtask.index()]));
        }
        Self { spec, order, ready, seats, running: BTreeMap::new() }
    }

    /// Starts all that can be; `subtask@cpus` each.
    fn start(&mut self) -> Vec<String> {
        let mut started = Vec::new();
        let work = Work { order: &self.order, needs: &self.spec.needs };
        while let Some(seat) = self.seats.try_seat(&self.ready, work) {
            let part = self.seats.class(seat.subtask, self.spec.needs[seat.subtask.index()]);
            assert!(self.ready.remove(seat.place, part));
            started.push(format!("{}@{}", seat.subtask, seat.placement.cpus));
            self.running.insert(seat.subtask.0, seat);
        }
        started
    }

    fn end(&mut self, subtask: u32) -> Vec<String> {
        let seat = self.running.remove(&subtask).expect("it runs");
        self.seats.give_back(seat.rank, &seat.placement);
        self.start()
    }
}

#[test]
fn one_that_waits_for_memory_is_overtaken_by_what_leaves_room_for_it() {
    // 0 takes most of the memory; 1 waits for it; 2 and 3 fit beside 1, 4 does not.
    let needs =
        [need(9, 1, 70), need(8, 1, 80), need(7, 1, 10), need(6, 1, 10), need(5, 1, 10), need(4, 1, 0)];
    let mut stage = Stage::new(spec(&needs, 5));
    assert_eq!(stage.start(), ["0@0", "2@1", "3@2", "5@3"], "20 are left beside 80");
    assert_eq!(stage.end(2), ["4@1"], "there is room for another one now");
    assert_eq!(stage.end(0), ["1@0"], "it starts when the one that ran before it has ended");
}

#[test]
fn light_ones_that_come_without_end_do_not_keep_it_waiting() {
    // 0 runs, 1 wants all the memory but a little; fifty light ones would always be there to take what is left.
    let mut needs = vec![need(1000, 1, 60), need(900, 1, 90)];
    needs.extend((0..50).map(|n| need(100 - n, 1, 20)));
    let mut stage = Stage::new(spec(&needs, 51));
    assert_eq!(stage.start(), ["0@0"], "with 20 of 100 none of them would leave it 90");
    assert_eq!(stage.end(0), ["1@0"]);
    assert_eq!(stage.end(1).len(), 4);
}

#[test]
fn another_domain_is_free_for_all() {
    let needs = [need(9, 1, 90), need(8, 1, 60), need(7, 1, 50), need(6, 1, 40), need(5, 1, 30)];
    let mut two = spec(&needs, 4);
    two.topology = Topology::uniform(4, 2, 2);
    two.topology.numa.iter_mut().for_each(|numa| numa.memory_bytes = 100);
    let mut stage = Stage::new(two);
    // 2 waits for the second domain, of which more is left; 3 would not leave room there, and finds none elsewhere.
    assert_eq!(stage.start(), ["0@0", "1@2", "3@3"], "40 beside 60, and 50 fit when 60 are given back");
    assert_eq!(stage.end(1), ["2@2"]);
    assert_eq!(stage.end(3), ["4@3"]);
}

#[test]
fn one_that_waits_for_cores_is_overtaken_by_none() {
    let mut stage = Stage::new(spec(&[need(90, 3, 0), need(8, 2, 50), need(1, 1, 0)], 2));
    assert_eq!(stage.start(), ["0@0-2"]);
    assert_eq!(stage.end(0), ["1@0,1", "2@2"]);
}

#[test]
fn one_that_needs_all_domains_is_overtaken_by_none() {
    let mut two = spec(&[need(9, 1, 50), need(8, 1, 160), need(7, 1, 1)], 2);
    two.topology = Topology::uniform(4, 2, 2);
    two.topology.numa.iter_mut().for_each(|numa| numa.memory_bytes = 100);
    let mut stage = Stage::new(two);
    assert_eq!(stage.start(), ["0@0"]);
    assert_eq!(stage.end(0), ["1@0", "2@2"]);
}

fn fixed(cpus: &[&str]) -> Bind {
    Bind::Fixed(cpus.iter().map(|cpus| CpuSet::parse(cpus).unwrap()).collect())
}

#[test]
fn a_lane_keeps_its_entry() {
    let needs = [need(9, 1, 0), need(8, 1, 0), need(7, 1, 0), need(6, 1, 0)];
    // As many lanes as subtasks: lane r has entry r mod 2, and those of one entry take turns.
    let own = JobSpec { bind: fixed(&["3", "0,1"]), ..spec(&needs, 4) };
    let mut stage = Stage::new(own);
    assert_eq!(stage.start(), ["0@3", "1@0,1"]);
    assert_eq!(stage.end(1), ["3@0,1"], "2 waits for CPU 3");
    assert_eq!(stage.end(0), ["2@3"]);
    // Fewer lanes: the lowest free one with free CPUs.
    let pulled = JobSpec { bind: fixed(&["3", "0,1"]), ..spec(&needs, 3) };
    let mut stage = Stage::new(pulled);
    assert_eq!(stage.start(), ["0@3", "1@0,1"]);
    assert_eq!(stage.running[&0].rank, Rank(0));
    assert_eq!(stage.end(0), ["2@3"]);
    assert_eq!(stage.end(1), ["3@0,1"]);
    assert_eq!(stage.seats.slots(need(1, 1, 0)), 2);
}

#[test]
fn lanes_with_memory_that_is_taken_wait_without_starving() {
    let needs = [need(9, 1, 60), need(8, 1, 60), need(7, 1, 0), need(6, 1, 30)];
    let mut stage = Stage::new(JobSpec { bind: fixed(&["0", "1", "2", "3"]), ..spec(&needs, 4) });
    assert_eq!(stage.start(), ["0@0", "2@2"], "nothing that takes memory overtakes 1");
    assert_eq!(stage.end(0), ["1@1", "3@3"]);
}

#[test]
fn entries_may_overlap_where_cores_are_shared() {
    let needs = [need(1, 1, 0), need(1, 1, 0), need(1, 1, 0)];
    let shared = JobSpec { bind: fixed(&["0", "0,1"]), ranks_per_core: 3, ..spec(&needs, 3) };
    let mut stage = Stage::new(shared);
    assert_eq!(stage.start(), ["0@0", "1@0,1", "2@0"]);
    assert_eq!(stage.seats.slots(needs[0]), 3);
}

/// Two packages of two domains of two cores.
fn packages() -> Topology {
    let mut topology = Topology::uniform(8, 2, 2);
    topology.cores.iter_mut().for_each(|core| core.package = core.logical / 4);
    topology
}

#[test]
fn ranks_fill_domains_or_go_round_them() {
    let needs = vec![need(1, 1, 0); 8];
    let seen = |distribution, needs: &[Need], ranks_per_core, ranks| {
        let plain = JobSpec::plain(needs.to_vec(), ranks);
        let mut stage = Stage::new(JobSpec { topology: packages(), distribution, ranks_per_core, ..plain });
        stage.start();
        let mut by_rank: Vec<_> =
            stage.running.values().map(|seat| (seat.rank, &seat.placement.cpus)).collect();
        by_rank.sort();
        by_rank.iter().map(|(_, cpus)| cpus.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(seen(Distribution::Block, &needs, 1, 8), "0 1 2 3 4 5 6 7");
    assert_eq!(seen(Distribution::Cyclic, &needs, 1, 8), "0 4 2 6 1 5 3 7");
    assert_eq!(seen(Distribution::Cost, &needs, 1, 8), "0 2 4 6 1 3 5 7");
    // It is the rank that counts, not who starts first: rank 3 has the heaviest subtask here.
    let rising: Vec<Need> = (1..=8).map(|cells| need(cells, 1, 0)).collect();
    assert_eq!(seen(Distribution::Block, &rising, 1, 8), "1 0 3 2 5 4 7 6");
    assert_eq!(seen(Distribution::Cyclic, &rising[..4], 1, 4), "0 4 2 6");
    let pairs = vec![need(1, 2, 0); 4];
    assert_eq!(seen(Distribution::Block, &pairs, 1, 4), "0,1 2,3 4,5 6,7");
    assert_eq!(seen(Distribution::Cyclic, &pairs, 1, 4), "0,1 4,5 2,3 6,7");
    let many = vec![need(1, 1, 0); 16];
    assert_eq!(seen(Distribution::Block, &many, 2, 16), "0 1 0 1 2 3 2 3 4 5 4 5 6 7 6 7");
    // Three cores are in no domain: the lowest that are free.
    assert_eq!(seen(Distribution::Block, &[need(1, 3, 0)], 1, 1), "0-2");
}

#[test]
fn what_can_never_run_is_told() {
    let all = Topology::uniform(4, 4, 4).cpus();
    let subtask = SubtaskId(1);
    let told = |spec: JobSpec| check(&spec).unwrap_err();
    let needs = [need(1, 1, 0), need(1, 5, 0), need(0, 9, 999)];
    assert_eq!(told(spec(&needs, 3)), Misfit::Cores { subtask, wanted: 5, allowed: 4 });
    let needs = [need(1, 1, 100), need(1, 1, 101), need(0, 9, 999)];
    assert_eq!(told(spec(&needs, 3)), Misfit::Memory { subtask, wanted: 101, node: 100 });
    let two = [need(1, 1, 0), need(1, 2, 0)];
    let with = |cpus: &[&str]| JobSpec { bind: fixed(cpus), ..spec(&two, 2) };
    assert_eq!(told(with(&["0", "1,4"])), Misfit::Cpu { entry: 1, cpu: 4, allowed: all });
    let cpus = CpuSet::parse("1").unwrap();
    let (first, second) = (Rank(0), Rank(1));
    assert_eq!(told(with(&["0,1", "1,2"])), Misfit::Overlap { first, second, cpus: cpus.clone() });
    assert_eq!(told(with(&["0", "1"])), Misfit::Entry { rank: Rank(1), cpus, subtask, wanted: 2 });
    assert_eq!(check(&with(&["0", "1,2", "0"])), Ok(()), "no rank has the third entry");
    assert_eq!(check(&JobSpec { ranks_per_core: 2, ..with(&["0,1", "1,2"]) }), Ok(()));
    let thread = JobSpec { bind: Bind::Thread, ..spec(&[need(1, 4, 0)], 1) };
    assert_eq!(check(&thread), Ok(()));
}

/// A hundred thousand subtasks of all sizes behind one that waits: a step looks at a few of them.
#[test]
fn a_step_looks_at_a_few() {
    let mut needs = vec![need(u64::MAX, 1, 60), need(u64::MAX - 1, 1, 90)];
    needs.extend((0..100_000u64).map(|n| need(1_000_000 - n, 1, 20 + n % 70)));
    let stage = Stage::new(spec(&needs, 8));
    assert!(stage.ready.heads(LOOK_AHEAD_MAX).len() <= 65 * LOOK_AHEAD_MAX);
    let mut stage = stage;
    assert_eq!(stage.start(), ["0@0"]);
}

proptest! {
    /// Any job ends, no core is given twice, no domain gives more than it has, and who waits for memory starts at the
    /// latest when all have ended that ran when it came to wait.
    #[test]
    fn every_job_ends(
        needs in prop::collection::vec((1u64..50, 1u32..4, prop::sample::select(vec![0u64, 0, 5, 20, 60, 100, 150])), 1..30),
        ranks in 1u32..12,
        own in any::<bool>(),
        bind in 0usize..6,
        distribution in prop::sample::select(vec![Distribution::Cost, Distribution::Block, Distribution::Cyclic]),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let words = [Bind::Core, Bind::Numa, Bind::Thread, Bind::None, fixed(&["0-2", "3-5"]), fixed(&["5,4,3", "0-2"])];
        let needs: Vec<Need> = needs.into_iter().map(|(cells, cores, mem)| need(cells, cores, mem)).collect();
        let ranks = if own { needs.len() as u32 } else { ranks };
        let mut spec = JobSpec { bind: words[bind].clone(), distribution, ..JobSpec::plain(needs.clone(), ranks) };
        spec.topology = Topology::uniform(6, 3, 3);
        spec.topology.numa.iter_mut().for_each(|numa| numa.memory_bytes = 100);
        let mut stage = Stage::new(spec);
        let mut ended = 0;
        let mut choices = choices.iter().cycle();
        stage.start();
        let mut kept: Option<(SubtaskId, Vec<u32>)> = None;
        while !stage.running.is_empty() {
            let mut used = [0u64; 2];
            let mut cores = std::collections::BTreeSet::new();
            for seat in stage.running.values() {
                prop_assert!(seat.placement.cores.iter().all(|core| cores.insert(*core)), "a core was given twice");
                seat.placement.memory.iter().for_each(|(domain, bytes)| used[*domain as usize] += bytes);
            }
            prop_assert!(used.iter().all(|used| *used <= 100), "{:?}", used);
            if let Some(reserved) = &stage.seats.reserved {
                match &kept {
                    Some((subtask, before)) if *subtask == reserved.subtask => {
                        prop_assert!(before.iter().any(|one| stage.running.contains_key(one)), "it waits for no one");
                    }
                    _ => kept = Some((reserved.subtask, stage.running.keys().copied().collect())),
                }
            }
            let running: Vec<u32> = stage.running.keys().copied().collect();
            let Some(choice) = choices.next() else { break };
            stage.end(running[choice.index(running.len())]);
            ended += 1;
        }
        prop_assert_eq!(ended, needs.len(), "all have run");
    }
}
