//! Lists of subtasks, as `--subtasks` takes them: plain ones, of lines `name cells [cores] [args…]`, here; CSV and JSON
//! lines in modules of their own.
//!
//! Fields stand apart by spaces or tabs. Blank lines count for nothing, nor does anything from a `#` on that begins
//! a field. A part of a field between double or single quotes is taken as it stands, spaces and `#` included; there
//! are no escapes and no variables. The third field is the number of cores when it is digits alone, without quotes:
//! an argument that looks like that is quoted, or comes after the cores.

mod csv;
mod jsonl;
mod table;

use dc_model::Subtask;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;

/// The longest name of a subtask, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Why bytes are not a list of subtasks.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ListError {
    /// No subtask in it.
    #[error("the list has no subtasks; a line is: name cells [cores] [arguments]")]
    Empty,
    /// A line is wrong.
    #[error("line {line}: {problem}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong.
        problem: ListProblem,
    },
}

/// What is wrong with a line. Text from the file is shown escaped, and cut when it is long.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ListProblem {
    /// A NUL byte, which no argument can hold.
    #[error("a NUL byte in column {column}; this is not a text file")]
    Nul {
        /// In bytes, from 1.
        column: usize,
    },
    /// A quote without its end.
    #[error("the quote in column {column} is not closed on this line")]
    Quote {
        /// In bytes, from 1.
        column: usize,
    },
    /// A name that is no name.
    #[error(
        "\"{name}\" is not a name: 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -, the first neither '.' nor '-'"
    )]
    Name {
        /// As it stands there.
        name: String,
    },
    /// A name for the second time.
    #[error("{name} is the name of line {first_line} already; names are unique")]
    NameTwice {
        /// The name.
        name: String,
        /// Where it was first.
        first_line: u64,
    },
    /// Nothing after the name.
    #[error("{name} has no cells; a line is: name cells [cores] [arguments]")]
    NoCells {
        /// The subtask.
        name: String,
    },
    /// Cells below 0.
    #[error("{name} (column {column}): its cells are negative: \"{cells}\"")]
    CellsNegative {
        /// The subtask.
        name: String,
        /// In bytes, from 1.
        column: usize,
        /// As they stand there.
        cells: String,
    },
    /// Cells that are no whole number.
    #[error("{name} (column {column}): its cells are not a whole number: \"{cells}\"")]
    CellsNumber {
        /// The subtask.
        name: String,
        /// In bytes, from 1.
        column: usize,
        /// As they stand there.
        cells: String,
    },
    /// Cells beyond 64 bits.
    #[error("{name} (column {column}): its cells are above {}: \"{cells}\"", u64::MAX)]
    CellsOverflow {
        /// The subtask.
        name: String,
        /// In bytes, from 1.
        column: usize,
        /// As they stand there.
        cells: String,
    },
    /// Cells of all lines so far beyond 64 bits.
    #[error("with {name} the cells of all subtasks are above {}", u64::MAX)]
    TotalOverflow {
        /// The subtask.
        name: String,
    },
    /// 0 cores.
    #[error("{name} (column {column}): it needs at least 1 core (an argument that is a number is quoted)")]
    NoCores {
        /// The subtask.
        name: String,
        /// In bytes, from 1.
        column: usize,
    },
    /// More cores than can be counted.
    #[error(
        "{name} (column {column}): \"{cores}\" is no number of cores (an argument that is a number is quoted)"
    )]
    CoresOverflow {
        /// The subtask.
        name: String,
        /// In bytes, from 1.
        column: usize,
        /// As they stand there.
        cores: String,
    },
    /// A table without a column that it must have.
    #[error("the header has no column {column}; name and cells are needed, cores, mem and args may be there")]
    NoColumn {
        /// Which.
        column: &'static str,
    },
    /// A column that means nothing here.
    #[error("the column \"{column}\" is not known; known are name, cells, cores, mem and args")]
    UnknownColumn {
        /// As it stands there.
        column: String,
    },
    /// A column for the second time.
    #[error("the column {column} is there twice")]
    ColumnTwice {
        /// Which.
        column: String,
    },
    /// A row that does not fit the header.
    #[error(
        "the number of fields is {found}, in the header it is {expected}; a field with a comma is quoted"
    )]
    FieldCount {
        /// Fields of the row.
        found: usize,
        /// Fields of the header.
        expected: usize,
    },
    /// A field whose quotes have no end.
    #[error("a quoted field that begins in this line is not closed")]
    OpenQuote,
    /// Arguments whose quotes have no end.
    #[error("{name}: a quote in its args is not closed")]
    ArgsQuote {
        /// The subtask.
        name: String,
    },
    /// A value that cannot be used.
    #[error("{name}: \"{value}\" is wrong for {column}: {wanted} is needed")]
    Value {
        /// The subtask.
        name: String,
        /// Which value.
        column: &'static str,
        /// As it stands there.
        value: String,
        /// What should stand there.
        wanted: &'static str,
    },
    /// A line that is no object, or not of a subtask.
    #[error("column {column}: {why}")]
    Json {
        /// In bytes, from 1.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// Another kind of JSON.
    #[error("this is a JSON array; one object a line is needed (jq -c '.[]' makes that of it)")]
    JsonArray,
    /// More subtasks than ids.
    #[error("more than {} subtasks", u32::MAX)]
    TooMany,
}

