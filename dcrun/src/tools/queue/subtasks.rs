//! Subtasks, one a row.

use super::super::columns::{Column, choose};
use super::super::times::{Now, span};
use super::super::{Failed, NOT_ALL, Said, document, filter, sum, table, watch};
use super::Cli;
use super::jobs::Wanted;
use crate::sched::ClusterError;
use dc_model::JobUuid;
use dc_model::cluster::SubtaskRow;
use dc_model::cluster::client::WhichJob;
use dc_spool::files::shown;
use serde::Serialize;

/// All states of a subtask.
const STATES: [&str; 6] = ["split", "computing", "computed", "merging", "completed", "failed"];

struct Line {
    job: String,
    row: SubtaskRow,
    now: Now,
}

const COLUMNS: &[Column<Line>] = &[
    Column::number("job", |l| l.job.clone()),
    Column::number("subtask", |l| l.row.subtask.0.to_string()),
    Column::word("state", |l| l.row.state.clone()),
    Column::number("cells", |l| l.row.cells.to_string()),
    Column::number("done", |l| l.row.cells_done.to_string()),
    Column::number(
        "attempt",
        |l| if l.row.attempt.0 == 0 { String::new() } else { l.row.attempt.0.to_string() },
    ),
    Column::number("rank", |l| l.row.rank.map(|rank| rank.0.to_string()).unwrap_or_default()),
    Column::word("node", |l| l.row.node.clone()),
    Column::word("started", |l| l.now.clock_ago(l.row.ran_ms)),
    Column::word("end", |l| l.now.clock_ahead(l.row.left_ms)),
    Column::number("time", |l| span(l.row.ran_ms)),
    Column::number("left", |l| span(l.row.left_ms)),
];
const USUAL: &str = "job,subtask,state,cells,done,attempt,rank,node,started,end";
const LONG: &str = "job,subtask,state,cells,done,attempt,rank,node,started,time,left,end";

#[derive(Serialize)]
struct Document<'a> {
    v: u32,
    subtasks: Vec<Subtask<'a>>,
}

#[derive(Serialize)]
struct Subtask<'a> {
    job: &'a str,
    subtask: u32,
    state: &'a str,
    cells: u64,
    cells_done: u64,
    attempt: u32,
    rank: Option<u32>,
    node: &'a str,
    ran_ms: Option<u64>,
    left_ms: Option<u64>,
    started: Option<String>,
    predicted_end: Option<String>,
}

impl<'a> Subtask<'a> {
    fn of(line: &'a Line) -> Self {
        let row = &line.row;
        Self {
            job: &line.job,
            subtask: row.subtask.0,
            state: &row.state,
            cells: row.cells,
            cells_done: row.cells_done,
            attempt: row.attempt.0,
            rank: row.rank.map(|rank| rank.0),
            node: &row.node,
            ran_ms: row.ran_ms,
            left_ms: row.left_ms,
            started: line.now.rfc3339_ago(row.ran_ms),
            predicted_end: line.now.rfc3339_ahead(row.left_ms),
        }
    }
}

/// A job's number or uuid.
fn which(given: &str) -> Result<WhichJob, Failed> {
    match (given.parse(), JobUuid::parse(given)) {
        (Ok(id), _) => Ok(WhichJob::Id(id)),
        (_, Some(uuid)) => Ok(WhichJob::Uuid(uuid)),
        _ => Err(Failed::Usage(format!("{} is neither a job's number nor a uuid", shown(given)))),
    }
}

pub(super) fn run(cli: &Cli, job: Option<&str>, said: &mut Said<'_>) -> Result<u8, Failed> {
    let names = cli.list.output.as_deref().unwrap_or(if cli.long { LONG } else { USUAL });
    let columns = choose(COLUMNS, names)?;
    let states = match cli.states.as_deref() {
        None | Some("all") => None,
        Some(given) => Some(filter::words(given, "subtask", &STATES)?),
    };
    let one = job.map(which).transpose()?;
    let wanted = Wanted::of(cli, None)?;
    watch::show(&cli.list, said, |said| {
        let mut asker = cli.sched.dial()?;
        let mut status = 0;
        let jobs: Vec<(String, WhichJob)> = match (one, job) {
            (Some(which), Some(job)) => vec![(job.to_owned(), which)],
            _ => {
                let (rows, absent) = wanted.ask(&mut asker)?;
                absent.iter().try_for_each(|id| said.complain(&format!("there is no job {id}")))?;
                status = if absent.is_empty() { 0 } else { NOT_ALL };
                rows.iter().map(|row| (row.id.to_string(), WhichJob::Id(row.id))).collect()
            }
        };
        let mut lines = Vec::new();
        for (job, which) in jobs {
            let rows = match asker.subtasks(which) {
                // It was never there, or has been forgotten since it was listed.
                Err(ClusterError::Refused { text, .. }) => {
                    said.complain(&text)?;
                    status = NOT_ALL;
                    continue;
                }
                rows => rows?,
            };
            let now = Now::here();
            let is_wanted =
                |row: &SubtaskRow| states.as_ref().is_none_or(|states| states.contains(&row.state));
            let rows = rows.into_iter().filter(is_wanted);
            lines.extend(rows.map(|row| Line { job: job.clone(), row, now: now.clone() }));
        }
        if cli.list.json {
            let subtasks = lines.iter().map(Subtask::of).collect();
            return Ok((document(&Document { v: 1, subtasks })?, status));
        }
        let mut text = table::draw(&columns, &lines, !cli.list.noheader);
        if !cli.list.noheader {
            let count = |word: &'static str| (lines.iter().filter(|l| l.row.state == word).count(), word);
            text += &format!("{}\n", sum("subtask", lines.len(), &STATES.map(count)));
        }
        Ok((text, status))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::{Attempt, Rank, SubtaskId};

    #[test]
    fn the_usual_columns() {
        let row = SubtaskRow {
            subtask: SubtaskId(4),
            state: "computed".to_owned(),
            cells: 700,
            cells_done: 700,
            attempt: Attempt(2),
            rank: Some(Rank(1)),
            node: "n2".to_owned(),
            ran_ms: None,
            left_ms: None,
        };
        let lines = [Line { job: "7".to_owned(), row, now: Now::here() }];
        let columns = choose(COLUMNS, USUAL).ok().unwrap();
        assert_eq!(
            table::draw(&columns, &lines, true),
            "JOB  SUBTASK  STATE     CELLS  DONE  ATTEMPT  RANK  NODE  STARTED  END\n  \
             7        4  computed    700   700        2     1  n2    -        -\n"
        );
        assert!(choose(COLUMNS, LONG).is_ok());
    }
}
