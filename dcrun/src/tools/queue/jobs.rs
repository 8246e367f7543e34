//! Jobs, one a row.

use super::super::columns::{Column, choose};
use super::super::times::{Now, span};
use super::super::{Failed, NOT_ALL, Said, document, filter, sum, table, watch};
use super::Cli;
use crate::tools::ask::Asker;
use dc_model::cluster::JobRow;
use dc_model::exit;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// All states of a job, as people see them.
pub(in crate::tools) const STATES: [&str; 8] =
    ["waiting", "running", "stopping", "merging", "completed", "failed", "cancelled", "timeout"];
/// Those of jobs that have ended.
const ENDED: [&str; 4] = ["completed", "failed", "cancelled", "timeout"];
/// SIGTERM: what a cancelled job ends with.
const CANCELLED: u8 = exit::SIGNAL_BASE + 15;

/// A job's state: how it ended, once it has.
pub(in crate::tools) fn state(row: &JobRow) -> &str {
    match row.status {
        None => &row.state,
        Some(exit::OK) => "completed",
        Some(exit::TIME_LIMIT) => "timeout",
        Some(CANCELLED) => "cancelled",
        Some(_) => "failed",
    }
}

/// A job, and what its row needs beside it.
pub(super) struct Line {
    row: JobRow,
    user: String,
    now: Now,
}

const COLUMNS: &[Column<Line>] = &[
    Column::number("id", |l| l.row.id.to_string()),
    Column::word("name", |l| l.row.name.clone()),
    Column::word("user", |l| l.user.clone()),
    Column::word("state", |l| state(&l.row).to_owned()),
    Column::number("ranks", |l| l.row.ranks.to_string()),
    Column::number("cores", |l| l.row.cores.to_string()),
    Column::number("nodes", |l| l.row.nodes.to_string()),
    Column::number("cells", |l| format!("{}/{}", l.row.cells_done, l.row.cells)),
    Column::number("subtasks", |l| format!("{}/{}", l.row.subtasks_done, l.row.subtasks)),
    Column::number("time", |l| span(l.row.ran_ms)),
    Column::word("end", |l| l.now.clock_ahead(l.row.left_ms)),
    Column::word("reason", |l| l.row.reason.clone()),
    Column::number("left", |l| span(l.row.left_ms)),
    Column::word("started", |l| l.now.clock_ago(l.row.ran_ms.filter(|_| l.row.status.is_none()))),
    Column::number("status", |l| l.row.status.map(|status| status.to_string()).unwrap_or_default()),
    Column::number("uid", |l| l.row.uid.to_string()),
    Column::word("uuid", |l| l.row.uuid.to_string()),
];
const USUAL: &str = "id,name,user,state,ranks,cores,nodes,cells,subtasks,time,end,reason";
const LONG: &str =
    "id,uuid,name,user,state,status,ranks,cores,nodes,cells,subtasks,started,time,left,end,reason";

#[derive(Serialize)]
struct Document<'a> {
    v: u32,
    jobs: Vec<Job<'a>>,
}

#[derive(Serialize)]
struct Job<'a> {
    id: u64,
    uuid: String,
    name: &'a str,
    uid: u32,
    user: &'a str,
    state: &'a str,
    reason: &'a str,
    status: Option<u8>,
    ranks: u32,
    cores: u32,
    nodes: u32,
    subtasks: u32,
    subtasks_done: u32,
    cells: u64,
    cells_done: u64,
    ran_ms: Option<u64>,
    left_ms: Option<u64>,
    predicted_end: Option<String>,
}

impl<'a> Job<'a> {
    fn of(line: &'a Line) -> Self {
        let row = &line.row;
        Self {
            id: row.id,
            uuid: row.uuid.to_string(),
            name: &row.name,
            uid: row.uid,
            user: &line.user,
            state: state(row),
            reason: &row.reason,
            status: row.status,
            ranks: row.ranks,
            cores: row.cores,
            nodes: row.nodes,
            subtasks: row.subtasks,
            subtasks_done: row.subtasks_done,
            cells: row.cells,
            cells_done: row.cells_done,
            ran_ms: row.ran_ms,
            left_ms: row.left_ms,
            predicted_end: line.now.rfc3339_ahead(row.left_ms),
        }
    }
}

/// Which jobs.
pub(super) struct Wanted<'a> {
    ids: Vec<u64>,
    users: Option<BTreeSet<u32>>,
    name: Option<&'a str>,
    states: Option<BTreeSet<String>>,
    ended: bool,
}