/// How a list is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Lines of fields that stand apart by spaces.
    Plain,
    /// CSV with a header.
    Csv,
    /// A JSON object a line.
    JsonLines,
}

impl Format {
    /// By the extension of a file's name, if that says it; else by how the list begins: no name begins with a bracket
    /// or holds a comma.
    #[must_use]
    pub fn of(extension: Option<&str>, bytes: &[u8]) -> Self {
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("csv") => return Self::Csv,
            Some("json" | "jsonl" | "ndjson") => return Self::JsonLines,
            _ => {}
        }
        let bytes = without_mark(bytes);
        if jsonl::is_json(bytes) {
            return Self::JsonLines;
        }
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let first = lines.into_iter().find(|line| !line.is_empty() && !line.starts_with(b"#"));
        let word = first.and_then(|line| line.split(|byte| is_blank(*byte)).next());
        if word.is_some_and(|word| word.contains(&b',')) { Self::Csv } else { Self::Plain }
    }
}

/// Reads a list that is written so. As [`read`] otherwise.
///
/// # Errors
/// As [`read`].
pub fn read_as(format: Format, bytes: &[u8], default_cores: u32) -> Result<Vec<Subtask>, ListError> {
    match format {
        Format::Plain => read(bytes, default_cores),
        Format::Csv => csv::read(without_mark(bytes), default_cores),
        Format::JsonLines => jsonl::read(without_mark(bytes), default_cores),
    }
}

/// Without the mark that some editors put before UTF-8.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Reads a plain list. A subtask that does not say its cores needs `default_cores` (0 counts as 1).
///
/// Subtasks of cost 0 are kept: their ids are their places in the list.
///
/// # Errors
/// The first thing that is wrong, and where.
pub fn read(bytes: &[u8], default_cores: u32) -> Result<Vec<Subtask>, ListError> {
    let bytes = without_mark(bytes);
    let mut reader = Reader {
        default_cores: default_cores.max(1),
        total: 0,
        names: BTreeMap::new(),
        subtasks: Vec::new(),
    };
    for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        reader.try_line(line, text).map_err(|problem| ListError::Line { line, problem })?;
    }
    if reader.subtasks.is_empty() {
        return Err(ListError::Empty);
    }
    Ok(reader.subtasks)
}

/// Whether a text may name a subtask or a job: such a name is safe in messages, in paths and in environments.
#[must_use]
pub fn is_name(text: &[u8]) -> bool {
    let letters = text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    letters && (1..=NAME_BYTES_MAX).contains(&text.len()) && !matches!(text.first(), Some(b'.' | b'-'))
}

struct Reader<'a> {
    default_cores: u32,
    total: u64,
    /// Names, and the lines they stand in.
    names: BTreeMap<&'a [u8], u64>,
    subtasks: Vec<Subtask>,
}

