//! What is true only while this run lives: queues, lanes, cores, running attempts. Rebuilt from the durable state.

use super::durable::Durable;
use super::entry::Phase;
use super::queue::Queue;
use super::running::{Running, Runs};
use super::spec::JobSpec;
use super::unknown::Unknown;
use crate::place::Placement;
use crate::seats::{PartSpec, Seats};
use dc_model::{Rank, SubtaskId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Running attempts that are looked at for one that the next subtask could follow.
const FOLLOWED_LOOK_MAX: usize = 256;

/// The live state of a run.
#[derive(Clone, Debug)]
pub struct Live {
    queue: Queue,
    seats: Seats,
    /// Nothing that is ready found a seat, and nothing has changed since: looking again would find none.
    none_fits: bool,
    running: Runs,
    /// Attempts of before the scheduler's restart of which no node has spoken yet.
    pub(super) unknown: Unknown,
    /// Cells that subtasks are known to have reached, over all their attempts; those that told none are not here.
    cells_reached: BTreeMap<SubtaskId, u64>,
    /// The last record known to be on disk.
    pub durable_seq: u64,
    /// The last record a sync was asked for.
    pub sync_asked_seq: u64,
    /// Records of success that are not on disk yet, in their order, and whose they are.
    done: VecDeque<(u64, SubtaskId)>,
    uncommitted: BTreeSet<SubtaskId>,
    /// The last record of success: what must be durable before results are merged.
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
    /// For the state as it stands.
    #[must_use]
    pub fn new(spec: &JobSpec, durable: &Durable) -> Self {
        let seats = Seats::new(spec);
        let mut live = Self {
            queue: Queue::new(spec, &seats),
            seats,
            none_fits: false,
            running: Runs::new(spec.needs.len()),
            unknown: Unknown::default(),
            cells_reached: BTreeMap::new(),
            durable_seq: durable.seq,
            sync_asked_seq: durable.seq,
            done: VecDeque::new(),
            uncommitted: BTreeSet::new(),
            last_done_seq: 0,
            ended: None,
            merging: false,
            merge_failed: None,
            starter_losses: 0,
        };
        let entries = (0..).map(SubtaskId).zip(&durable.entries);
        let waiting = entries.filter(|(_, entry)| entry.phase == Phase::Waiting);
        live.queue.wait_all(spec, waiting.map(|(subtask, _)| subtask));
        live
    }

    /// Puts a subtask into the queue.
    pub fn wait(&mut self, spec: &JobSpec, subtask: SubtaskId) {
        self.queue.wait(spec, subtask);
    }

    /// One more part.
    pub fn join(&mut self, part: &PartSpec) {
        self.seats.join(part);
        self.none_fits = false;
    }

    /// Nothing new starts on a node, or again.
    pub fn withdraw(&mut self, node: u32, is_withdrawn: bool) {
        self.seats.withdraw(node, is_withdrawn);
        self.none_fits = false;
    }

    /// The lanes, and the parts' cores.
    pub(super) fn seats(&mut self) -> &mut Seats {
        &mut self.seats
    }

    /// Whether there is any part.
    #[must_use]
    pub fn has_parts(&self) -> bool {
        self.seats.has_parts()
    }

    /// What waits needs so many cores beyond those that are free.
    #[must_use]
    pub fn cores_wanted(&self) -> u64 {
        let (queued, lanes) = (self.queue.len() as u64, u64::from(self.seats.free_lanes()));
        let wanted = match queued {
            0 => 0,
            _ if queued <= lanes => self.queue.cores(),
            _ => (u128::from(self.queue.cores()) * u128::from(lanes)).div_ceil(u128::from(queued)) as u64,
        };
        // Free cores that nothing which is ready fits on are of no use now.
        let is_useless = self.none_fits && self.queue.ready_count() > 0;
        wanted.saturating_sub(if is_useless { 0 } else { self.seats.open_cores() })
    }

    /// The one that is to start next, granted or not.
    #[must_use]
    pub fn first_queued(&self) -> Option<SubtaskId> {
        self.queue.first()
    }

    /// Free cores that the job has no use for, by part; they are its own no more.
    pub fn release(&mut self, is_over: bool) -> Vec<(u32, Vec<u32>)> {
        if is_over || self.queue.is_empty() {
            return self.seats.release(false);
        }
        let withdrawn = self.seats.release_withdrawn();
        if !withdrawn.is_empty() {
            withdrawn
        } else if self.none_fits && self.queue.ready_count() > 0 {
            // Where nothing runs and nothing fits, the part is too small. Others may be offered in its place.
            self.seats.release(true)
        } else {
            Vec::new()
        }
    }

    /// Notes how far a subtask came; whether that is further than ever before.
    pub fn on_reached(&mut self, subtask: SubtaskId, cells: u64) -> bool {
        let is_further = cells > self.cells_reached.get(&subtask).copied().unwrap_or(0);
        if is_further {
            self.cells_reached.insert(subtask, cells);
        }
        is_further
    }

    /// Its success is on its way to the disk.
    pub fn on_done(&mut self, subtask: SubtaskId, seq: u64) {
        self.done.push_back((seq, subtask));
        self.uncommitted.insert(subtask);
        self.last_done_seq = seq;
    }

    /// Whether its success is not on disk yet.
    #[must_use]
    pub fn is_uncommitted(&self, subtask: SubtaskId) -> bool {
        self.uncommitted.contains(&subtask)
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
        while let Some((_, subtask)) = self.done.front().filter(|(seq, _)| *seq <= self.durable_seq) {
            self.uncommitted.remove(subtask);
            self.done.pop_front();
        }
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
        self.queue.on_seated(spec, seat.subtask);
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
            self.seats.lane_behind(subtask, running.rank).is_some()
                && may_follow(running.subtask)
                && !self.seats.is_withdrawn(running.placement.node)
        };
        let size = (need.cores.max(1) as usize, need.mem_bytes);
        let mut ahead = self.running.alone(size.0, size.1, FOLLOWED_LOOK_MAX).find(fits)?.clone();
        self.queue.on_seated(spec, subtask);
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
        self.running.remove(subtask);
        self.unknown.remove(subtask);
    }

    /// A subtask of a gang has its cores.
    pub fn seat_queued(&mut self, spec: &JobSpec, subtask: SubtaskId) {
        self.queue.on_seated(spec, subtask);
    }

    /// Whether a launch waits for nothing but a grant's way to the disk.
    #[must_use]
    pub fn starves(&self) -> bool {
        self.is_held_up() && self.seats.any_free()
    }

    /// Whether nothing is ready, and something would be if its grant were on disk.
    #[must_use]
    pub fn is_held_up(&self) -> bool {
        self.queue.is_held_up()
    }

    /// It was launched.
    pub fn on_launched(&mut self, running: Running) {
        self.running.insert(running);
    }

    /// The attempt running for a subtask.
    #[must_use]
    pub fn running(&self, subtask: SubtaskId) -> Option<&Running> {
        self.running.get(subtask)
    }

    /// Its attempt has ended: lane and cores are free again, or its follower's.
    pub fn on_ended(&mut self, subtask: SubtaskId) {
        if let Some(lane) = self.unknown.remove(subtask) {
            lane.into_iter().for_each(|lane| self.seats.let_lane_go(lane));
            self.none_fits = false;
        }
        let Some(running) = self.running.remove(subtask) else { return };
        if let Some((ahead, _)) = running.behind
            && self.running.change(ahead, |ahead| ahead.follower = None)
        {
            // It never had them.
            return;
        }
        if let Some(follower) = running.follower
            && self.running.change(follower, |follower| follower.behind = None)
        {
            return;
        }
        self.seats.give_back(running.rank, &running.placement);
        self.none_fits = false;
    }

    /// What runs on a part, by subtask.
    #[must_use]
    pub fn running_on(&self, part: u32) -> Vec<SubtaskId> {
        self.running.of_part(part)
    }

    /// An attempt alone on just these cores of a part, on this lane.
    #[must_use]
    pub fn alone_on(&self, rank: Rank, part: u32, cores: &[u32], mem_bytes: u64) -> Option<&Running> {
        let is_it = |running: &&Running| {
            (running.rank, running.placement.part, running.placement.cores.as_slice()) == (rank, part, cores)
        };
        self.running.alone(cores.len(), mem_bytes, usize::MAX).find(is_it)
    }

    /// All running attempts, by subtask.
    #[must_use]
    pub fn all_running(&self) -> Vec<Running> {
        self.running.all()
    }

    /// Whether nothing runs, for all that is known.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.unknown.is_empty()
    }

    /// Whether nothing waits for a grant or a launch.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }
}