impl<'a> Wanted<'a> {
    pub fn of(cli: &'a Cli, states: Option<&str>) -> Result<Self, Failed> {
        let ids = cli.jobs.as_deref().map(filter::jobs).transpose()?.unwrap_or_default();
        let is_all = cli.all || states == Some("all");
        let states = match states {
            None | Some("all") => None,
            Some(given) => Some(filter::words(given, "job", &STATES)?),
        };
        let names_ended =
            states.as_ref().is_some_and(|states| ENDED.iter().any(|state| states.contains(*state)));
        Ok(Self {
            // Who names a job wants to see it.
            ended: is_all || names_ended || !ids.is_empty(),
            ids,
            users: filter::users(cli.user.as_deref(), cli.me)?,
            name: cli.name.as_deref(),
            states,
        })
    }

    /// Those there are, and the numbers of those that are not.
    pub fn ask(&self, asker: &mut Asker) -> Result<(Vec<JobRow>, Vec<u64>), Failed> {
        let mut rows = asker.jobs(self.ids.clone(), self.ended)?;
        let found: BTreeSet<u64> = rows.iter().map(|row| row.id).collect();
        let absent = self.ids.iter().copied().filter(|id| !found.contains(id)).collect();
        rows.retain(|row| {
            self.users.as_ref().is_none_or(|users| users.contains(&row.uid))
                && self.name.is_none_or(|name| name == row.name)
                && self.states.as_ref().is_none_or(|states| states.contains(state(row)))
        });
        rows.sort_by_key(|row| row.id);
        rows.dedup_by_key(|row| row.id);
        Ok((rows, absent))
    }
}

pub(super) fn run(cli: &Cli, said: &mut Said<'_>) -> Result<u8, Failed> {
    let names = cli.list.output.as_deref().unwrap_or(if cli.long { LONG } else { USUAL });
    let columns = choose(COLUMNS, names)?;
    let wanted = Wanted::of(cli, cli.states.as_deref())?;
    watch::show(&cli.list, said, |said| {
        let (rows, absent) = wanted.ask(&mut cli.sched.dial()?)?;
        absent.iter().try_for_each(|id| said.complain(&format!("there is no job {id}")))?;
        let now = Now::here();
        let mut users = BTreeMap::new();
        let lines: Vec<Line> = rows
            .into_iter()
            .map(|row| {
                let user: &String = users.entry(row.uid).or_insert_with(|| filter::user_name(row.uid));
                Line { user: user.clone(), row, now: now.clone() }
            })
            .collect();
        let status = if absent.is_empty() { 0 } else { NOT_ALL };
        if cli.list.json {
            return Ok((document(&Document { v: 1, jobs: lines.iter().map(Job::of).collect() })?, status));
        }
        let mut text = table::draw(&columns, &lines, !cli.list.noheader);
        if !cli.list.noheader {
            let count = |word: &'static str| (lines.iter().filter(|l| state(&l.row) == word).count(), word);
            text += &format!("{}\n", sum("job", lines.len(), &STATES.map(count)));
        }
        Ok((text, status))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::JobUuid;

    fn line(id: u64, status: Option<u8>) -> Line {
        let row = JobRow {
            id,
            uuid: JobUuid([7; 16]),
            name: "ocean\n".to_owned(),
            uid: 0,
            state: if status.is_some() { "ended" } else { "running" }.to_owned(),
            reason: String::new(),
            status,
            ranks: 8,
            cores: 4,
            nodes: 2,
            subtasks: 16,
            subtasks_done: 3,
            cells: 1000,
            cells_done: 250,
            ran_ms: Some(65_000),
            left_ms: None,
        };
        Line { row, user: "ann".to_owned(), now: Now::here() }
    }

    #[test]
    fn the_usual_columns() {
        let columns = choose(COLUMNS, USUAL).ok().unwrap();
        assert_eq!(
            table::draw(&columns, &[line(7, None)], true),
            "ID  NAME     USER  STATE    RANKS  CORES  NODES     CELLS  SUBTASKS  TIME  END  REASON\n \
             7  ocean\\n  ann   running      8      4      2  250/1000      3/16  1:05  -    -\n"
        );
        assert!(choose(COLUMNS, LONG).is_ok());
    }

    #[test]
    fn how_a_job_ended_is_its_state() {
        let states = [None, Some(0), Some(3), Some(143), Some(124)]
            .map(|status| state(&line(1, status).row).to_owned());
        assert_eq!(states, ["running", "completed", "failed", "cancelled", "timeout"]);
        assert!(states.iter().all(|state| STATES.contains(&state.as_str())));
    }
}
