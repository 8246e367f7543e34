//! The queue of the ready, by their places in the order. It is parted so that behind one that waits a few of each part
//! are looked at, and not all.

use std::collections::BTreeSet;

/// Places in the order, lowest first.
#[derive(Clone, Debug)]
pub struct Ready {
    all: BTreeSet<u32>,
    /// The same by parts, where there is more than one.
    parts: Vec<BTreeSet<u32>>,
}

impl Ready {
    pub(super) fn new(parts: u32) -> Self {
        let parts = if parts > 1 { vec![BTreeSet::new(); parts as usize] } else { Vec::new() };
        Self { all: BTreeSet::new(), parts }
    }

    /// Adds a place; `part` is what [`super::Seats::part`] says of its subtask.
    pub fn insert(&mut self, place: u32, part: u32) {
        self.all.insert(place);
        if let Some(part) = self.parts.get_mut(part as usize) {
            part.insert(place);
        }
    }

    /// Takes a place out; `false` when it was not there.
    pub fn remove(&mut self, place: u32, part: u32) -> bool {
        if let Some(part) = self.parts.get_mut(part as usize) {
            part.remove(&place);
        }
        self.all.remove(&place)
    }

    /// The first place.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        self.all.first().copied()
    }

    /// The first place of a part.
    #[must_use]
    pub fn first_of(&self, part: u32) -> Option<u32> {
        self.parts.get(part as usize).unwrap_or(&self.all).first().copied()
    }

    /// How many parts there are.
    #[must_use]
    pub fn parts(&self) -> u32 {
        self.parts.len().max(1) as u32
    }

    /// How many places.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The first `each` places of every part, lowest first.
    #[must_use]
    pub fn heads(&self, each: usize) -> Vec<u32> {
        let parts: &[BTreeSet<u32>] =
            if self.parts.is_empty() { std::slice::from_ref(&self.all) } else { &self.parts };
        let mut heads: Vec<u32> = parts.iter().flat_map(|part| part.iter().take(each)).copied().collect();
        heads.sort_unstable();
        heads
    }
}
