//! What every kind of list comes to: subtasks with names of their own, whose cells together can be counted. And the
//! values that tables of them have as text.

use super::{ListError, ListProblem, is_name, is_number, number, shown};
use dc_model::{Subtask, size};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The subtasks of a list so far.
pub(super) struct Table {
    default_cores: u32,
    total: u64,
    /// Names, and the lines they stand in.
    names: BTreeMap<Box<str>, u64>,
    subtasks: Vec<Subtask>,
}

/// A subtask as a row of a table has it.
pub(super) struct Row {
    pub name: String,
    pub cells: u64,
    pub cores: Option<u32>,
    pub mem_bytes: u64,
    pub args: Vec<Vec<u8>>,
}

impl Table {
    /// Without a row. A subtask that does not say its cores needs `default_cores` (0 counts as 1).
    pub(super) fn new(default_cores: u32) -> Self {
        let default_cores = default_cores.max(1);
        Self { default_cores, total: 0, names: BTreeMap::new(), subtasks: Vec::new() }
    }

    /// Adds the row of a line, whose name is one and no other's.
    pub(super) fn add(&mut self, line: u64, row: Row) -> Result<(), ListProblem> {
        let Row { name, cells, cores, mem_bytes, args } = row;
        match self.names.entry(name.as_str().into()) {
            Entry::Occupied(first) => return Err(ListProblem::NameTwice { name, first_line: *first.get() }),
            Entry::Vacant(place) => place.insert(line),
        };
        let total = self.total.checked_add(cells);
        self.total = total.ok_or_else(|| ListProblem::TotalOverflow { name: name.clone() })?;
        if self.subtasks.len() >= u32::MAX as usize {
            return Err(ListProblem::TooMany);
        }
        let cores = cores.unwrap_or(self.default_cores);
        let name = Some(name.into());
        self.subtasks.push(Subtask { name, mem_bytes, args, ..Subtask::plain(cells, cores) });
        Ok(())
    }

    /// All of them; there is one at least.
    pub(super) fn finish(self) -> Result<Vec<Subtask>, ListError> {
        if self.subtasks.is_empty() { Err(ListError::Empty) } else { Ok(self.subtasks) }
    }
}

/// A name, as bytes.
pub(super) fn name(text: &[u8]) -> Result<String, ListProblem> {
    if !is_name(text) {
        return Err(ListProblem::Name { name: shown(text) });
    }
    // Of letters, digits and signs only.
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn wrong(name: &str, column: &'static str, text: &[u8], wanted: &'static str) -> ListProblem {
    ListProblem::Value { name: name.to_owned(), column, value: shown(text), wanted }
}

pub(super) fn cells(name: &str, text: &[u8]) -> Result<u64, ListProblem> {
    let value = Some(text).filter(|text| is_number(text)).and_then(number);
    value.ok_or_else(|| wrong(name, "cells", text, "a whole number from 0 to 18446744073709551615"))
}

pub(super) fn cores(name: &str, text: &[u8]) -> Result<u32, ListProblem> {
    let value = Some(text).filter(|text| is_number(text)).and_then(number);
    let value = value.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    value.ok_or_else(|| wrong(name, "cores", text, "a whole number from 1 to 4294967295"))
}

pub(super) fn mem_bytes(name: &str, text: &[u8]) -> Result<u64, ListProblem> {
    let value = std::str::from_utf8(text).ok().and_then(|text| size::parse(text).ok());
    value.ok_or_else(|| wrong(name, "mem", text, "a number of megabytes, or one with K, M, G or T"))
}

/// Arguments can hold any byte but one.
pub(super) fn check_args(name: &str, args: &[Vec<u8>]) -> Result<(), ListProblem> {
    match args.iter().find(|arg| arg.contains(&0)) {
        Some(arg) => Err(wrong(name, "args", arg, "text without a NUL byte")),
        None => Ok(()),
    }
}
