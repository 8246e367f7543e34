//! What is different between two readings of the file: what a daemon may take over while it runs, and what waits for
//! its restart.

use crate::config::{Config, Entry};
use crate::node::Part;
use std::collections::BTreeMap;

/// The most nodes that are named one by one.
const NODES_TOLD_MAX: usize = 100;

/// The names of keys that changed, such as `scheduler.lease` and `nodes.n1.memory`, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diff {
    /// What takes effect at once.
    pub live: Vec<String>,
    /// What takes effect when the daemon is started again.
    pub restart: Vec<String>,
}

impl Diff {
    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.restart.is_empty()
    }

    /// Between the keys in force; for a daemon that looks at some of them, such as [`crate::Node::entries`].
    #[must_use]
    pub fn of(old: &[Entry], new: &[Entry]) -> Self {
        let mut diff = Self::default();
        let mut all: BTreeMap<String, (Option<&Entry>, Option<&Entry>)> = BTreeMap::new();
        for entry in old {
            all.entry(entry.name()).or_default().0 = Some(entry);
        }
        for entry in new {
            all.entry(entry.name()).or_default().1 = Some(entry);
        }
        for (name, pair) in all {
            let changed = match pair {
                (Some(old), Some(new)) => (old.value != new.value).then_some(new),
                (old, new) => old.or(new),
            };
            if let Some(entry) = changed {
                diff.put(entry.key.is_live(), name);
            }
        }
        diff
    }

    fn put(&mut self, is_live: bool, name: String) {
        if is_live { self.live.push(name) } else { self.restart.push(name) }
    }
}

/// Between two files. Keys of `[node]` are named as such; those of `[[nodes]]` by node.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Diff {
    let mut diff = Diff::of(&old.entries, &new.entries);
    let empty = Part::default();
    let mut names: Vec<_> = old.nodes.keys().chain(new.nodes.keys()).collect();
    names.sort();
    names.dedup();
    let mut told = 0;
    for name in names {
        let part = |config: &Config| config.nodes.get(name).cloned();
        let (old, new) = (part(old), part(new));
        let (old, new) = (old.as_deref().unwrap_or(&empty), new.as_deref().unwrap_or(&empty));
        if old == new {
            continue;
        }
        told += 1;
        if told > NODES_TOLD_MAX {
            break;
        }
        let written = |part: &Part| {
            part.written()
                .into_iter()
                .map(|(key, value)| Entry { key, value, line: None })
                .collect::<Vec<_>>()
        };
        let one = Diff::of(&written(old), &written(new));
        let named = |key: &String| key.replacen("node.", &format!("nodes.{name}."), 1);
        diff.live.extend(one.live.iter().map(named));
        diff.restart.extend(one.restart.iter().map(named));
    }
    diff
}