impl<'a> Reader<'a> {
    fn try_line(&mut self, line: u64, text: &'a [u8]) -> Result<(), ListProblem> {
        if let Some(at) = text.iter().position(|byte| *byte == 0) {
            return Err(ListProblem::Nul { column: at + 1 });
        }
        let mut fields = Fields { text, at: 0, comments: true };
        let Some(name) = fields.try_next()? else { return Ok(()) };
        if !is_name(name.raw) {
            return Err(ListProblem::Name { name: shown(name.raw) });
        }
        // Of letters, digits and signs only.
        let named = String::from_utf8_lossy(name.raw).into_owned();
        match self.names.entry(name.raw) {
            Entry::Occupied(first) => {
                return Err(ListProblem::NameTwice { name: named, first_line: *first.get() });
            }
            Entry::Vacant(place) => place.insert(line),
        };
        let Some(cells) = fields.try_next()? else { return Err(ListProblem::NoCells { name: named }) };
        let cells = try_cells(&named, &cells)?;
        self.total = self
            .total
            .checked_add(cells)
            .ok_or_else(|| ListProblem::TotalOverflow { name: named.clone() })?;

        let mut subtask = Subtask::plain(cells, self.default_cores);
        if let Some(third) = fields.try_next()? {
            match is_number(third.raw) {
                true => subtask.cores = try_cores(&named, &third)?,
                false => subtask.args.push(third.value),
            }
        }
        while let Some(arg) = fields.try_next()? {
            subtask.args.push(arg.value);
        }
        subtask.name = Some(named.into());
        if self.subtasks.len() >= u32::MAX as usize {
            return Err(ListProblem::TooMany);
        }
        self.subtasks.push(subtask);
        Ok(())
    }
}

fn try_cells(name: &str, field: &Field<'_>) -> Result<u64, ListProblem> {
    let (name, column, cells) = (name.to_owned(), field.column, shown(field.raw));
    let negative = field.raw.strip_prefix(b"-").is_some_and(is_number);
    match (is_number(field.raw), number(field.raw)) {
        (true, Some(cells)) => Ok(cells),
        (true, None) => Err(ListProblem::CellsOverflow { name, column, cells }),
        (false, _) if negative => Err(ListProblem::CellsNegative { name, column, cells }),
        (false, _) => Err(ListProblem::CellsNumber { name, column, cells }),
    }
}

fn try_cores(name: &str, field: &Field<'_>) -> Result<u32, ListProblem> {
    let (name, column) = (name.to_owned(), field.column);
    match number(field.raw).map(u32::try_from) {
        Some(Ok(0)) => Err(ListProblem::NoCores { name, column }),
        Some(Ok(cores)) => Ok(cores),
        _ => Err(ListProblem::CoresOverflow { name, column, cores: shown(field.raw) }),
    }
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// The number that digits write, if it fits.
fn number(digits: &[u8]) -> Option<u64> {
    let digit =
        |value: u64, digit: &u8| value.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')));
    digits.iter().try_fold(0, digit)
}

/// Text from the file, for a message.
fn shown(text: &[u8]) -> String {
    let head = text.get(..NAME_BYTES_MAX + 1).unwrap_or(text);
    let more = if head.len() < text.len() { "…" } else { "" };
    format!("{}{more}", head.escape_ascii())
}

struct Field<'a> {
    /// As it stands in the line, quotes included.
    raw: &'a [u8],
    /// Without its quotes.
    value: Vec<u8>,
    /// Where it begins, in bytes from 1.
    column: usize,
}

struct Fields<'a> {
    text: &'a [u8],
    at: usize,
    /// Whether a `#` ends them.
    comments: bool,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

impl<'a> Fields<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next field, up to the end of the line or a comment.
    fn try_next(&mut self) -> Result<Option<Field<'a>>, ListProblem> {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
        let start = self.at;
        if self.peek().is_none_or(|byte| self.comments && byte == b'#') {
            return Ok(None);
        }
        let mut value = Vec::new();
        while let Some(byte) = self.peek().filter(|byte| !is_blank(*byte)) {
            self.at += 1;
            if !matches!(byte, b'"' | b'\'') {
                value.push(byte);
                continue;
            }
            let quoted = self.text.get(self.at..).unwrap_or_default();
            let Some(length) = quoted.iter().position(|end| *end == byte) else {
                return Err(ListProblem::Quote { column: self.at });
            };
            value.extend(quoted.iter().take(length));
            self.at += length + 1;
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        Ok(Some(Field { raw, value, column: start + 1 }))
    }
}
