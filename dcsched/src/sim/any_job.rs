//! Any job on any small machine: needs of cores and memory, bindings, maps, all that fits on it; and the same job on
//! another machine, with whatever was learned of its kernel.

use super::random::Random;
use dc_model::{Bind, CpuSet, Distribution, RestartOn, Topology};
use dcsched_core::cost::CostModel;
use dcsched_core::job::{JobSpec, Need, gang_fits};
use dcsched_core::seats::check;

/// Memory of each domain, in bytes.
const DOMAIN_BYTES: u64 = 1000;

/// One that can run.
pub(super) fn any_spec(random: &mut Random) -> JobSpec {
    let cores = random.between(1, 8) as u32;
    let topology = any_machine(random, cores);
    let subtasks = random.between(1, 24);
    let uniform = random.chance(300);
    let has_memory = random.chance(500);
    let node_bytes = DOMAIN_BYTES * topology.numa.len() as u64;
    let mem_bytes = |random: &mut Random| match random.below(4) {
        _ if !has_memory => 0,
        0 => 0,
        1 => random.below(DOMAIN_BYTES / 4),
        2 => random.between(1, DOMAIN_BYTES),
        _ => random.between(1, node_bytes),
    };
    let needs: Vec<Need> = (0..subtasks)
        .map(|_| Need {
            cells: if uniform { 1 } else { random.below(50) },
            cores: if uniform { 1 } else { random.between(1, u64::from(cores.min(3))) as u32 },
            mem_bytes: mem_bytes(random),
        })
        .collect();
    let ranks = if random.chance(500) { needs.len() as u32 } else { random.between(1, 10) as u32 };
    let mut spec = JobSpec {
        ranks,
        needs,
        restarts: random.below(4) as u32,
        restart_on: RestartOn::from_bits(random.below(16) as u8).unwrap_or_default(),
        gang: false,
        keep_going: random.chance(300),
        merge: random.chance(400),
        bind: any_bind(random, cores),
        distribution: [Distribution::Cost, Distribution::Block, Distribution::Cyclic]
            [random.below(3) as usize],
        ranks_per_core: if random.chance(150) { random.between(2, 3) as u32 } else { 1 },
        memory_max_bytes: random.chance(200).then(|| random.between(node_bytes / 2, node_bytes)),
        crowd: (0..random.below(u64::from(cores) + 1)).map(|_| random.below(3) as u32).collect(),
        topology,
        releases: false,
    };
    if check(&spec).is_err() {
        // A map that is too small for a subtask, or memory above the limit.
        spec.bind = Bind::Core;
        spec.memory_max_bytes = None;
    }
    debug_assert_eq!(check(&spec), Ok(()));
    maybe_gang(&mut spec, random);
    spec
}

/// Some jobs are gangs, where that can be: all ranks fit beside each other, and each has something to do.
fn maybe_gang(spec: &mut JobSpec, random: &mut Random) {
    if !random.chance(400) {
        return;
    }
    let live = spec.needs.iter().filter(|need| need.cells > 0).count() as u64;
    let ranks_max = live.min(spec.topology.cores.len() as u64 * u64::from(spec.ranks_per_core));
    let ranks = random.between(1, ranks_max.max(1)) as u32;
    let gang = JobSpec { gang: true, ranks, ..spec.clone() };
    if gang_fits(&gang) {
        *spec = gang;
    }
}

/// The same job where it is gone on with: now and then on another machine, if it fits there.
pub(super) fn elsewhere(random: &mut Random, spec: &JobSpec) -> JobSpec {
    let mut moved = spec.clone();
    if random.chance(250) {
        let cores = random.between(1, 8) as u32;
        moved.topology = any_machine(random, cores);
        moved.crowd = (0..random.below(u64::from(cores) + 1)).map(|_| random.below(3) as u32).collect();
        moved.memory_max_bytes = None;
    }
    if check(&moved).is_ok() && (!moved.gang || gang_fits(&moved)) { moved } else { spec.clone() }
}

/// What runs before are said to have taught: nothing, the truth, or what is wrong by any factor.
pub(super) fn any_model(random: &mut Random) -> CostModel {
    let mut model = CostModel::default();
    let ns_a_cell = match random.below(4) {
        0 => return model,
        1 => 1_000,
        2 => 1,
        _ => random.next() >> random.below(64),
    };
    for _ in 0..random.between(1, 20) {
        let cells = if random.chance(50) { random.next() } else { random.below(50) };
        model.observe(cells, cells.saturating_mul(ns_a_cell));
    }
    model
}

fn any_machine(random: &mut Random, cores: u32) -> Topology {
    let per_domain = 1 + cores / 2;
    let mut topology = Topology::uniform(cores, per_domain, per_domain);
    topology.numa.iter_mut().for_each(|numa| numa.memory_bytes = DOMAIN_BYTES);
    if random.chance(300) {
        for core in &mut topology.cores {
            core.cpus.insert(core.logical + cores);
        }
    }
    topology
}

fn any_bind(random: &mut Random, cores: u32) -> Bind {
    match random.below(10) {
        0..5 => Bind::Core,
        5 => Bind::Numa,
        6 => Bind::Thread,
        7 => Bind::None,
        8 => Bind::Socket,
        // All cores in a few entries, from the last to the first.
        _ => {
            let each = random.between(1, 3) as u32;
            let cpus: Vec<u32> = (0..cores).rev().collect();
            Bind::Fixed(
                cpus.chunks(each as usize).map(|few| few.iter().copied().collect::<CpuSet>()).collect(),
            )
        }
    }
}
