//! Lists as CSV with a header: the columns name and cells, and cores, mem and args where they are needed, in any
//! order. Fields may be quoted as spreadsheets do it; args are parted as in a plain list.

use super::table::{self, Row, Table};
use super::{Fields, ListError, ListProblem, shown};
use dc_model::Subtask;

const COLUMNS: [&str; 5] = ["name", "cells", "cores", "mem", "args"];

/// Reads a whole list.
pub(super) fn read(bytes: &[u8], default_cores: u32) -> Result<Vec<Subtask>, ListError> {
    let at = |line: u64| move |problem| ListError::Line { line, problem };
    if let Some(line) = open_quote(bytes) {
        return Err(at(line)(ListProblem::OpenQuote));
    }
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.has_headers(false).flexible(true).comment(Some(b'#'));
    let mut rows = reader.from_reader(bytes).into_byte_records();
    let mut lines = Lines { bytes, at: 0, line: 1 };
    // Bytes in memory can always be read, and rows may be of any length.
    let header = rows.next().and_then(Result::ok).ok_or(ListError::Empty)?;
    let columns = columns(&header).map_err(at(lines.of(&header)))?;
    let mut table = Table::new(default_cores);
    for row in rows.filter_map(Result::ok) {
        let line = lines.of(&row);
        subtask(&row, &columns).and_then(|row| table.add(line, row)).map_err(at(line))?;
    }
    table.finish()
}

/// Counts lines as rows go by: the reader's own place of a row is before the empty lines and remarks in front of it.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line that a row begins in.
    fn of(&mut self, row: &csv::ByteRecord) -> u64 {
        let begin = row.position().and_then(|place| usize::try_from(place.byte()).ok()).unwrap_or(self.at);
        let passed = self.bytes.get(self.at..begin).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.at = begin.max(self.at);
        while let Some(length) = self.bytes.get(self.at..).and_then(empty_line_bytes) {
            self.at += length;
            self.line += 1;
        }
        self.line
    }
}

/// The length of the line that a text begins with, if that is empty or a remark, and ends.
fn empty_line_bytes(text: &[u8]) -> Option<usize> {
    let length = text.iter().position(|byte| *byte == b'\n')? + 1;
    let line = text.get(..length)?;
    (line.starts_with(b"#") || line.iter().all(|byte| matches!(byte, b'\r' | b'\n'))).then_some(length)
}

/// Where each of [`COLUMNS`] is, and how many there are.
struct Columns {
    places: [Option<usize>; COLUMNS.len()],
    count: usize,
}

fn columns(header: &csv::ByteRecord) -> Result<Columns, ListProblem> {
    let mut places = [None; COLUMNS.len()];
    for (at, field) in header.iter().enumerate() {
        let found = COLUMNS.iter().position(|column| column.as_bytes() == field.trim_ascii());
        let place = found.and_then(|n| places.get_mut(n));
        let place = place.ok_or_else(|| ListProblem::UnknownColumn { column: shown(field) })?;
        if place.replace(at).is_some() {
            return Err(ListProblem::ColumnTwice { column: shown(field) });
        }
    }
    for (column, place) in COLUMNS.into_iter().zip(places).take(2) {
        place.ok_or(ListProblem::NoColumn { column })?;
    }
    Ok(Columns { places, count: header.len() })
}

fn subtask(row: &csv::ByteRecord, columns: &Columns) -> Result<Row, ListProblem> {
    if row.len() != columns.count {
        return Err(ListProblem::FieldCount { found: row.len(), expected: columns.count });
    }
    let raw = |n: usize| columns.places.get(n).copied().flatten().and_then(|at| row.get(at));
    let field = |n: usize| raw(n).map(<[u8]>::trim_ascii).unwrap_or_default();
    let said = |n: usize| Some(field(n)).filter(|text| !text.is_empty());
    let name = table::name(field(0))?;
    let cells = table::cells(&name, field(1))?;
    let cores = said(2).map(|text| table::cores(&name, text)).transpose()?;
    let mem_bytes = said(3).map(|text| table::mem_bytes(&name, text)).transpose()?.unwrap_or(0);
    let mut fields = Fields { text: raw(4).unwrap_or_default(), at: 0, comments: false };
    let mut args = Vec::new();
    while let Some(arg) = fields.try_next().map_err(|_| ListProblem::ArgsQuote { name: name.clone() })? {
        args.push(arg.value);
    }
    table::check_args(&name, &args)?;
    Ok(Row { name, cells, cores, mem_bytes, args })
}

/// The line in which a quoted field begins that never ends: all that follows would be taken for a part of it.
fn open_quote(bytes: &[u8]) -> Option<u64> {
    enum At {
        LineBegin,
        FieldBegin,
        Unquoted,
        Quoted,
        Closed,
        Comment,
    }
    let (mut at, mut line, mut began) = (At::LineBegin, 1, 1);
    for byte in bytes {
        at = match (at, byte) {
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) => At::Quoted,
            // Twice, it stands for itself, and the field goes on.
            (At::Closed, b'"') => At::Quoted,
            (At::LineBegin | At::FieldBegin, b'"') => {
                began = line;
                At::Quoted
            }
            (At::LineBegin, b'#') => At::Comment,
            (_, b'\n') => At::LineBegin,
            (At::Comment, _) => At::Comment,
            (_, b',') => At::FieldBegin,
            _ => At::Unquoted,
        };
        line += u64::from(*byte == b'\n');
    }
    matches!(at, At::Quoted).then_some(began)
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
