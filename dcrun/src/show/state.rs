//! The state of a job at the first Ctrl-C: how far it is, and what runs.

use super::amount::{count, duration};
use super::progress::Progress;
use dc_model::{Attempt, Rank, SubtaskId};

/// At most so many running ranks are listed.
const ROWS_MAX: usize = 20;

/// A rank that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its lane.
    pub rank: Rank,
    /// Its subtask.
    pub subtask: SubtaskId,
    /// The subtask's name, where it has one.
    pub name: Option<String>,
    /// Its attempt.
    pub attempt: Attempt,
    /// Cells done, where it tells.
    pub cells_done: Option<u64>,
    /// All its cells.
    pub cells: u64,
    /// For how long it has run.
    pub ran_ns: u64,
}

/// The lines.
#[must_use]
pub fn lines(progress: &Progress, rows: &[Row]) -> Vec<String> {
    let mut lines = vec![format!(
        "{}, {} running, after {}",
        progress.line(),
        progress.running,
        duration(progress.elapsed_ns)
    )];
    for row in rows.iter().take(ROWS_MAX) {
        let name = row.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
        let cells = match row.cells_done {
            Some(done) => format!("{} of {} cells", count(done), count(row.cells)),
            None => format!("{} {}", count(row.cells), super::amount::plural(row.cells, "cell", "cells")),
        };
        lines.push(format!(
            "rank {}: subtask {}{name}, attempt {}, {cells}, for {}",
            row.rank,
            row.subtask,
            row.attempt,
            duration(row.ran_ns)
        ));
    }
    if rows.len() > ROWS_MAX {
        lines.push(format!("and {} more", rows.len() - ROWS_MAX));
    }
    lines.push("Ctrl-C twice within a second stops the job".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_every_rank_is_listed() {
        let progress =
            Progress { total: 30, cells_total: 30, running: 25, one_each: true, ..Progress::default() };
        let row = |rank| Row {
            rank: Rank(rank),
            subtask: SubtaskId(rank),
            name: None,
            attempt: Attempt(1),
            cells_done: (rank == 0).then_some(3),
            cells: 1000,
            ran_ns: 65_000_000_000,
        };
        let rows: Vec<_> = (0..25).map(row).collect();
        let lines = lines(&progress, &rows);
        assert_eq!(lines[0], "0 of 30 ranks done, 25 running, after 0.0 s");
        assert_eq!(lines[1], "rank 0: subtask 0, attempt 1, 3 of 1,000 cells, for 1:05");
        assert_eq!(lines[2], "rank 1: subtask 1, attempt 1, 1,000 cells, for 1:05");
        assert_eq!(lines[21], "and 5 more");
        assert_eq!(lines.len(), 23);
    }
}
