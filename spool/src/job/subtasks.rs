//! The subtasks of a job. Equal ones that follow each other are kept once: a hundred thousand plain ones take a few
//! bytes, in memory and on disk.

use dc_model::{Subtask, SubtaskId};

/// The most subtasks a job may have.
pub const SUBTASKS_MAX: u32 = 1 << 24;

/// The subtasks of a job, by id.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subtasks {
    runs: Vec<Run>,
    len: u32,
}

/// Equal subtasks that follow each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Run {
    pub first: u32,
    pub count: u32,
    pub subtask: Subtask,
}

impl Subtasks {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `count` of equal cost, without names or blocks.
    #[must_use]
    pub fn plain(count: u32, cells: u64, cores: u32) -> Option<Self> {
        let mut subtasks = Self::new();
        subtasks.push(count, Subtask::plain(cells, cores)).then_some(subtasks)
    }

    /// Adds `count` equal ones at the end; `false`, and nothing added, beyond [`SUBTASKS_MAX`].
    #[must_use]
    pub fn push(&mut self, count: u32, subtask: Subtask) -> bool {
        let Some(len) = self.len.checked_add(count).filter(|len| *len <= SUBTASKS_MAX) else { return false };
        match self.runs.last_mut().filter(|run| run.subtask == subtask) {
            _ if count == 0 => {}
            Some(run) => run.count += count,
            None => self.runs.push(Run { first: self.len, count, subtask }),
        }
        self.len = len;
        true
    }

    /// From a list; `None` when it is longer than [`SUBTASKS_MAX`].
    #[must_use]
    pub fn from_list(list: impl IntoIterator<Item = Subtask>) -> Option<Self> {
        let mut subtasks = Self::new();
        list.into_iter().all(|subtask| subtasks.push(1, subtask)).then_some(subtasks)
    }

    /// The same with each changed; equal ones that follow each other are changed once.
    #[must_use]
    pub fn map(self, change: impl Fn(Subtask) -> Subtask) -> Self {
        let mut changed = Self::new();
        for run in self.runs {
            // As many as there were.
            let _ = changed.push(run.count, change(run.subtask));
        }
        changed
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: SubtaskId) -> Option<&Subtask> {
        let after = self.runs.partition_point(|run| run.first <= id.0);
        let run = self.runs.get(after.checked_sub(1)?)?;
        (id.0 - run.first < run.count).then_some(&run.subtask)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Subtask> {
        self.runs.iter().flat_map(|run| std::iter::repeat_n(&run.subtask, run.count as usize))
    }

    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ones_are_kept_once_and_found_by_id() {
        let (a, b) = (Subtask::plain(5, 1), Subtask::plain(6, 1));
        let list = [&a, &a, &b, &a].map(Clone::clone);
        let subtasks = Subtasks::from_list(list.clone()).unwrap();
        assert_eq!(subtasks.runs().len(), 3);
        assert_eq!(subtasks.iter().cloned().collect::<Vec<_>>(), list);
        for (id, subtask) in (0..).zip(&list) {
            assert_eq!(subtasks.get(SubtaskId(id)), Some(subtask));
        }
        assert_eq!(subtasks.get(SubtaskId(4)), None);
        assert_eq!(subtasks.get(SubtaskId(u32::MAX)), None);
        assert_eq!(Subtasks::new().get(SubtaskId(0)), None);
        assert!(Subtasks::plain(SUBTASKS_MAX, 1, 1).is_some_and(|mut s| !s.push(1, a)));
        assert_eq!(Subtasks::plain(SUBTASKS_MAX + 1, 1, 1), None);
    }
}
