//! The domain that is kept for the first subtask that waits for memory, and what has started in it since.

use super::{Seat, Seats, Work};
use crate::place::{Lack, Placement};
use dc_model::SubtaskId;
use std::collections::BTreeMap;

/// For whom, where, and what others have taken meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Reserved {
    pub subtask: SubtaskId,
    domain: u32,
    /// What those that overtook may have in the domain at a time: memory in bytes, and cores.
    room: (u64, u32),
    /// What they may have in all of the node, in bytes.
    node_room: u64,
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

impl Seats {
    /// Keeps a domain for the first one that waits, if it waits for memory; `false`: nothing may overtake it.
    pub(super) fn maybe_reserve(&mut self, place: u32, lack: Lack, work: Work<'_>) -> bool {
        let (subtask, need) = work.at(place);
        if self.reserved.as_ref().is_some_and(|reserved| reserved.subtask == subtask) {
            return true;
        }
        self.reserved = None;
        let home =
            self.pool.home(need).filter(|_| lack == Lack::Memory && self.lanes.entries_used().is_none());
        let Some(domain) = home else { return false };
        let (mem_bytes, cores) = self.pool.capacity(domain);
        // Where ranks share cores, free places are not free cores: nothing starts in the domain then.
        let cores = if self.ranks_per_core > 1 { 0 } else { cores - need.cores.max(1) };
        self.reserved = Some(Reserved {
            subtask,
            domain,
            room: (mem_bytes - need.mem_bytes, cores),
            node_room: self.pool.memory_bytes() - need.mem_bytes,
            overtook: BTreeMap::new(),
        });
        true
    }

    /// Seats one that overtakes, if it leaves room for the one that waits: where it would go, or else in another domain.
    pub(super) fn try_beside(&mut self, place: u32, work: Work<'_>) -> Result<Seat, Lack> {
        let Some(domain) = self.reserved.as_ref().map(|reserved| reserved.domain) else {
            return Err(Lack::Memory);
        };
        let mut last = Lack::Memory;
        let is_single = work.at(place).1.cores <= 1;
        for except in [None, Some(domain)] {
            let seat = match self.try_place(place, work, except) {
                Ok(seat) => seat,
                // What is not there at all is not there without that domain.
                Err(lack) if is_single => return Err(lack),
                Err(lack) => {
                    last = lack;
                    continue;
                }
            };
            let placement = &seat.placement;
            let here = placement.memory.iter().filter(|(other, _)| *other == domain);
            let takes = (
                here.map(|(_, bytes)| bytes).sum::<u64>(),
                self.pool.cores_in(placement, domain),
                placement.mem_bytes(),
            );
            if let Some(reserved) = &mut self.reserved {
                let used = reserved.used();
                let leaves_room = used.0 + takes.0 <= reserved.room.0
                    && used.1 + takes.1 <= reserved.room.1
                    && used.2 + takes.2 <= reserved.node_room;
                if leaves_room || takes == (0, 0, 0) {
                    reserved.overtook.insert(placement.ticket, takes);
                    return Ok(seat);
                }
            }
            self.lanes.give_back(seat.rank.0);
            self.pool.give_back(&seat.placement);
        }
        Err(last)
    }
}
