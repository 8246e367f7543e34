//! What is expected of a job before it runs: which rank and which CPUs each subtask gets, how balanced it is, when it
//! ends. The core's own choice of lanes, cores and memory, in the time that costs alone predict.

use dc_model::{CpuSet, SubtaskId};
use dcsched_core::cost::order;
use dcsched_core::job::{JobSpec, Need};
use dcsched_core::seats::{Seat, Seats, Work};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

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
    /// The subtasks that run, in the order in which they start, with their cores: indices into the topology's.
    pub starts: Vec<(SubtaskId, Vec<u32>)>,
}

/// Plays the job through in predicted time.
#[must_use]
pub fn predict(spec: &JobSpec, better_split: Option<u32>) -> Plan {
    let order = order(spec.needs.iter().map(|need| (need.cells, need.cores)));
    let mut play = Play::new(spec);
    play.through(Work { order: &order, needs: &spec.needs });
    let makespan = play.last_end;
    let cells_total: u64 = spec.needs.iter().map(|need| need.cells).sum();
    let real: Vec<u64> = spec.needs.iter().map(|need| need.cells).filter(|cells| *cells > 0).collect();
    let mean = cells_total as f64 / real.len().max(1) as f64;
    let dearest = real.iter().copied().max().unwrap_or(0) as f64;
    let cores = spec.topology.cores.len() as u32;
    let used = play.most_ranked_cores;
    Plan {
        cores,
        lanes: spec.ranks,
        slots: slots(spec),
        cells_total,
        balance: if mean > 0.0 { dearest / mean } else { 1.0 },
        makespan,
        efficiency: if makespan == 0 {
            1.0
        } else {
            cells_total as f64 / (makespan as f64 * used.max(1) as f64)
        },
        better_split,
        seats: play.seated,
        starts: play.starts,
    }
}

/// How many subtasks can run at once: those with the most cores of all, and the memory of the mean.
#[must_use]
pub fn slots(spec: &JobSpec) -> u32 {
    let live = || spec.needs.iter().filter(|need| need.cells > 0);
    let cores = live().map(|need| need.cores.max(1)).max().unwrap_or(1);
    let memory: u128 = live().map(|need| u128::from(need.mem_bytes)).sum();
    let mem_bytes = u64::try_from(memory / live().count().max(1) as u128).unwrap_or(u64::MAX);
    Seats::new(spec).slots(Need { cells: 1, cores, mem_bytes }).max(1)
}

struct Play {
    seats: Seats,
    /// What runs, by its end.
    running: BinaryHeap<Reverse<(u64, u32)>>,
    held: Vec<Option<Seat>>,
    /// By subtask: its rank and its CPUs.
    seated: Vec<Option<(u32, CpuSet)>>,
    starts: Vec<(SubtaskId, Vec<u32>)>,
    now: u64,
    last_end: u64,
    ranked_cores: u64,
    /// The most cores, counted once a rank, that were taken at a time.
    most_ranked_cores: u64,
}

impl Play {
    fn new(spec: &JobSpec) -> Self {
        Self {
            seats: Seats::new(spec),
            running: BinaryHeap::new(),
            held: vec![None; spec.needs.len()],
            seated: vec![None; spec.needs.len()],
            starts: Vec::with_capacity(spec.needs.len()),
            now: 0,
            last_end: 0,
            ranked_cores: 0,
            most_ranked_cores: 0,
        }
    }

    /// Starts each as soon as it can be, until none waits or, against all that the setup has checked, none could run.
    fn through(&mut self, work: Work<'_>) {
        let mut ready = self.seats.ready();
        let part = |seats: &Seats, subtask: SubtaskId| seats.part(subtask, work.needs[subtask.index()]);
        for (place, subtask) in (0..).zip(work.order) {
            if work.needs[subtask.index()].cells > 0 {
                ready.insert(place, part(&self.seats, *subtask));
            }
        }
        while !ready.is_empty() {
            match self.seats.try_seat(&ready, work) {
                Some(seat) => {
                    ready.remove(seat.place, part(&self.seats, seat.subtask));
                    self.start(seat, work.needs);
                }
                None if self.end_next() => {}
                None => return,
            }
        }
    }

    fn start(&mut self, seat: Seat, needs: &[Need]) {
        let need = needs[seat.subtask.index()];
        let end = self.now.saturating_add(need.cells.div_ceil(u64::from(need.cores.max(1))));
        self.last_end = self.last_end.max(end);
        self.running.push(Reverse((end, seat.subtask.0)));
        self.ranked_cores += seat.placement.cores.len() as u64;
        self.most_ranked_cores = self.most_ranked_cores.max(self.ranked_cores);
        self.seated[seat.subtask.index()] = Some((seat.rank.0, seat.placement.cpus.clone()));
        self.starts.push((seat.subtask, seat.placement.cores.clone()));
        let at = seat.subtask.index();
        self.held[at] = Some(seat);
    }

    fn end_next(&mut self) -> bool {
        let Some(Reverse((end, subtask))) = self.running.pop() else { return false };
        self.now = end;
        if let Some(seat) = self.held[subtask as usize].take() {
            self.ranked_cores -= seat.placement.cores.len() as u64;
            self.seats.give_back(seat.rank, &seat.placement);
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
        let needs = cells.iter().map(|cells| Need { cells: *cells, cores: 1, mem_bytes: 0 }).collect();
        JobSpec { topology: Topology::uniform(cores, cores, cores), ..JobSpec::plain(needs, ranks) }
    }

    #[test]
    fn memory_and_maps_are_played_through_too() {
        // Each takes half of the memory and a little, so that one runs at a time.
        let mut tight = spec(&[10; 4], 4, 4);
        tight.topology.numa[0].memory_bytes = 100;
        tight.needs.iter_mut().for_each(|need| need.mem_bytes = 51);
        let plan = predict(&tight, None);
        assert_eq!((plan.slots, plan.makespan), (1, 40));
        let mut mapped = spec(&[10; 4], 4, 4);
        mapped.bind = Bind::Fixed(vec![CpuSet::from_iter([3]), CpuSet::from_iter([1])]);
        let plan = predict(&mapped, None);
        assert_eq!((plan.slots, plan.makespan, plan.efficiency), (2, 20, 1.0));
        let seen: Vec<_> =
            plan.seats.iter().flatten().map(|(rank, cpus)| (*rank, cpus.to_string())).collect();
        let wanted = [(0, "3"), (1, "1"), (2, "3"), (3, "1")].map(|(rank, cpus)| (rank, cpus.to_owned()));
        assert_eq!(seen, wanted);
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
        let starts: Vec<_> = plan.starts.iter().map(|(subtask, cores)| (subtask.0, cores[0])).collect();
        assert_eq!(starts, [(1, 0), (3, 1), (4, 1), (0, 0)], "the longest first");
    }

    #[test]
    fn one_lane_of_many_cores() {
        let plan = predict(&spec(&[5, 5], 1, 8), None);
        assert_eq!((plan.slots, plan.makespan), (1, 10));
        assert_eq!(plan.efficiency, 1.0, "of what the lanes may use");
    }
}
