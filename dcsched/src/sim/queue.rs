//! What will happen when, in virtual time; what falls on one instant happens in the order in which it was planned.

use dc_model::Tick;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The future.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Reverse<(Tick, u64)>>,
    items: std::collections::BTreeMap<u64, T>,
    planned: u64,
    /// The present.
    pub now: Tick,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), items: std::collections::BTreeMap::new(), planned: 0, now: 0 }
    }
}

impl<T> Queue<T> {
    /// Plans something for `delay` ns from now.
    pub fn after(&mut self, delay: Tick, item: T) {
        self.planned += 1;
        self.heap.push(Reverse((self.now + delay, self.planned)));
        self.items.insert(self.planned, item);
    }

    /// The next thing to happen; it becomes the present.
    pub fn next(&mut self) -> Option<T> {
        let Reverse((at, number)) = self.heap.pop()?;
        self.now = at;
        self.items.remove(&number)
    }
}
