//! What is true only while this run lives: queues, lanes, cores, running attempts. Rebuilt from the durable state.

use super::durable::Durable;
use super::entry::Phase;
use super::queue::Queue;
use super::spec::JobSpec;
use crate::place::Placement;
use crate::seats::Seats;
use dc_model::{Attempt, Rank, SubtaskId};
use slotmap::SlotMap;

slotmap::new_key_type! {
    /// A running attempt.
    pub struct RunningKey;
}

/// An attempt that has a lane and cores.
#[derive(Clone, Debug)]
pub struct Running {
    /// Which subtask.
    pub subtask: SubtaskId,
    /// Its attempt.
    pub attempt: Attempt,
    /// Its lane.
    pub rank: Rank,
    /// Its cores.
    pub placement: Placement,
    /// Counts launches.
    pub number: u64,
    /// The attempt whose lane and cores it takes over, once that has ended.
    pub behind: Option<(SubtaskId, Attempt)>,
    /// The subtask that takes over its lane and cores.
    pub follower: Option<SubtaskId>,
}

/// The live state of a run.
#[derive(Clone, Debug)]
pub struct Live {
    queue: Queue,
    seats: Seats,
    /// Nothing that is ready found a seat, and nothing has changed since: looking again would find none.
    none_fits: bool,
    running: SlotMap<RunningKey, Running>,
    running_of: Vec<Option<RunningKey>>,
    /// Cells each subtask is known to have reached, over all its attempts.
    pub cells_reached: Vec<u64>,
    /// The last record known to be on disk.
    pub durable_seq: u64,
    /// The last record a sync was asked for.
    pub sync_asked_seq: u64,
    /// Each subtask's record of success in this run: it is committed once that is durable.
    pub done_seq: Vec<u64>,
    /// The last of them: what must be durable before results are merged.
    pub last_done_seq: u64,
    /// The record that ends the job, and its status.
    pub ended: Option<(u64, u8)>,
    /// Whether a merge was asked for and has not ended.
    pub merging: bool,
    /// The status of a merge that failed.
    pub merge_failed: Option<u8>,
    /// Starters lost since a subtask was last done.
    pub starter_losses: u32,
}

impl Live {
    /// For the state as it stands: whatever is not finished waits.
    #[must_use]
    pub fn new(spec: &JobSpec, durable: &Durable) -> Self {
        let seats = Seats::new(spec);
        let count = spec.needs.len();
        let mut live = Self {
            queue: Queue::new(spec, &seats),
            seats,
            none_fits: false,
            running: SlotMap::with_key(),
            running_of: vec![None; count],
            cells_reached: vec![0; count],
            durable_seq: durable.seq,
            sync_asked_seq: durable.seq,
            done_seq: vec![0; count],
            last_done_seq: 0,
            ended: None,
            merging: false,
            merge_failed: None,
            starter_losses: 0,
        };
        for (id, entry) in durable.entries.iter().enumerate() {
            if matches!(entry.phase, Phase::Waiting | Phase::Failed) {
                live.wait(SubtaskId(id as u32));
            }
        }
        live
    }

    /// Puts a subtask into the queue.
    pub fn wait(&mut self, subtask: SubtaskId) {
        self.queue.wait(subtask);
    }

    /// How many grants to keep ahead.
    pub fn set_window(&mut self, grants: u32) {
        self.queue.set_window(grants);
    }

    /// The next subtask to be granted, if too few are.
    #[must_use]
    pub fn next_to_grant(&self) -> Option<SubtaskId> {
        self.queue.next_to_grant()
    }

    /// Its grant is on its way to the disk.
    pub fn on_granted(&mut self, subtask: SubtaskId, seq: u64) {
        self.queue.on_granted(subtask, seq);
    }

    /// Everything up to this record is on disk.
    pub fn on_durable(&mut self, seq: u64) {
        self.durable_seq = self.durable_seq.max(seq);
        self.none_fits &= !self.queue.on_durable(self.durable_seq);
    }

