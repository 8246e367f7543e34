//! What is expected of a job before it runs: which rank and which CPUs each subtask gets, how balanced it is, when it
//! ends. The core's own choice of lanes, cores and memory, in the time that costs alone predict.

use super::learned::Known;
use dc_model::{CpuSet, SubtaskId};
use dcsched_core::cost::{CostModel, order};
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
    /// What runs before predict, where there were any.
    pub forecast: Option<Forecast>,
    /// Each subtask's rank and CPUs, by id; none for one that costs nothing.
    pub seats: Vec<Option<(u32, CpuSet)>>,
    /// The subtasks that run, in the order in which they start, with their cores: indices into the topology's.
    pub starts: Vec<(SubtaskId, Vec<u32>)>,
}

/// What is expected of a job in time.
#[derive(Clone, PartialEq, Debug)]
pub struct Forecast {
    /// Time to the end, in ns.
    pub makespan_ns: u64,
    /// Time of all cores together, in ns.
    pub core_ns: u64,
    /// Each subtask's time, in ns, by id; 0 for one that costs nothing.
    pub subtask_ns: Vec<u64>,
    /// What it rests on.
    pub known: Known,
}

/// Plays the job through in predicted time: in cells, and in what runs before took for them.
#[must_use]
pub fn predict(spec: &JobSpec, better_split: Option<u32>, known: Option<&Known>) -> Plan {
    let time = |need: Need| need.cells.div_ceil(u64::from(need.cores.max(1)));
    let mut plan = plan_in_cells(spec, better_split, play(spec, time));
    if let Some(known) = known {
        let model = &known.model;
        let mut timed = play(spec, |need| subtask_ns(model, need));
        let subtask_ns: Vec<u64> = spec.needs.iter().map(|need| subtask_ns(model, *need)).collect();
        let core_ns =
            subtask_ns.iter().zip(&spec.needs).map(|(ns, need)| ns.saturating_mul(need.cores.into()));
        plan.seats = std::mem::take(&mut timed.seated);
        plan.forecast = Some(Forecast {
            makespan_ns: timed.last_end,
            core_ns: core_ns.fold(0, u64::saturating_add),
            subtask_ns,
            known: known.clone(),
        });
    }
    plan
}

/// Time to the end of what is left, in ns, without playing it through: the mean load, and no less than the longest. For
/// jobs whose plan nobody asks for.
#[must_use]
pub fn predict_roughly(spec: &JobSpec, left: impl Iterator<Item = SubtaskId>, known: &Known) -> Option<u64> {
    let needs = left.filter_map(|subtask| spec.needs.get(subtask.index())).filter(|need| need.cells > 0);
    let cells = needs.map(|need| need.cells / u64::from(need.cores.max(1)));
    known.model.predict_end_ns(cells, slots(spec))
}

fn subtask_ns(model: &CostModel, need: Need) -> u64 {
    match need.cells {
        0 => 0,
        cells => model.predict_ns(cells / u64::from(need.cores.max(1))).unwrap_or(0),
    }
}

fn play(spec: &JobSpec, time: impl Fn(Need) -> u64) -> Play {
    let order = order(spec.needs.iter().map(|need| (need.cells, need.cores)));
    let times: Vec<u64> = spec.needs.iter().map(|need| time(*need)).collect();
    let mut play = Play::new(spec);
    play.through(Work { order: &order, needs: &spec.needs }, &times);
    play
}

fn plan_in_cells(spec: &JobSpec, better_split: Option<u32>, play: Play) -> Plan {
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
        forecast: None,
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
    fn through(&mut self, work: Work<'_>, times: &[u64]) {
        let mut ready = self.seats.ready();
        let part = |seats: &Seats, subtask: SubtaskId| seats.class(subtask, work.needs[subtask.index()]);
        for (place, subtask) in (0..).zip(work.order) {
            if work.needs[subtask.index()].cells > 0 {
                ready.insert(place, part(&self.seats, *subtask));
            }
        }
        while !ready.is_empty() {
            match self.seats.try_seat(&ready, work) {
                Some(seat) => {
                    ready.remove(seat.place, part(&self.seats, seat.subtask));
                    self.start(seat, times);
                }
                None if self.end_next() => {}
                None => return,
            }
        }
    }

    fn start(&mut self, seat: Seat, times: &[u64]) {
        let end = self.now.saturating_add(times[seat.subtask.index()]);
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
        let plan = predict(&tight, None, None);
        assert_eq!((plan.slots, plan.makespan), (1, 40));
        let mut mapped = spec(&[10; 4], 4, 4);
        mapped.bind = Bind::Fixed(vec![CpuSet::from_iter([3]), CpuSet::from_iter([1])]);
        let plan = predict(&mapped, None, None);
        assert_eq!((plan.slots, plan.makespan, plan.efficiency), (2, 20, 1.0));
        let seen: Vec<_> =
            plan.seats.iter().flatten().map(|(rank, cpus)| (*rank, cpus.to_string())).collect();
        let wanted = [(0, "3"), (1, "1"), (2, "3"), (3, "1")].map(|(rank, cpus)| (rank, cpus.to_owned()));
        assert_eq!(seen, wanted);
    }

    #[test]
    fn equal_subtasks_in_two_rounds() {
        let plan = predict(&spec(&[10; 4], 4, 3), None, None);
        assert_eq!((plan.cores, plan.lanes, plan.slots, plan.makespan), (3, 4, 3, 20));
        assert_eq!(plan.balance, 1.0);
        assert!((plan.efficiency - 2.0 / 3.0).abs() < 1e-9);
        let ranks: Vec<_> = plan.seats.iter().flatten().map(|(rank, _)| *rank).collect();
        assert_eq!(ranks, [0, 1, 2, 3], "lane i runs subtask i");
    }

    #[test]
    fn lanes_pull_the_longest_first() {
        let plan = predict(&spec(&[1, 9, 0, 5, 5], 2, 2), Some(7), None);
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
        let plan = predict(&spec(&[5, 5], 1, 8), None, None);
        assert_eq!((plan.slots, plan.makespan), (1, 10));
        assert_eq!(plan.efficiency, 1.0, "of what the lanes may use");
    }

    fn known(a_ns: u64, b_ns: u64) -> Known {
        let mut model = CostModel::default();
        (1..=8).for_each(|i| model.observe(i * 1000, a_ns + b_ns * i * 1000));
        Known { model, source: super::super::learned::Source::Same, observations: 8, last_s: 1 }
    }

    #[test]
    fn a_forecast_counts_what_each_start_takes() {
        // 10 ns a cell, and 1 ms for each start: two rounds, although the cells alone are balanced.
        let spec = spec(&[2000, 1000, 500, 500, 0], 2, 2);
        let mut plan = predict(&spec, None, Some(&known(1_000_000, 10)));
        let forecast = plan.forecast.take().unwrap();
        let near =
            |found: u64, wanted: u64| assert!(found.abs_diff(wanted) <= wanted / 500, "{found} {wanted}");
        assert_eq!((plan.makespan, plan.efficiency), (2000, 1.0));
        near(forecast.makespan_ns, 2 * 1_000_000 + 2500 * 10);
        near(forecast.core_ns, 4 * 1_000_000 + 4000 * 10);
        near(forecast.subtask_ns[0], 1_020_000);
        assert_eq!(forecast.subtask_ns[4], 0);
        let left = (0..5).map(SubtaskId);
        let roughly = predict_roughly(&spec, left, &known(1_000_000, 10)).unwrap();
        near(roughly, (4 * 1_000_000 + 4000 * 10) / 2);
    }
}
