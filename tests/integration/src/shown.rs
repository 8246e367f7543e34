//! What the fixture `show` printed, for each rank: read from lines that `dcrun -l` labelled.

use crate::run::Finished;
use std::collections::BTreeMap;

/// What one rank found when it was started.
#[derive(Clone, Default, Debug)]
pub struct Shown {
    lines: Vec<String>,
}

impl Shown {
    /// Each rank's, from labelled output.
    ///
    /// # Panics
    /// When a line has no label.
    #[must_use]
    pub fn by_rank(finished: &Finished) -> BTreeMap<u32, Self> {
        Self::by_rank_in(&finished.out())
    }

    /// Each rank's, from labelled output that is elsewhere.
    ///
    /// # Panics
    /// When a line has no label.
    #[must_use]
    pub fn by_rank_in(text: &str) -> BTreeMap<u32, Self> {
        let mut ranks = BTreeMap::<u32, Self>::new();
        for line in text.lines() {
            let (rank, text) = line.split_once(": ").unwrap_or_else(|| panic!("no label: {line:?}"));
            let rank = rank.trim().parse().unwrap_or_else(|e| panic!("{line:?}: {e}"));
            ranks.entry(rank).or_default().lines.push(text.to_owned());
        }
        ranks
    }

    /// What follows `word ` in the lines that begin with it.
    pub fn all<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter_map(move |line| line.strip_prefix(word)?.strip_prefix(' '))
    }

    /// What follows it in the only such line.
    ///
    /// # Panics
    /// When there is not exactly one.
    #[must_use]
    pub fn only<'a>(&'a self, word: &'a str) -> &'a str {
        let found: Vec<_> = self.all(word).collect();
        assert!(found.len() == 1, "{word}: {found:?} in {:#?}", self.lines);
        found[0]
    }

    /// A variable.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&str> {
        self.all("env").find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='))
    }

    /// CPUs it may run on.
    #[must_use]
    pub fn cpus(&self) -> Vec<u32> {
        self.only("cpus").split(' ').map(|cpu| cpu.parse().unwrap()).collect()
    }
}

/// The CPUs in a list such as `0-3,8`.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn cpu_list(text: &str) -> Vec<u32> {
    let number = |text: &str| text.parse::<u32>().unwrap_or_else(|e| panic!("{text:?}: {e}"));
    let range = |part: &str| match part.split_once('-') {
        Some((low, high)) => number(low)..=number(high),
        None => number(part)..=number(part),
    };
    text.split(',').filter(|part| !part.is_empty()).flat_map(range).collect()
}

/// The CPUs this test may use.
#[must_use]
pub fn allowed() -> Vec<u32> {
    cpu_list(&crate::process::cpus(std::process::id() as i32).unwrap())
}
