//! The plan: what a job would do if every cell took the same time. The core's own order and choice of cores are
//! played through; nothing runs.

use crate::cost::order;
use crate::place::{Bind, CorePool, Placement};
use crate::ratio::Ratio;
use dc_model::{Rank, Subtask, SubtaskId, Topology};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::fmt;

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

/// The finest unit of time is this part of a cell's; only wild mixtures of core counts reach it.
const UNITS_A_CELL_MAX: u64 = 1 << 32;

/// Where and when a subtask would run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Planned {
    /// Its lane.
    pub rank: Rank,
    /// Its cores and CPUs.
    pub placement: Placement,
    /// When it starts, in units of [`Plan::units_a_cell`].
    pub start: u128,
    /// When it ends, in the same units.
    pub end: u128,
}

/// What a job would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// By subtask; nothing for those that cost nothing, which never run.
    pub subtasks: Vec<Option<Planned>>,
    /// Times are in units of which so many are the time one core takes for one cell (of weight 1). A subtask of `cells`
    /// on `cores` takes `cells / cores` of that time; the unit is chosen so that this is a whole number of units.
    /// Where all subtasks have as many cores, a subtask's time in units is its cells.
    pub units_a_cell: u64,
    /// When the last one ends, in units.
    pub makespan: u128,
    /// The sum of all cells.
    pub cells_total: u64,
    /// Subtasks that run at all.
    pub running: u32,
    /// Lanes.
    pub ranks: u32,
    /// Ranks that can run at once, by lanes and by cores; with unlike needs, of those that need most.
    pub slots: u32,
    /// Cores that are used at some time.
    pub cores_used: u32,
    /// Cores that may be used.
    pub cores: u32,
    /// The dearest subtask over the mean of those that run.
    pub balance: Ratio,
    /// The work over what all slots' cores could do in the makespan; 1 at best.
    pub efficiency: Ratio,
}

/// Why there is no plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlanError {
    /// No lanes.
    NoRanks,
    /// A subtask needs more cores than there are.
    TooManyCores {
        /// The first such.
        subtask: SubtaskId,
        /// Its name, or its number.
        shown: String,
        /// What it needs.
        wanted: u32,
        /// Cores that may be used.
        cores: u32,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRanks => f.write_str("0 ranks can run nothing; at least 1 is needed"),
            Self::TooManyCores { shown, wanted, cores, .. } => {
                write!(f, "subtask {shown} needs {wanted} cores, and only {cores} may be used here")
            }
        }
    }
}

impl std::error::Error for PlanError {}

/// Plays a job through: subtasks longest first, ties by id; with as many lanes as subtasks lane i runs subtask i, else
/// the lowest free lane takes the next one. The next one waits until its cores are free, and nothing overtakes it.
/// At most `ranks_per_core` ranks share a core, as if each had it to itself.
///
/// # Errors
/// No lanes, or a subtask that can never run.
pub fn plan(
    subtasks: &[Subtask],
    ranks: u32,
    topology: &Topology,
    bind: Bind,
    ranks_per_core: u32,
) -> Result<Plan, PlanError> {
    if ranks == 0 {
        return Err(PlanError::NoRanks);
    }
    let pool = CorePool::new(topology, bind, ranks_per_core);
    let cores = pool.cores();
    let live = |subtask: &&Subtask| subtask.cells > 0;
    if let Some((id, subtask)) = (0..).zip(subtasks).find(|(_, s)| live(s) && s.cores > cores) {
        let (subtask, shown, wanted) = (SubtaskId(id), subtask.shown(SubtaskId(id)), subtask.cores);
        return Err(PlanError::TooManyCores { subtask, shown, wanted, cores });
    }
    let running = subtasks.iter().filter(live).count();
    let own_lanes = ranks as usize == subtasks.len();
    // With a lane each, those that never run leave their lanes idle.
    let lanes = if own_lanes { running.max(1) } else { ranks as usize };
    let (slots, slot_cores) = usable(subtasks, lanes, &pool, ranks_per_core);
    let units_a_cell = units_a_cell(subtasks);
    let free = (!own_lanes).then(|| (0..ranks).collect());
    let mut play = Play { pool, free, units_a_cell, running: BinaryHeap::new(), now: 0, makespan: 0 };
    let planned = play.through(subtasks);

    let cells_total: u128 = subtasks.iter().map(|s| u128::from(s.cells)).sum();
    let most = subtasks.iter().map(|s| s.cells).max().unwrap_or(0);
    let used: BTreeSet<u32> = planned.iter().flatten().flat_map(|p| &p.placement.cores).copied().collect();
    Ok(Plan {
        units_a_cell,
        makespan: play.makespan,
        cells_total: u64::try_from(cells_total).unwrap_or(u64::MAX),
        running: running as u32,
        ranks,
        slots,
        cores_used: used.len() as u32,
        cores,
        balance: Ratio::of(u128::from(most) * running as u128, cells_total),
        efficiency: Ratio::of(
            cells_total * u128::from(units_a_cell),
            play.makespan.saturating_mul(u128::from(slot_cores)),
        ),
        subtasks: planned,
    })
}

