//! Who is next, on which lane, on which cores, with which memory. The run and the plan both ask here.
//!
//! Subtasks start in the order of their cost. The first that waits for cores is overtaken by none. The first that waits
//! for memory is overtaken by what fits beside it: a domain is kept for it, and whatever starts in that domain after
//! it, taken together, leaves room for it. So it starts at the latest when those have ended that ran when it came to
//! wait. One whose memory no single domain has is overtaken by none.

mod check;
mod lanes;
mod ready;
mod reserve;

#[cfg(test)]
#[path = "seats_tests.rs"]
mod tests;

pub use check::{Misfit, check};
pub use ready::Ready;

use crate::job::{JobSpec, Need};
use crate::place::{Bind, CorePool, Lack, Placement, Wish, units_of_cpus};
use dc_model::{Rank, SubtaskId};
use lanes::Lanes;
use reserve::Reserved;

/// How many subtasks of about the same memory are looked at behind one that waits for memory.
const LOOK_AHEAD_MAX: usize = 16;

/// A lane and cores for a subtask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seat {
    /// Its place in the order.
    pub place: u32,
    /// Which subtask.
    pub subtask: SubtaskId,
    /// Its lane.
    pub rank: Rank,
    /// Its cores and its memory.
    pub placement: Placement,
}

/// What is to be seated: all subtasks in their order, and what each needs.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// Subtasks, first to last.
    pub order: &'a [SubtaskId],
    /// By subtask.
    pub needs: &'a [Need],
}

impl Work<'_> {
    fn at(&self, place: u32) -> (SubtaskId, Need) {
        let subtask = self.order[place as usize];
        (subtask, self.needs[subtask.index()])
    }
}

/// What behind the first one that waits may still start.
enum Beside {
    /// Anything.
    Any,
    /// What asks for no memory.
    WithoutMemory,
    /// What leaves room for it.
    Reserved,
}

/// The lanes, cores and memory of a node.
#[derive(Clone, Debug)]
pub struct Seats {
    lanes: Lanes,
    pool: CorePool,
    /// For the first subtask that waits for memory.
    reserved: Option<Reserved>,
    ranks_per_core: u32,
    has_memory: bool,
}

impl Seats {
    /// All free.
    #[must_use]
    pub fn new(spec: &JobSpec) -> Self {
        let pool =
            CorePool::new(&spec.topology, spec.bind.clone(), spec.ranks_per_core, spec.memory_max_bytes)
                .crowded(&spec.crowd);
        let entries = match &spec.bind {
            Bind::Fixed(entries) => entries.iter().map(|cpus| units_of_cpus(&spec.topology, cpus)).collect(),
            _ => Vec::new(),
        };
        Self {
            lanes: Lanes::new(spec, entries),
            pool,
            reserved: None,
            ranks_per_core: spec.ranks_per_core.max(1),
            has_memory: spec.needs.iter().any(|need| need.mem_bytes > 0),
        }
    }

    /// How many subtasks with such a need can run at once.
    #[must_use]
    pub fn slots(&self, need: Need) -> u32 {
        match self.lanes.entries_used() {
            // Entries that overlap are run at once only where cores may be shared.
            Some(entries) if self.ranks_per_core == 1 => {
                let need = Need { cores: 1, ..need };
                entries.min(self.pool.slots(need))
            }
            Some(_) => self.lanes.count(),
            None => self.pool.slots(need).min(self.lanes.count()),
        }
    }

    /// An empty queue of the ready, parted so that a step looks at a few of them only.
    #[must_use]
    pub fn ready(&self) -> Ready {
        Ready::new(if self.is_lane_tied() {
            self.lanes.entries_used().unwrap_or(1)
        } else if self.has_memory {
            1 + u64::BITS
        } else {
            1
        })
    }

    /// Which part of the queue a subtask belongs to: those of one entry, or those of about the same memory.
    #[must_use]
    pub fn part(&self, subtask: SubtaskId, need: Need) -> u32 {
        if self.is_lane_tied() {
            subtask.0 % self.lanes.entries_used().unwrap_or(1).max(1)
        } else if self.has_memory {
            need.mem_bytes.checked_ilog2().map_or(0, |log| log + 1)
        } else {
            0
        }
    }