    /// Takes a lane and cores for the next ready subtask that may have them (`seats` says which).
    pub fn try_launch(&mut self, spec: &JobSpec) -> Option<(SubtaskId, Rank, Placement)> {
        if self.none_fits {
            return None;
        }
        let (ready, work) = self.queue.ready(spec);
        let Some(seat) = self.seats.try_seat(ready, work) else {
            self.none_fits = true;
            return None;
        };
        self.queue.on_seated(seat.subtask);
        Some((seat.subtask, seat.rank, seat.placement))
    }

    /// Finds a running attempt that the next ready subtask can take over from: with as many cores and as much memory, on
    /// a lane that it may have, followed by none and behind none, launched before all others. Gives that subtask, and
    /// whom it follows.
    pub fn try_follow(
        &mut self,
        spec: &JobSpec,
        may_follow: impl Fn(SubtaskId) -> bool,
    ) -> Option<(SubtaskId, Running)> {
        let subtask = self.queue.first_ready()?;
        let need = spec.needs[subtask.index()];
        if !may_follow(subtask) {
            return None;
        }
        let fits = |running: &&Running| {
            let other = spec.needs[running.subtask.index()];
            running.behind.is_none()
                && running.follower.is_none()
                && (other.cores.max(1), other.mem_bytes) == (need.cores.max(1), need.mem_bytes)
                && self.seats.lane_behind(subtask, running.rank).is_some()
                && may_follow(running.subtask)
        };
        // Launches are numbered, so that the order of the map decides nothing.
        let mut ahead = self.running.values().filter(fits).min_by_key(|running| running.number)?.clone();
        self.queue.on_seated(subtask);
        self.seats.on_taken_over(subtask);
        self.none_fits = false;
        ahead.rank = self.seats.lane_behind(subtask, ahead.rank)?;
        Some((subtask, ahead))
    }

    /// What waits, for a gang.
    pub(super) fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// A subtask of a gang does not run any more; its cores are its rank's.
    pub fn forget(&mut self, subtask: SubtaskId) {
        if let Some(key) = self.running_of[subtask.index()].take() {
            self.running.remove(key);
        }
    }

    /// Whether a launch waits for nothing but a grant's way to the disk.
    #[must_use]
    pub fn starves(&self) -> bool {
        self.queue.is_held_up() && self.seats.any_free()
    }

    /// It was launched.
    pub fn on_launched(&mut self, running: Running) {
        let slot = running.subtask.index();
        assert!(self.running_of[slot].is_none(), "subtask {} is launched twice", running.subtask);
        let key = self.running.insert(running);
        self.running_of[slot] = Some(key);
        if let Some((ahead, _)) = self.running[key].behind {
            let ahead = self.running_of[ahead.index()].and_then(|key| self.running.get_mut(key));
            assert!(ahead.is_some(), "a follower's forerunner runs");
            ahead.into_iter().for_each(|ahead| ahead.follower = Some(SubtaskId(slot as u32)));
        }
    }

    /// The attempt running for a subtask.
    #[must_use]
    pub fn running(&self, subtask: SubtaskId) -> Option<&Running> {
        let key = (*self.running_of.get(subtask.index())?)?;
        self.running.get(key)
    }

    /// Its attempt has ended: lane and cores are free again, or its follower's.
    pub fn on_ended(&mut self, subtask: SubtaskId) {
        let key = self.running_of[subtask.index()].take();
        let Some(running) = key.and_then(|key| self.running.remove(key)) else { return };
        let others = [running.behind.map(|(ahead, _)| ahead), running.follower];
        let [ahead, follower] = others.map(|other| other.and_then(|other| self.running_of[other.index()]));
        if let Some(ahead) = ahead.and_then(|key| self.running.get_mut(key)) {
            // It never had them.
            ahead.follower = None;
        } else if let Some(follower) = follower.and_then(|key| self.running.get_mut(key)) {
            follower.behind = None;
        } else {
            self.seats.give_back(running.rank, &running.placement);
            self.none_fits = false;
        }
    }

    /// All running attempts, by subtask.
    #[must_use]
    pub fn all_running(&self) -> Vec<Running> {
        let mut all: Vec<_> = self.running.values().cloned().collect();
        all.sort_by_key(|running| running.subtask);
        all
    }

    /// Whether nothing runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether nothing waits for a grant or a launch.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }
}
