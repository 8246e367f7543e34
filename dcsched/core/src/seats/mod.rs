//! Who is next, on which lane, on which cores, with which memory. The run and the plan both ask here.
//!
//! Subtasks start in the order of their cost. The first that waits for cores is overtaken by none. The first that waits
//! for memory is overtaken by what fits beside it: a domain is kept for it, and whatever starts in that domain after
//! it, taken together, leaves room for it. So it starts at the latest when those have ended that ran when it came to
//! wait. One whose memory no single domain has is overtaken by none.
//!
//! Where parts come and go one that nothing overtakes would hold up all nodes. So a part is kept for it: nothing starts
//! there before it, and whatever fits elsewhere starts. It starts at the latest when those have ended that ran there.
//! One that no part could ever hold waits for a larger part, and holds up nobody.

mod check;
mod lanes;
mod layout;
mod part;
mod parts;
mod ready;
mod reserve;
mod room;

#[cfg(test)]
#[path = "seats_tests.rs"]
mod tests;

pub use check::{Misfit, check};
pub use part::PartSpec;
pub use ready::Ready;

use crate::job::{JobSpec, Need};
use crate::place::{Lack, Placement};
use dc_model::{Rank, SubtaskId};
use lanes::Lanes;
use parts::{Barred, Parts};
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

/// The lanes of a job, and the cores and the memory of its parts.
#[derive(Clone, Debug)]
pub struct Seats {
    lanes: Lanes,
    parts: Parts,
    /// For the first subtask that waits.
    reserved: Option<Reserved>,
    ranks_per_core: u32,
    has_memory: bool,
    /// Whether parts come and go.
    is_elastic: bool,
    /// The first subtask that waits, where no part could ever hold it.
    homeless: Option<SubtaskId>,
}

impl Seats {
    /// All free; with one part where the job has a machine, else with none.
    #[must_use]
    pub fn new(spec: &JobSpec) -> Self {
        let lanes = Lanes::new(spec);
        let mut parts = Parts::new(spec, lanes.entries_used().unwrap_or(0) as usize);
        parts.join(&PartSpec::machine(&spec.topology, spec.memory_max_bytes), &spec.crowd);
        Self {
            lanes,
            parts,
            reserved: None,
            ranks_per_core: spec.ranks_per_core.max(1),
            has_memory: spec.needs.iter().any(|need| need.mem_bytes > 0),
            is_elastic: spec.releases,
            homeless: None,
        }
    }

    /// One more part. One without cores, or with the number of another, is passed over.
    pub fn join(&mut self, part: &PartSpec) {
        self.parts.join(part, &[]);
        self.homeless = None;
    }

    /// A part is gone. What ran there gives back its lanes all the same.
    pub fn lose(&mut self, part: u32) {
        self.parts.lose(part);
        self.reserved.take_if(|reserved| reserved.part == part);
    }

    /// Nothing new starts on a node, or again.
    pub fn withdraw(&mut self, node: u32, is_withdrawn: bool) {
        self.parts.withdraw(node, is_withdrawn);
    }

    /// Whether nothing new starts on a node.
    #[must_use]
    pub fn is_withdrawn(&self, node: u32) -> bool {
        self.parts.is_withdrawn(node)
    }

    /// Takes away all cores that are free on nodes where nothing new starts.
    pub fn release_withdrawn(&mut self) -> Vec<(u32, Vec<u32>)> {
        self.parts.release_withdrawn()
    }

    /// Takes away all free cores of all parts, and the parts that have no others: numbers of parts, and indices into their
    /// topologies' cores. `idle`: only of parts where nothing runs.
    pub fn release(&mut self, idle: bool) -> Vec<(u32, Vec<u32>)> {
        let released = self.parts.release(idle);
        self.reserved.take_if(|reserved| self.parts.get(reserved.part).is_none());
        released
    }

    /// Which node a part is on.
    #[must_use]
    pub fn node_of(&self, part: u32) -> Option<u32> {
        self.parts.get(part).map(|part| part.node)
    }

    /// Whether no part could ever hold this subtask, which is to start next and found no room.
    #[must_use]
    pub fn is_homeless(&self, subtask: Option<SubtaskId>) -> bool {
        self.homeless.is_some() && self.homeless == subtask
    }