    /// The cores of a placement, by the topology's, whatever ranks are bound to.
    pub fn cores_of(&self, placement: &Placement) -> impl Iterator<Item = u32> {
        self.pool.cores_of(placement)
    }

    /// Whether a subtask of one core would find a lane and a core.
    #[must_use]
    pub fn any_free(&self) -> bool {
        self.lanes.any_free() && self.pool.any_free()
    }

    /// Seats the next of the ready, which the caller takes out of the queue then. Nothing: all wait.
    pub fn try_seat(&mut self, ready: &Ready, work: Work<'_>) -> Option<Seat> {
        let head = ready.first()?;
        if !self.any_free() {
            return None;
        }
        let lack = match self.try_place(head, work, None) {
            Ok(seat) => {
                if self.reserved.as_ref().is_some_and(|reserved| reserved.subtask == seat.subtask) {
                    self.reserved = None;
                }
                return Some(seat);
            }
            Err(lack) => lack,
        };
        self.try_overtake(head, lack, ready, work)
    }

    /// Seats one of those behind the first one that waits.
    fn try_overtake(&mut self, head: u32, lack: Lack, ready: &Ready, work: Work<'_>) -> Option<Seat> {
        let (mut beside, each) = if self.is_lane_tied() {
            (if lack == Lack::Memory { Beside::WithoutMemory } else { Beside::Any }, 1)
        } else if self.maybe_reserve(head, lack, work) {
            (Beside::Reserved, LOOK_AHEAD_MAX)
        } else {
            return None;
        };
        // What needs no less than one that was refused is refused too.
        let mut refused: Vec<Need> = Vec::new();
        for place in ready.heads(each).into_iter().filter(|place| *place != head) {
            let (_, need) = work.at(place);
            let is_hopeless = match beside {
                Beside::Any => false,
                Beside::WithoutMemory => need.mem_bytes > 0,
                Beside::Reserved => {
                    refused.iter().any(|no| no.mem_bytes <= need.mem_bytes && no.cores <= need.cores)
                }
            };
            if is_hopeless {
                continue;
            }
            let seated = match beside {
                Beside::Reserved => self.try_beside(place, work),
                Beside::Any | Beside::WithoutMemory => self.try_place(place, work, None),
            };
            match seated {
                Ok(seat) => return Some(seat),
                Err(Lack::Memory) if matches!(beside, Beside::Any) => beside = Beside::WithoutMemory,
                Err(_) => refused.push(need),
            }
        }
        None
    }

    /// A lane and cores for one of the ready, not in one domain where that is said.
    fn try_place(&mut self, place: u32, work: Work<'_>, except: Option<u32>) -> Result<Seat, Lack> {
        let (subtask, need) = work.at(place);
        let mut lack = Lack::Cores;
        for rank in self.lanes.candidates(subtask) {
            let domains = self.lanes.domains(rank);
            let wish = Wish { units: self.lanes.units(rank), domains: &domains, except };
            match self.pool.take(need, &wish) {
                Ok(placement) => {
                    self.lanes.take(rank);
                    return Ok(Seat { place, subtask, rank: Rank(rank), placement });
                }
                Err(Lack::Memory) => lack = Lack::Memory,
                Err(Lack::Cores) => {}
            }
        }
        Err(lack)
    }

    /// The attempt has ended: its lane, its cores and its memory are free again.
    pub fn give_back(&mut self, rank: Rank, placement: &Placement) {
        self.lanes.give_back(rank.0);
        self.pool.give_back(placement);
        if let Some(reserved) = &mut self.reserved {
            reserved.on_given_back(placement);
        }
    }

    /// The lane of a subtask that takes over the lane and the cores of another one: its own, where it has one. Nothing
    /// where that lane has other CPUs.
    #[must_use]
    pub fn lane_behind(&self, subtask: SubtaskId, ahead: Rank) -> Option<Rank> {
        self.lanes.behind(subtask.0, ahead.0).map(Rank)
    }

    /// A subtask took over from another one: whatever was kept for it is free.
    pub fn on_taken_over(&mut self, subtask: SubtaskId) {
        self.reserved.take_if(|reserved| reserved.subtask == subtask);
    }

    /// Whether each subtask has a lane of its own, and that its CPUs.
    fn is_lane_tied(&self) -> bool {
        self.lanes.is_own() && self.lanes.entries_used().is_some()
    }
}
