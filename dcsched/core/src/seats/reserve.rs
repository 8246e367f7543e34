//! The domain that is kept for the first subtask that waits for memory, and what has started in it since; or, where parts
//! come and go, a whole part for one that waits for what no single domain has, or for cores.

use super::{Barred, Seat, Seats, Work};
use crate::job::Need;
use crate::place::{Lack, Placement};
use dc_model::SubtaskId;
use std::collections::BTreeMap;

/// For whom, where, and what others have taken meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Reserved {
    pub subtask: SubtaskId,
    pub part: u32,
    /// Nothing: all of the part.
    domain: Option<u32>,
    /// What those that overtook may have in the domain at a time: memory in bytes, and cores.
    room: (u64, u32),
    /// What they may have in all of the part, in bytes.
    part_room: u64,
    /// What each of them has, by its ticket: memory and cores in the domain, memory in all.
    overtook: BTreeMap<u64, (u64, u32, u64)>,
}

impl Reserved {
    fn used(&self) -> (u64, u32, u64) {
        self.overtook.values().fold((0, 0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2))
    }

    pub fn on_given_back(&mut self, placement: &Placement) {
        self.overtook.remove(&placement.ticket);
    }
}

/// Parts with the most free cores that are looked at for one to be kept, before all others.
const LOOK_MAX: usize = 64;

impl Seats {
    /// Keeps a domain or a part for the first one that waits; `false`: nothing may overtake it.
    pub(super) fn maybe_reserve(&mut self, place: u32, lack: Lack, work: Work<'_>) -> bool {
        let (subtask, need) = work.at(place);
        if self.reserved.as_ref().is_some_and(|reserved| reserved.subtask == subtask) {
            return true;
        }
        self.reserved = None;
        if self.lanes.entries_used().is_some() {
            return false;
        }
        if !self.is_elastic {
            self.reserved = (lack == Lack::Memory).then(|| self.domain_of(0, subtask, need)).flatten();
            return self.reserved.is_some();
        }
        if self.homeless == Some(subtask) {
            return true;
        }
        let homes = || self.parts.homes(LOOK_MAX);
        let domain = || homes().find_map(|part| self.domain_of(part, subtask, need));
        let whole = |part: u32| {
            let pool = &self.parts.get(part)?.pool;
            (pool.slots(need) > 0).then_some(Reserved {
                subtask,
                part,
                domain: None,
                room: (0, 0),
                part_room: 0,
                overtook: BTreeMap::new(),
            })
        };
        let domain = (lack == Lack::Memory).then(domain).flatten();
        self.reserved = domain.or_else(|| homes().find_map(whole));
        self.homeless = self.reserved.is_none().then_some(subtask);
        true
    }

    /// A domain of a part that could hold such a need alone.
    fn domain_of(&self, part: u32, subtask: SubtaskId, need: Need) -> Option<Reserved> {
        let pool = &self.parts.get(part)?.pool;
        let domain = pool.home(need)?;
        let (mem_bytes, cores) = pool.capacity(domain);
        // Where ranks share cores, free places are not free cores: nothing starts in the domain then.
        let cores = if self.ranks_per_core > 1 { 0 } else { cores - need.cores.max(1) };
        Some(Reserved {
            subtask,
            part,
            domain: Some(domain),
            room: (mem_bytes - need.mem_bytes, cores),
            part_room: pool.memory_bytes() - need.mem_bytes,
            overtook: BTreeMap::new(),
        })
    }

    /// Seats one that overtakes, if it leaves room for the one that waits: where it would go, or else in another domain
    /// or part.
    pub(super) fn try_beside(&mut self, place: u32, work: Work<'_>) -> Result<Seat, Lack> {
        let Some((part, domain)) = self.reserved.as_ref().map(|reserved| (reserved.part, reserved.domain))
        else {
            // The one that waits finds room nowhere, whatever this one does.
            return self.try_place(place, work, None);
        };
        let elsewhere = Some(Barred { part, domain });
        if domain.is_none() {
            return self.try_place(place, work, elsewhere);
        }
        let mut last = Lack::Memory;
        let is_single = work.at(place).1.cores <= 1;
        for barred in [None, elsewhere] {
            let seat = match self.try_place(place, work, barred) {
                Ok(seat) => seat,
                // What is not there at all is not there without that domain.
                Err(lack) if is_single => return Err(lack),
                Err(lack) => {
                    last = lack;
                    continue;
                }
            };
            if self.leaves_room(&seat.placement) {
                return Ok(seat);
            }
            self.lanes.give_back(seat.rank.0);
            self.parts.give_back(&seat.placement);
        }
        Err(last)
    }

    /// Whether one that overtakes may have this. If so that is noted.
    fn leaves_room(&mut self, placement: &Placement) -> bool {
        let Some(reserved) = self.reserved.as_mut().filter(|reserved| reserved.part == placement.part) else {
            return true;
        };
        let domain = reserved.domain.unwrap_or_default();
        let here = placement.memory.iter().filter(|(other, _)| *other == domain);
        let cores = self.parts.get(placement.part).map_or(0, |part| part.pool.cores_in(placement, domain));
        let takes = (here.map(|(_, bytes)| bytes).sum::<u64>(), cores, placement.mem_bytes());
        let used = reserved.used();
        let fits = used.0 + takes.0 <= reserved.room.0
            && used.1 + takes.1 <= reserved.room.1
            && used.2 + takes.2 <= reserved.part_room;
        let leaves_room = fits || takes == (0, 0, 0);
        if leaves_room {
            reserved.overtook.insert(placement.ticket, takes);
        }
        leaves_room
    }
}