impl Plan {
    /// The makespan as the time one core takes for so many cells, rounded up.
    #[must_use]
    pub fn makespan_cells(&self) -> u64 {
        u64::try_from(self.makespan.div_ceil(u128::from(self.units_a_cell))).unwrap_or(u64::MAX)
    }
}

/// Ranks that can run at once, and the places on cores that they take.
fn usable(subtasks: &[Subtask], lanes: usize, pool: &CorePool, ranks_per_core: u32) -> (u32, u64) {
    let mut needs: Vec<u32> = subtasks.iter().filter(|s| s.cells > 0).map(|s| s.cores.max(1)).collect();
    needs.sort_unstable_by_key(|cores| Reverse(*cores));
    let (Some(most), Some(least)) = (needs.first(), needs.last()) else { return (0, 0) };
    if most == least {
        let slots = pool.slots(*most).min(u32::try_from(lanes).unwrap_or(u32::MAX));
        return (slots, u64::from(slots) * u64::from(*most));
    }
    let places = u64::from(pool.cores()) * u64::from(ranks_per_core.max(1));
    let (mut slots, mut taken) = (0, 0);
    for cores in needs.into_iter().take(lanes).map(u64::from) {
        if taken + cores <= places {
            taken += cores;
            slots += 1;
        }
    }
    (slots, taken)
}

/// The least number that every subtask's cores divide, if it is not too large.
fn units_a_cell(subtasks: &[Subtask]) -> u64 {
    let counts: BTreeSet<u64> =
        subtasks.iter().filter(|s| s.cells > 0).map(|s| s.cores.max(1).into()).collect();
    let multiple = |units: u64, cores: u64| {
        (units / divisor(units, cores)).checked_mul(cores).filter(|units| *units <= UNITS_A_CELL_MAX)
    };
    counts.into_iter().try_fold(1, multiple).unwrap_or(UNITS_A_CELL_MAX)
}

/// The greatest common divisor of two numbers above 0.
fn divisor(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A subtask that runs: its end, its lane, and which. The earliest end is the greatest.
type Ending = Reverse<(u128, u32, usize)>;

/// The state of the play.
struct Play {
    pool: CorePool,
    /// Free lanes; nothing where each subtask has its own.
    free: Option<BTreeSet<u32>>,
    units_a_cell: u64,
    running: BinaryHeap<Ending>,
    now: u128,
    makespan: u128,
}

impl Play {
    fn through(&mut self, subtasks: &[Subtask]) -> Vec<Option<Planned>> {
        let mut planned: Vec<Option<Planned>> = vec![None; subtasks.len()];
        let order = order(subtasks.iter().map(|subtask| (subtask.cells, subtask.cores)));
        for id in order.into_iter().map(SubtaskId::index).filter(|id| subtasks[*id].cells > 0) {
            loop {
                planned[id] = self.try_start(id, &subtasks[id]);
                if planned[id].is_some() || !self.wait(&planned) {
                    break;
                }
            }
        }
        planned
    }

    fn try_start(&mut self, id: usize, subtask: &Subtask) -> Option<Planned> {
        let lane = self.free.as_ref().map_or(Some(id as u32), |free| free.first().copied())?;
        let placement = self.pool.take(subtask.cells, subtask.cores)?;
        if let Some(free) = &mut self.free {
            free.remove(&lane);
        }
        let units = u128::from(subtask.cells) * u128::from(self.units_a_cell);
        let (start, end) = (self.now, self.now + units.div_ceil(u128::from(subtask.cores.max(1))));
        self.makespan = self.makespan.max(end);
        self.running.push(Reverse((end, lane, id)));
        Some(Planned { rank: Rank(lane), placement, start, end })
    }

    /// Goes on to when the next ones end; false when nothing runs.
    fn wait(&mut self, planned: &[Option<Planned>]) -> bool {
        let Some(Reverse((end, ..))) = self.running.peek() else { return false };
        self.now = *end;
        while let Some(Reverse((end, lane, id))) = self.running.peek().copied() {
            if end > self.now {
                break;
            }
            self.running.pop();
            if let Some(free) = &mut self.free {
                free.insert(lane);
            }
            if let Some(ended) = &planned[id] {
                self.pool.give_back(&ended.placement);
            }
        }
        true
    }
}
