//! Takes a parsed file apart, key by key: what is wrong is gathered with its place, what is left over is unknown.

use crate::config::Entry;
use crate::error::{Mistake, quoted};
use crate::key::Key;
use crate::keys;
use crate::kinds::{File, Kind};
use crate::near::nearest;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The most mistakes that are gathered.
const MISTAKES_MAX: usize = 200;

type Values<'i> = BTreeMap<String, (Range<usize>, Spanned<DeValue<'i>>)>;

/// A file that is being read.
pub(crate) struct Reader<'a> {
    text: &'a str,
    base: &'a Path,
    tables: Values<'a>,
    mistakes: Vec<Mistake>,
    pub(crate) entries: Vec<Entry>,
}

/// A table of it.
pub(crate) struct Section<'r, 'a> {
    reader: &'r mut Reader<'a>,
    /// As it is told of: `[scheduler]`.
    title: String,
    /// Whose keys it has.
    table: &'static str,
    values: Values<'a>,
    /// Where it begins.
    at: usize,
    /// The value that was read last.
    last: Option<usize>,
}

impl<'a> Reader<'a> {
    /// Parses a text; what is not TOML is gathered too, and then nothing else is looked at.
    pub(crate) fn new(text: &'a str, base: &'a Path) -> Result<Self, Vec<Mistake>> {
        let mut reader =
            Self { text, base, tables: Values::new(), mistakes: Vec::new(), entries: Vec::new() };
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors.iter().take(MISTAKES_MAX) {
            let at = error.span().map_or(text.len(), |span| span.start);
            let what = match error.message() {
                "duplicate key" => "this key or table stands twice: keep one".to_owned(),
                message => message.lines().collect::<Vec<_>>().join(", "),
            };
            reader.mistake(at, what);
        }
        if !reader.mistakes.is_empty() {
            return Err(reader.finish());
        }
        reader.tables = values(root.into_inner());
        reader.known_tables();
        Ok(reader)
    }

    /// Of no file.
    pub(crate) fn empty() -> Self {
        let base = Path::new("/");
        Self { text: "", base, tables: Values::new(), mistakes: Vec::new(), entries: Vec::new() }
    }

    /// Gathers a mistake at an offset.
    pub(crate) fn mistake(&mut self, at: usize, what: String) {
        if self.mistakes.len() < MISTAKES_MAX {
            let (line, column) = self.place(at);
            self.mistakes.push(Mistake { line, column, what });
        }
    }

    /// All that was gathered, in the order of the file.
    pub(crate) fn finish(self) -> Vec<Mistake> {
        let mut mistakes = self.mistakes;
        mistakes.sort();
        mistakes.dedup();
        mistakes
    }

