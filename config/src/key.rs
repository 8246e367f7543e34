//! What a key of the file is: its table, name and kind, its default, and whether a reload may change it.

use crate::kinds::Kind;

/// A key.
#[derive(Debug)]
pub struct Key<K: Kind> {
    /// Its table: `scheduler`; `node` for what stands in `[node]` and `[[nodes]]`.
    pub table: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: K,
    /// Its default. Where `follows` says something it is not used.
    pub initial: K::Value,
    /// What the default follows from, in words.
    pub follows: Option<&'static str>,
    /// Whether a running daemon takes a new value over.
    pub is_live: bool,
}

/// A key of whatever kind: for the page, for messages, and for the tests that hold them together.
pub trait AnyKey: Sync {
    /// Its table.
    fn table(&self) -> &'static str;
    /// Its name.
    fn name(&self) -> &'static str;
    /// What it takes, in words, with its range.
    fn says(&self) -> String;
    /// Its default, as it would be written, or in words.
    fn default(&self) -> String;
    /// Whether a running daemon takes a new value over.
    fn is_live(&self) -> bool;
}

impl<K: Kind + Sync> AnyKey for Key<K>
where
    K::Value: Sync,
{
    fn table(&self) -> &'static str {
        self.table
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn says(&self) -> String {
        self.kind.says()
    }

    fn default(&self) -> String {
        self.follows.map_or_else(|| self.kind.show(&self.initial), str::to_owned)
    }

    fn is_live(&self) -> bool {
        self.is_live
    }
}
