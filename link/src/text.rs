//! Files of lines, as people may edit them: words between single or several blanks, `#` comments, errors with line and
//! column.

use dc_spool::files::shown;
use std::path::PathBuf;
use thiserror::Error;

/// A line that cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{}:{line}:{column}: {what}", shown(.path))]
pub struct TextError {
    /// Which file.
    pub path: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in bytes, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
}

/// A word of a line, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    pub(crate) column: usize,
}

/// What is wrong at a column; the caller knows file and line.
pub(crate) type Wrong = (usize, String);

/// The words of a line; none of a comment or an empty line.
pub(crate) fn words(line: &str) -> Vec<Word<'_>> {
    if line.trim_start_matches(' ').starts_with('#') {
        return Vec::new();
    }
    let mut out = Vec::new();
    let mut at = 0;
    for piece in line.split(' ') {
        if !piece.is_empty() {
            out.push(Word { text: piece, column: at + 1 });
        }
        at += piece.len() + 1;
    }
    out
}

/// A word, as it is quoted in an error: escaped, and cut where it is long.
pub(crate) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(80).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("`{}{more}`", shown(&cut))
}

/// Hands each line that has words to `each`, with its number; checks that the bytes are text and the last line ends.
pub(crate) fn each_line(
    path: &std::path::Path,
    bytes: &[u8],
    mut each: impl FnMut(usize, &[Word<'_>]) -> Result<(), Wrong>,
) -> Result<(), TextError> {
    let wrong = |line, (column, what)| TextError { path: path.to_owned(), line, column, what };
    let mut lines = bytes.split(|b| *b == b'\n');
    let mut number = 0;
    while let Some(line) = lines.next() {
        number += 1;
        let text = std::str::from_utf8(line)
            .map_err(|error| wrong(number, (error.valid_up_to() + 1, "this is not UTF-8 text".to_owned())))?;
        if let Some(at) = text.find(|c: char| c.is_control()) {
            let what = "a control character (a tab or the end of a DOS line, perhaps): use blanks and plain line ends";
            return Err(wrong(number, (at + 1, what.to_owned())));
        }
        each(number, &words(text)).map_err(|what| wrong(number, what))?;
        if lines.clone().next().is_none() && !line.is_empty() {
            let what = "the last line does not end: the file may have been cut";
            return Err(wrong(number, (line.len() + 1, what.to_owned())));
        }
    }
    Ok(())
}

/// The value of `key=value` words after the fixed ones, each at most once and in this order.
pub(crate) fn options<'a, const N: usize>(
    words: &[Word<'a>],
    keys: [&str; N],
) -> Result<[Option<Word<'a>>; N], Wrong> {
    let mut out = [None; N];
    let mut next = 0;
    for word in words {
        let known = word.text.split_once('=').and_then(|(key, value)| {
            let i = keys.iter().position(|known| *known == key)?;
            Some((i, Word { text: value, column: word.column + key.len() + 1 }))
        });
        let Some((i, value)) = known else {
            return Err((
                word.column,
                format!("{} is not known here: {}", quoted(word.text), keys.join("=…, ") + "=…"),
            ));
        };
        if i < next {
            return Err((word.column, format!("`{}=` stands twice or out of order", keys[i])));
        }
        next = i + 1;
        out[i] = Some(value);
    }
    Ok(out)
}