    /// Line and column of an offset, in characters from 1.
    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let begin = before.rfind('\n').map_or(0, |end| end + 1);
        (before.matches('\n').count() + 1, before[begin..].chars().count() + 1)
    }

    /// Tells of what stands at the top of the file and is no table of ours.
    fn known_tables(&mut self) {
        let unknown: Vec<_> = self
            .tables
            .iter()
            .filter(|(name, _)| !keys::TABLES.contains(&name.as_str()))
            .map(|(name, (key, _))| (name.clone(), key.start))
            .collect();
        for (name, at) in unknown {
            let home = keys::ALL.iter().find(|key| key.name() == name).map(|key| key.table());
            let near = nearest(&name, keys::TABLES).map(|table| format!("did you mean [{table}]?"));
            let what = match (near, home) {
                (_, Some(table)) => format!("it belongs below [{table}]"),
                (Some(near), None) => near,
                (None, None) => format!("known are {}", list(keys::TABLES.into_iter())),
            };
            self.mistake(at, format!("unknown table {}: {what}", quoted(&name)));
            self.tables.remove(&name);
        }
    }

    /// Whether a table is there.
    pub(crate) fn has(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// A table, empty where there is none.
    pub(crate) fn section(&mut self, table: &'static str) -> Section<'_, 'a> {
        let found = self.tables.remove(table);
        let at = found.as_ref().map_or(0, |(key, _)| key.start);
        let values = match found.map(|(_, value)| value.into_inner()) {
            None => Values::new(),
            Some(DeValue::Table(table)) => values(table),
            Some(DeValue::Array(_)) => {
                self.mistake(at, format!("there is one {table}: write [{table}], once"));
                Values::new()
            }
            Some(_) => {
                self.mistake(at, format!("{table} is a table: write [{table}], and its keys below"));
                Values::new()
            }
        };
        Section { reader: self, title: format!("[{table}]"), table, values, at, last: None }
    }

    /// The tables of `[[nodes]]`, each with its place.
    pub(crate) fn nodes(&mut self) -> Vec<(usize, DeTable<'a>)> {
        let Some((key, value)) = self.tables.remove("nodes") else { return Vec::new() };
        let wrong = "nodes is a list of tables: write [[nodes]], once for each".to_owned();
        let DeValue::Array(list) = value.into_inner() else {
            self.mistake(key.start, wrong);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in list {
            let at = item.span().start;
            match item.into_inner() {
                DeValue::Table(table) => tables.push((at, table)),
                _ => self.mistake(at, wrong.clone()),
            }
        }
        tables
    }

    /// One of the tables of `[[nodes]]`.
    pub(crate) fn node_section(&mut self, at: usize, table: DeTable<'a>) -> Section<'_, 'a> {
        Section {
            reader: self,
            title: "[[nodes]]".to_owned(),
            table: "nodes",
            values: values(table),
            at,
            last: None,
        }
    }
}

impl Section<'_, '_> {
    /// Where the table begins.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Whether a key is there, and was not taken yet.
    pub(crate) fn has<K: Kind>(&self, key: &Key<K>) -> bool {
        self.values.contains_key(key.name)
    }

    /// Where the value stands that was taken last; where the table begins if it was not there.
    pub(crate) fn last(&self) -> usize {
        self.last.unwrap_or(self.at)
    }

    /// Gathers a mistake.
    pub(crate) fn mistake(&mut self, at: usize, what: String) {
        self.reader.mistake(at, what);
    }

    /// A key's value, if it is there and right.
    pub(crate) fn take<K: Kind>(&mut self, key: &Key<K>) -> Option<K::Value> {
        self.last = None;
        let (_, value) = self.values.remove(key.name)?;
        let at = value.span().start;
        self.last = Some(at);
        match key.kind.read(value.get_ref(), self.reader.base) {
            Ok(value) => Some(value),
            Err(why) => {
                let table = if self.table == "nodes" { "nodes" } else { key.table };
                self.reader.mistake(at, format!("{table}.{}: {why}", key.name));
                None
            }
        }
    }

    /// A key's value or its default; it is noted as an entry.
    pub(crate) fn value<K: Kind>(&mut self, key: &'static Key<K>) -> K::Value
    where
        Key<K>: crate::AnyKey,
    {
        let initial = key.initial.clone();
        self.value_or(key, initial)
    }

    /// A key's value or, where there is none, this one; it is noted as an entry.
    pub(crate) fn value_or<K: Kind>(&mut self, key: &'static Key<K>, default: K::Value) -> K::Value
    where
        Key<K>: crate::AnyKey,
    {
        let value = self.take(key).unwrap_or(default);
        let line = self.last.map(|at| self.reader.place(at).0);
        let shown = key.kind.show(&value);
        self.reader.entries.push(Entry { key, value: shown, line });
        value
    }

    /// A path or, where there is none, this one; it is noted as an entry.
    pub(crate) fn path(&mut self, key: &'static Key<File>, default: PathBuf) -> PathBuf {
        self.value_or(key, Some(default.clone())).unwrap_or(default)
    }

    /// A text that is no key of the list.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.last = None;
        let (_, value) = self.values.remove(name)?;
        let at = value.span().start;
        self.last = Some(at);
        match value.get_ref().as_str() {
            Some(text) => Some(text.to_owned()),
            None => {
                self.reader.mistake(at, format!("{}.{name}: wanted a text with quotation marks", self.table));
                None
            }
        }
    }

    /// What is left over is unknown.
    pub(crate) fn finish(self) {
        for (name, (key, _)) in &self.values {
            let known = keys::of_table(self.table);
            let elsewhere =
                keys::ALL.iter().find(|other| other.name() == name && other.table() != self.table);
            let what = match (nearest(name, known.clone()), elsewhere) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, Some(other)) => format!("it belongs below [{}]", other.table()),
                (None, None) => format!("known are {}", list(known)),
            };
            self.reader.mistake(key.start, format!("unknown key {} in {}: {what}", quoted(name), self.title));
        }
    }
}

fn values<'i>(table: DeTable<'i>) -> Values<'i> {
    table.into_iter().map(|(key, value)| (key.get_ref().to_string(), (key.span(), value))).collect()
}

fn list<'w>(words: impl Iterator<Item = &'w str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}
