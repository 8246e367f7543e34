//! dcrun's JSON lines, read back.

use crate::wait::until;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The events in a text, one a line; each has a version and a kind.
///
/// # Panics
/// When a line is not such an object.
#[must_use]
pub fn parse(text: &str) -> Vec<Value> {
    let read = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON: {line:?}: {e}"));
        assert!(value["v"].is_u64() && value["event"].is_string(), "no version or kind: {line}");
        value
    };
    text.lines().map(read).collect()
}

/// The one event of this kind.
#[must_use]
pub fn only<'a>(events: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<_> = events.iter().filter(|event| event["event"] == kind).collect();
    assert!(found.len() == 1, "{} events {kind:?} in {events:#?}", found.len());
    found[0]
}

/// A file that events are written to while dcrun runs.
pub struct Events {
    path: PathBuf,
}

impl Events {
    /// Of this file, which need not be there yet.
    #[must_use]
    pub fn of(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned() }
    }

    /// All whole lines so far.
    #[must_use]
    pub fn all(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        parse(text.rsplit_once('\n').map_or("", |(whole, _)| whole))
    }

    /// Waits for `count` events that `wanted` wants.
    #[must_use]
    pub fn wait(&self, what: &str, count: usize, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        until(what, || {
            let found: Vec<_> = self.all().into_iter().filter(|event| wanted(event)).collect();
            (found.len() >= count).then_some(found)
        })
    }
}