    /// Whether there is any part.
    #[must_use]
    pub fn has_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Cores (or hardware threads, where ranks are bound to those) that take one more rank, over all parts.
    #[must_use]
    pub fn open_cores(&self) -> u64 {
        self.parts.open_cores()
    }

    /// Lanes that are free. Where each subtask has its own: all of them.
    #[must_use]
    pub fn free_lanes(&self) -> u32 {
        self.lanes.free_count()
    }

    /// Takes a lane, whoever else has it: for an attempt that is known to have it.
    pub fn hold_lane(&mut self, rank: Rank) {
        self.lanes.share(rank.0);
    }

    /// Gives such a lane back.
    pub fn let_lane_go(&mut self, rank: Rank) {
        self.lanes.give_back(rank.0);
    }

    /// Cores that an attempt has already, and the memory it needs; its lane is the caller's business. `cores` as in
    /// [`Placement::cores`]. Nothing when they are not there, or not free.
    pub fn adopt(&mut self, part: u32, cores: &[u32], need: Need) -> Option<Placement> {
        self.parts.adopt(part, cores, need)
    }

    /// How many subtasks with such a need can run at once.
    #[must_use]
    pub fn slots(&self, need: Need) -> u32 {
        let over_parts = |need: Need, most: u32| {
            self.parts.iter().fold(0u32, |sum, part| {
                let slots = part.pool.slots(need).min(most).min(part.ranks_max.unwrap_or(u32::MAX));
                sum.saturating_add(slots)
            })
        };
        match self.lanes.entries_used() {
            // Entries that overlap are run at once only where cores may be shared.
            Some(entries) if self.ranks_per_core == 1 => over_parts(Need { cores: 1, ..need }, entries),
            Some(_) => self.lanes.count(),
            None => over_parts(need, u32::MAX).min(self.lanes.count()),
        }
    }

    /// An empty queue of the ready, in classes so that a step looks at a few of them only.
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

    /// Which class of the queue a subtask belongs to: those of one entry, or those of about the same memory.
    #[must_use]
    pub fn class(&self, subtask: SubtaskId, need: Need) -> u32 {
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
        self.parts.get(placement.part).into_iter().flat_map(|part| part.pool.cores_of(placement))
    }

    /// Whether a subtask of one core would find a lane and a core.
    #[must_use]
    pub fn any_free(&self) -> bool {
        self.lanes.any_free() && self.parts.any_open()
    }

    /// Seats the next of the ready, which the caller takes out of the queue then. Nothing: all wait.
    pub fn try_seat(&mut self, ready: &Ready, work: Work<'_>) -> Option<Seat> {
        let head = ready.first()?;
        if !self.any_free() {
            return None;
        }
        let lack = match self.try_head(head, work) {
            Ok(seat) => {
                self.on_taken_over(seat.subtask);
                return Some(seat);
            }
            Err(lack) => lack,
        };
        self.try_overtake(head, lack, ready, work)
    }

    /// A seat for the first one: anywhere, or in the part that is kept for it.
    fn try_head(&mut self, head: u32, work: Work<'_>) -> Result<Seat, Lack> {
        let (subtask, need) = work.at(head);
        let lack = match self.try_place(head, work, None) {
            Ok(seat) => return Ok(seat),
            Err(lack) => lack,
        };
        let home = self.reserved.as_ref().filter(|reserved| self.is_elastic && reserved.subtask == subtask);
        let (Some(part), Some(rank)) =
            (home.map(|home| home.part), self.lanes.candidates(subtask).first().copied())
        else {
            return Err(lack);
        };
        let placement =
            self.parts.take_in(part, rank, self.lanes.entry(rank), need, None).map_err(|_| lack)?;
        self.lanes.take(rank);
        Ok(Seat { place: head, subtask, rank: Rank(rank), placement })
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

    /// A lane and cores for one of the ready, not in one part or domain where that is said.
    fn try_place(&mut self, place: u32, work: Work<'_>, barred: Option<Barred>) -> Result<Seat, Lack> {
        let (subtask, need) = work.at(place);
        let mut lack = Lack::Cores;
        for rank in self.lanes.candidates(subtask) {
            match self.parts.take(rank, self.lanes.entry(rank), need, barred) {
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
        self.parts.give_back(placement);
        if let Some(reserved) = self.reserved.as_mut().filter(|reserved| reserved.part == placement.part) {
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
