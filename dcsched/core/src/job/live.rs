//! What is true only while this run lives: queues, lanes, cores, running attempts. Rebuilt from the durable state.

use super::durable::Durable;
use super::entry::Phase;
use super::spec::JobSpec;
use crate::cost::order;
use crate::place::{CorePool, Placement};
use dc_model::{Attempt, Rank, SubtaskId};
use slotmap::SlotMap;
use std::collections::{BTreeSet, VecDeque};

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

/// The lanes: each subtask's own where there are as many, else the lowest free one.
#[derive(Clone, Debug)]
pub enum Lanes {
    /// Lane i runs subtask i.
    Own,
    /// These are free.
    Pulled(BTreeSet<u32>),
}

impl Lanes {
    fn new(ranks: u32, subtasks: usize) -> Self {
        if ranks as usize == subtasks { Self::Own } else { Self::Pulled((0..ranks).collect()) }
    }

    fn is_free(&self) -> bool {
        match self {
            Self::Own => true,
            Self::Pulled(free) => !free.is_empty(),
        }
    }

    fn take(&mut self, subtask: SubtaskId) -> Option<Rank> {
        match self {
            Self::Own => Some(Rank(subtask.0)),
            Self::Pulled(free) => free.pop_first().map(Rank),
        }
    }

    fn give_back(&mut self, rank: Rank) {
        if let Self::Pulled(free) = self {
            let fresh = free.insert(rank.0);
            assert!(fresh, "lane {rank} was given back twice");
        }
    }
}

/// The live state of a run.
#[derive(Clone, Debug)]
pub struct Live {
    /// Subtasks in the order in which they start: longest first, ties by id.
    order: Vec<SubtaskId>,
    /// Each subtask's place in that order.
    place_in_order: Vec<u32>,
    /// Places of subtasks that wait for a grant.
    waiting: BTreeSet<u32>,
    /// Grants on their way to the disk, by their record's number.
    pending: VecDeque<(u64, u32)>,
    /// Places of subtasks whose grant is durable.
    ready: BTreeSet<u32>,
    lanes: Lanes,
    pool: CorePool,
    running: SlotMap<RunningKey, Running>,
    running_of: Vec<Option<RunningKey>>,
    /// Cells each subtask is known to have reached, over all its attempts.
    pub cells_reached: Vec<u64>,
    /// Grants to keep ahead.
    pub window: u32,
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
    /// Whether a merge failed.
    pub merge_failed: bool,
    /// Starters lost since a subtask was last done.
    pub starter_losses: u32,
}

/// Grants kept ahead before the time of a sync is known.
const WINDOW_START: u32 = 64;

impl Live {
    /// For the state as it stands: whatever is not finished waits.
    #[must_use]
    pub fn new(spec: &JobSpec, durable: &Durable) -> Self {
        let order = order(spec.needs.iter().map(|need| (need.cells, need.cores)));
        let mut place_in_order = vec![0; order.len()];
        for (place, subtask) in order.iter().enumerate() {
            place_in_order[subtask.index()] = place as u32;
        }
        let mut live = Self {
            place_in_order,
            waiting: BTreeSet::new(),
            pending: VecDeque::new(),
            ready: BTreeSet::new(),
            lanes: Lanes::new(spec.ranks, spec.needs.len()),
            pool: spec.pool(),
            running: SlotMap::with_key(),
            running_of: vec![None; order.len()],
            cells_reached: vec![0; order.len()],
            window: WINDOW_START,
            durable_seq: durable.seq,
            sync_asked_seq: durable.seq,
            done_seq: vec![0; order.len()],
            last_done_seq: 0,
            ended: None,
            merging: false,
            merge_failed: false,
            starter_losses: 0,
            order,
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
        self.waiting.insert(self.place_in_order[subtask.index()]);
    }

    /// The next subtask to be granted, if fewer than the window are.
    #[must_use]
    pub fn next_to_grant(&self) -> Option<SubtaskId> {
        if self.pending.len() + self.ready.len() >= self.window.max(1) as usize {
            return None;
        }
        self.waiting.first().map(|place| self.order[*place as usize])
    }

    /// Its grant is on its way to the disk.
    pub fn on_granted(&mut self, subtask: SubtaskId, seq: u64) {
        let place = self.place_in_order[subtask.index()];
        let waited = self.waiting.remove(&place);
        assert!(waited, "subtask {subtask} was granted without waiting");
        self.pending.push_back((seq, place));
    }

    /// Everything up to this record is on disk.
    pub fn on_durable(&mut self, seq: u64) {
        self.durable_seq = self.durable_seq.max(seq);
        while let Some((granted_seq, place)) = self.pending.front().copied() {
            if granted_seq > self.durable_seq {
                break;
            }
            self.pending.pop_front();
            self.ready.insert(place);
        }
    }

    /// Takes a lane and cores for the next ready subtask. It waits at the head of the queue until its cores are
    /// free: smaller ones do not overtake it for ever.
    pub fn try_launch(&mut self, spec: &JobSpec) -> Option<(SubtaskId, Rank, Placement)> {
        let place = *self.ready.first()?;
        if !self.lanes.is_free() {
            return None;
        }
        let subtask = self.order[place as usize];
        let need = spec.needs[subtask.index()];
        let placement = self.pool.take(need.cells, need.cores)?;
        let rank = self.lanes.take(subtask)?;
        self.ready.remove(&place);
        Some((subtask, rank, placement))
    }

    /// Finds a running attempt that the next ready subtask can take over from: with as many cores, followed by none and
    /// behind none, launched before all others. Gives that subtask, and whom it follows.
    pub fn try_follow(
        &mut self,
        spec: &JobSpec,
        may_follow: impl Fn(SubtaskId) -> bool,
    ) -> Option<(SubtaskId, Running)> {
        let subtask = self.order[*self.ready.first()? as usize];
        let cores = spec.needs[subtask.index()].cores.max(1) as usize;
        if !may_follow(subtask) {
            return None;
        }
        let fits = |running: &&Running| {
            running.behind.is_none()
                && running.follower.is_none()
                && running.placement.cores.len() == cores
                && may_follow(running.subtask)
        };
        // Launches are numbered, so that the order of the map decides nothing.
        let mut ahead = self.running.values().filter(fits).min_by_key(|running| running.number)?.clone();
        self.ready.pop_first();
        if let Lanes::Own = self.lanes {
            ahead.rank = Rank(subtask.0);
        }
        Some((subtask, ahead))
    }

    /// Whether a launch waits for nothing but a grant's way to the disk.
    #[must_use]
    pub fn starves(&self) -> bool {
        self.ready.is_empty() && !self.pending.is_empty() && self.lanes.is_free() && self.pool.any_free()
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
            self.lanes.give_back(running.rank);
            self.pool.give_back(&running.placement);
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
        self.waiting.is_empty() && self.pending.is_empty() && self.ready.is_empty()
    }
}
