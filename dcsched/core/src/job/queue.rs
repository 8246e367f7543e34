//! What waits: for a grant, for the grant to be on disk, for a lane and cores.

use super::spec::JobSpec;
use crate::cost::order;
use crate::seats::{Ready, Seats, Work};
use dc_model::SubtaskId;
use std::collections::VecDeque;

/// Grants kept ahead before the time of a sync is known.
const WINDOW_START: u32 = 64;
/// Of each class of the queue this share of the window is granted beyond it, so that what could start beside one that
/// waits for memory, or on another lane, is not kept from it by those before it.
const WINDOW_CLASSES: u32 = 4;

/// Subtasks that wait, in the order in which they start: longest first, ties by id.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    order: Vec<SubtaskId>,
    /// Each subtask's place in that order.
    place_in_order: Vec<u32>,
    /// The class of the queue each place belongs to; empty where there is but one.
    class_of: Vec<u32>,
    /// Those that wait for a grant.
    waiting: Ready,
    /// Grants on their way to the disk, by their record's number.
    pending: VecDeque<(u64, u32)>,
    /// Those whose grant is durable.
    ready: Ready,
    /// Pending and ready ones, by class.
    granted: Vec<u32>,
    /// What all that are in the queue need together.
    cores: u64,
    window: u32,
}

impl Queue {
    /// Empty.
    pub fn new(spec: &JobSpec, seats: &Seats) -> Self {
        let order = order(spec.needs.iter().map(|need| (need.cells, need.cores)));
        let mut place_in_order = vec![0; order.len()];
        for (place, subtask) in order.iter().enumerate() {
            place_in_order[subtask.index()] = place as u32;
        }
        let ready = seats.ready();
        let class = |subtask: &SubtaskId| seats.class(*subtask, spec.needs[subtask.index()]);
        Self {
            class_of: if ready.classes() > 1 { order.iter().map(class).collect() } else { Vec::new() },
            waiting: ready.clone(),
            pending: VecDeque::new(),
            granted: vec![0; ready.classes() as usize],
            cores: 0,
            ready,
            window: WINDOW_START,
            place_in_order,
            order,
        }
    }

    /// How many grants to keep ahead.
    pub fn set_window(&mut self, grants: u32) {
        self.window = grants;
    }

    fn class(&self, place: u32) -> u32 {
        self.class_of.get(place as usize).copied().unwrap_or(0)
    }

    /// Puts a subtask into the queue.
    pub fn wait(&mut self, spec: &JobSpec, subtask: SubtaskId) {
        let place = self.place_in_order[subtask.index()];
        if self.waiting.insert(place, self.class(place)) {
            self.cores += cores_of(spec, subtask);
        }
    }

    /// Puts all of these into the queue, while it is empty.
    pub fn wait_all(&mut self, spec: &JobSpec, subtasks: impl Iterator<Item = SubtaskId>) {
        let mut places: Vec<u32> = Vec::new();
        for subtask in subtasks {
            places.push(self.place_in_order[subtask.index()]);
            self.cores += cores_of(spec, subtask);
        }
        let class_of = &self.class_of;
        self.waiting.fill(&places, |place| class_of.get(place as usize).copied().unwrap_or(0));
    }

    /// The next subtask to be granted, if fewer than the window are; or one of a class of which too few are.
    #[must_use]
    pub fn next_to_grant(&self) -> Option<SubtaskId> {
        let window = self.window.max(1);
        let place = if self.pending.len() + self.ready.len() < window as usize {
            self.waiting.first()
        } else if self.class_of.is_empty() {
            None
        } else {
            let least = window.div_ceil(WINDOW_CLASSES);
            let short = (0..).zip(&self.granted).filter(|(_, granted)| **granted < least);
            short.filter_map(|(class, _)| self.waiting.first_of(class)).min()
        };
        place.map(|place| self.order[place as usize])
    }

    /// Its grant is on its way to the disk.
    pub fn on_granted(&mut self, subtask: SubtaskId, seq: u64) {
        let place = self.place_in_order[subtask.index()];
        let class = self.class(place);
        let waited = self.waiting.remove(place, class);
        assert!(waited, "subtask {subtask} was granted without waiting");
        self.granted[class as usize] += 1;
        self.pending.push_back((seq, place));
    }

    /// Everything up to this record is on disk. Whether more are ready by that.
    pub fn on_durable(&mut self, seq: u64) -> bool {
        let before = self.pending.len();
        while let Some((granted_seq, place)) = self.pending.front().copied() {
            if granted_seq > seq {
                break;
            }
            self.pending.pop_front();
            self.ready.insert(place, self.class(place));
        }
        self.pending.len() < before
    }

    /// The subtask that is to start next.
    #[must_use]
    pub fn first_ready(&self) -> Option<SubtaskId> {
        self.ready.first().map(|place| self.order[place as usize])
    }

    /// It has a lane, or will have.
    pub fn on_seated(&mut self, spec: &JobSpec, subtask: SubtaskId) {
        let place = self.place_in_order[subtask.index()];
        let class = self.class(place);
        let was_ready = self.ready.remove(place, class);
        assert!(was_ready, "subtask {subtask} was seated without being ready");
        self.granted[class as usize] -= 1;
        self.cores -= cores_of(spec, subtask);
    }

    /// How many are in the queue, granted or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len() + self.pending.len() + self.ready.len()
    }

    /// The cores that they need together.
    #[must_use]
    pub fn cores(&self) -> u64 {
        self.cores
    }

    /// The one that is to start next, granted or not.
    #[must_use]
    pub fn first(&self) -> Option<SubtaskId> {
        let pending = self.pending.front().map(|(_, place)| *place);
        let place = self.ready.first().or(pending).or_else(|| self.waiting.first());
        place.map(|place| self.order[place as usize])
    }

    /// Those that are ready, and all that is to know of them.
    #[must_use]
    pub fn ready<'a>(&'a self, spec: &'a JobSpec) -> (&'a Ready, Work<'a>) {
        (&self.ready, Work { order: &self.order, needs: &spec.needs })
    }

    /// Subtasks that wait for a grant.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// The first of them.
    #[must_use]
    pub fn first_waiting(&self) -> Option<SubtaskId> {
        self.waiting.first().map(|place| self.order[place as usize])
    }

    /// Subtasks whose grant is durable.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.ready.len()
    }

    /// Whether nothing is ready, and something would be if its grant were on disk.
    #[must_use]
    pub fn is_held_up(&self) -> bool {
        self.ready.is_empty() && !self.pending.is_empty()
    }

    /// Whether nothing waits for a grant or a launch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.pending.is_empty() && self.ready.is_empty()
    }
}

fn cores_of(spec: &JobSpec, subtask: SubtaskId) -> u64 {
    u64::from(spec.needs[subtask.index()].cores.max(1))
}
