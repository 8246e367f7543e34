//! Columns by name: which there are, and which are shown.

use super::Failed;
use dc_spool::files::shown;

/// A column of a list of `R`s.
pub(super) struct Column<R> {
    /// Its name with `-o`; in capitals it is the header.
    pub name: &'static str,
    /// Numbers stand at the right.
    pub is_number: bool,
    /// Its text in a row.
    pub text: fn(&R) -> String,
}

impl<R> Column<R> {
    pub const fn word(name: &'static str, text: fn(&R) -> String) -> Self {
        Self { name, is_number: false, text }
    }

    pub const fn number(name: &'static str, text: fn(&R) -> String) -> Self {
        Self { name, is_number: true, text }
    }
}

/// Those whose names stand in `names`, in that order, with commas or spaces between.
pub(super) fn choose<'a, R>(all: &'a [Column<R>], names: &str) -> Result<Vec<&'a Column<R>>, Failed> {
    let words = names.split([',', ' ']).filter(|word| !word.is_empty());
    let chosen = words.map(|word| {
        all.iter().find(|column| column.name == word.to_ascii_lowercase()).ok_or_else(|| {
            let known: Vec<_> = all.iter().map(|column| column.name).collect();
            Failed::Usage(format!("no column is called {}; there are: {}", shown(word), known.join(", ")))
        })
    });
    let chosen = chosen.collect::<Result<Vec<_>, _>>()?;
    if chosen.is_empty() { Err(Failed::Usage("-o wants names of columns".to_owned())) } else { Ok(chosen) }
}
