//! The queue of the ready, by their places in the order. It has classes, so that behind one that waits a few of each
//! are looked at, and not all.

use std::collections::BTreeSet;

/// Places in the order, lowest first.
#[derive(Clone, Debug)]
pub struct Ready {
    all: BTreeSet<u32>,
    /// The same by classes, where there is more than one.
    classes: Vec<BTreeSet<u32>>,
}

impl Ready {
    pub(super) fn new(classes: u32) -> Self {
        let classes = if classes > 1 { vec![BTreeSet::new(); classes as usize] } else { Vec::new() };
        Self { all: BTreeSet::new(), classes }
    }

    /// Adds a place; `class` is what [`super::Seats::class`] says of its subtask. `false` when it was there already.
    pub fn insert(&mut self, place: u32, class: u32) -> bool {
        if let Some(class) = self.classes.get_mut(class as usize) {
            class.insert(place);
        }
        self.all.insert(place)
    }

    /// All of these places at once, which is faster and smaller than one by one; before there are any.
    pub fn fill(&mut self, places: &[u32], class_of: impl Fn(u32) -> u32) {
        self.all = places.iter().copied().collect();
        let mut by_class = vec![Vec::new(); self.classes.len()];
        for place in places.iter().filter(|_| !self.classes.is_empty()) {
            if let Some(of_class) = by_class.get_mut(class_of(*place) as usize) {
                of_class.push(*place);
            }
        }
        self.classes = by_class.into_iter().map(BTreeSet::from_iter).collect();
    }

    /// Takes a place out; `false` when it was not there.
    pub fn remove(&mut self, place: u32, class: u32) -> bool {
        if let Some(class) = self.classes.get_mut(class as usize) {
            class.remove(&place);
        }
        self.all.remove(&place)
    }

    /// The first place.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        self.all.first().copied()
    }

    /// The first place of a class.
    #[must_use]
    pub fn first_of(&self, class: u32) -> Option<u32> {
        self.classes.get(class as usize).unwrap_or(&self.all).first().copied()
    }

    /// How many classes there are.
    #[must_use]
    pub fn classes(&self) -> u32 {
        self.classes.len().max(1) as u32
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

    /// The first `each` places of every class, lowest first.
    #[must_use]
    pub fn heads(&self, each: usize) -> Vec<u32> {
        let classes: &[BTreeSet<u32>] =
            if self.classes.is_empty() { std::slice::from_ref(&self.all) } else { &self.classes };
        let mut heads: Vec<u32> = classes.iter().flat_map(|class| class.iter().take(each)).copied().collect();
        heads.sort_unstable();
        heads
    }
}
