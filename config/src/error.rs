//! What is wrong with a file: one line each, with its place and what helps.

use dc_spool::files::shown;
use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

/// The most mistakes that are told of one file.
const TOLD_MAX: usize = 20;

/// One mistake and where it stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mistake {
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", shown(.path))]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is too long.
    #[error("{} is longer than {bytes_max} bytes: no dc.toml is", shown(.path))]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// What is read at most, in bytes.
        bytes_max: u64,
    },
    /// Somebody else could have written it.
    #[error("{} {why}: it is not believed; name it in {} if it is to be used", shown(.path), crate::CONFIG_VARIABLE)]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// It is not as it should be; a line a mistake.
    #[error("{}", told(.path, .mistakes))]
    Mistakes {
        /// Which file.
        path: PathBuf,
        /// In the order of the file; never empty.
        mistakes: Vec<Mistake>,
    },
    /// Something that is needed is in no file.
    #[error("{0}")]
    Missing(String),
}

fn told(path: &std::path::Path, mistakes: &[Mistake]) -> String {
    let line = |m: &Mistake| format!("{}:{}:{}: {}", shown(path), m.line, m.column, m.what);
    let mut lines: Vec<String> = mistakes.iter().take(TOLD_MAX).map(line).collect();
    if mistakes.len() > TOLD_MAX {
        lines.push(format!("{}: and {} more", shown(path), mistakes.len() - TOLD_MAX));
    }
    lines.join("\n")
}

/// A text of the file as it is quoted in a message: escaped, and cut where it is long.
pub(crate) fn quoted(text: &str) -> impl fmt::Display {
    let cut: String = text.chars().take(60).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("`{}{more}`", shown(&cut))
}
