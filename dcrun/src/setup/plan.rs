//! What is expected of a job before it runs: which rank and which CPUs each subtask gets, how balanced it is, when it
//! ends. The same order and the same choice of cores as the core's, in the time that costs alone predict.

use dc_model::{CpuSet, SubtaskId};
use dcsched_core::cost::order;
use dcsched_core::job::{JobSpec, Need};
use dcsched_core::place::{CorePool, Placement};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// What is expected of a job.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// Allowed cores.
    pub cores: u32,
    /// Lanes.
    pub lanes: u32,
    /// Subtasks that run at once, at most.
    pub slots: u32,
    /// Cells of all subtasks.
    pub cells_total: u64,
    /// The dearest subtask over the mean of those that cost anything.
    pub balance: f64,
    /// Time to the end, in the time one core takes for a cell.
    pub makespan: u64,
    /// The ideal time over it.
    pub efficiency: f64,
    /// A number of blocks that would end sooner.
    pub better_split: Option<u32>,
    /// Each subtask's rank and CPUs, by id; none for one that costs nothing.
    pub seats: Vec<Option<(u32, CpuSet)>>,
}

/// Plays the job through in predicted time.
#[must_use]
pub fn predict(spec: &JobSpec, better_split: Option<u32>) -> Plan {
    let mut play = Play::new(spec);
    let costs: Vec<(u64, u32)> = spec.needs.iter().map(|need| (need.cells, need.cores)).collect();
    for subtask in order(costs) {
        let need = spec.needs[subtask.index()];
        if need.cells == 0 {
            break; // They come last.
        }
        play.start(subtask, need);
    }
    let makespan = play.last_end;
    let cells_total: u64 = spec.needs.iter().map(|need| need.cells).sum();
    let real: Vec<u64> = spec.needs.iter().map(|need| need.cells).filter(|cells| *cells > 0).collect();
    let mean = cells_total as f64 / real.len().max(1) as f64;
    let dearest = real.iter().copied().max().unwrap_or(0) as f64;
    let cores_per_subtask = spec.needs.iter().map(|need| need.cores).max().unwrap_or(1);
    let cores = spec.topology.cores.len() as u32;
    let used = play.most_ranked_cores;
    Plan {
        cores,
        lanes: spec.ranks,
        slots: slots(spec, cores_per_subtask),
        cells_total,
        balance: if mean > 0.0 { dearest / mean } else { 1.0 },
        makespan,
        efficiency: if makespan == 0 {
            1.0
        } else {
            cells_total as f64 / (makespan as f64 * used.max(1) as f64)
        },
        better_split,
        seats: play.seats,
    }
}

/// How many subtasks of so many cores can run at once.
#[must_use]
pub fn slots(spec: &JobSpec, cores: u32) -> u32 {
    spec.pool().slots(cores.max(1)).min(spec.ranks).max(1)
}

struct Play {
    pool: CorePool,
    own_lanes: bool,
    free: BTreeSet<u32>,
    /// What runs, by its end.
    running: BinaryHeap<Reverse<(u64, u32)>>,
    held: Vec<Option<(u32, Placement)>>,
    seats: Vec<Option<(u32, CpuSet)>>,
    now: u64,
    last_end: u64,
    ranked_cores: u64,
    /// The most cores, counted once a rank, that were taken at a time.
    most_ranked_cores: u64,
}

impl Play {
    fn new(spec: &JobSpec) -> Self {
        let own_lanes = spec.ranks as usize == spec.needs.len();
        Self {
            pool: spec.pool(),
            own_lanes,
            free: if own_lanes { BTreeSet::new() } else { (0..spec.ranks).collect() },
            running: BinaryHeap::new(),
            held: vec![None; spec.needs.len()],
            seats: vec![None; spec.needs.len()],
            now: 0,
            last_end: 0,
            ranked_cores: 0,
            most_ranked_cores: 0,
        }
    }

    /// Starts a subtask as soon as a lane and cores are free.
    fn start(&mut self, subtask: SubtaskId, need: Need) {
        let placement = loop {
            let has_lane = self.own_lanes || !self.free.is_empty();
            if let Some(placement) = has_lane.then(|| self.pool.take(need.cells, need.cores)).flatten() {
                break placement;
            }
            if !self.end_next() {
                return; // It fits nowhere; the setup has refused such needs before.
            }
        };
        let rank = if self.own_lanes { subtask.0 } else { self.free.pop_first().unwrap_or(0) };
        let end = self.now.saturating_add(need.cells.div_ceil(u64::from(need.cores.max(1))));
        self.last_end = self.last_end.max(end);
        self.running.push(Reverse((end, subtask.0)));
        self.ranked_cores += placement.cores.len() as u64;
        self.most_ranked_cores = self.most_ranked_cores.max(self.ranked_cores);
        self.seats[subtask.index()] = Some((rank, placement.cpus.clone()));
        self.held[subtask.index()] = Some((rank, placement));
    }

    fn end_next(&mut self) -> bool {
        let Some(Reverse((end, subtask))) = self.running.pop() else { return false };
        self.now = end;
        if let Some((rank, placement)) = self.held[subtask as usize].take() {
            self.ranked_cores -= placement.cores.len() as u64;
            self.pool.give_back(&placement);
            if !self.own_lanes {
                self.free.insert(rank);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::Topology;
    use dcsched_core::place::Bind;

    fn spec(cells: &[u64], ranks: u32, cores: u32) -> JobSpec {
        JobSpec {
            needs: cells.iter().map(|cells| Need { cells: *cells, cores: 1, mem_bytes: 0 }).collect(),
            ranks,
            restart_on: Default::default(),
            restarts: 3,
            keep_going: false,
            merge: false,
            topology: Topology::uniform(cores, cores, cores),
            bind: Bind::Core,
            ranks_per_core: 1,
            crowd: Vec::new(),
        }
    }

    #[test]
    fn equal_subtasks_in_two_rounds() {
        let plan = predict(&spec(&[10; 4], 4, 3), None);
        assert_eq!((plan.cores, plan.lanes, plan.slots, plan.makespan), (3, 4, 3, 20));
        assert_eq!(plan.balance, 1.0);
        assert!((plan.efficiency - 2.0 / 3.0).abs() < 1e-9);
        let ranks: Vec<_> = plan.seats.iter().flatten().map(|(rank, _)| *rank).collect();
        assert_eq!(ranks, [0, 1, 2, 3], "lane i runs subtask i");
    }

    #[test]
    fn lanes_pull_the_longest_first() {
        let plan = predict(&spec(&[1, 9, 0, 5, 5], 2, 2), Some(7));
        assert_eq!(plan.makespan, 10);
        assert_eq!((plan.balance, plan.efficiency), (9.0 / 5.0, 1.0));
        let ranks: Vec<_> = plan.seats.iter().map(|seat| seat.as_ref().map(|(rank, _)| *rank)).collect();
        assert_eq!(ranks, [Some(0), Some(0), None, Some(1), Some(1)]);
        assert_eq!(plan.better_split, Some(7));
    }

    #[test]
    fn one_lane_of_many_cores() {
        let plan = predict(&spec(&[5, 5], 1, 8), None);
        assert_eq!((plan.slots, plan.makespan), (1, 10));
        assert_eq!(plan.efficiency, 1.0, "of what the lanes may use");
    }
}
