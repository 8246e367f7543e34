//! The listing for people.

use super::super::Failed;
use super::super::holdings::Held;
use super::super::states::{JobState, State, States};
use super::{Listing, state_word};
use dc_model::SubtaskId;
use dc_spool::files::shown;
use dc_spool::job::JobRecord;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

pub(super) fn print(listing: &Listing, out: &mut dyn Write) -> Result<(), Failed> {
    let job = listing.job()?;
    match &job {
        Some((record, states)) => head(listing, record, states, out)?,
        None => writeln!(out, "by hand     {}", listing.place.uuid)?,
    }
    let others = listing.holdings.others.len();
    if others > 0 {
        let first = listing.holdings.others.first().map_or("", String::as_str);
        writeln!(out, "besides     {others} other names, such as {}", shown(first))?;
    }
    let rows = rows(listing, job.as_ref());
    if !rows.is_empty() {
        writeln!(out)?;
        columns(&rows, out)?;
    }
    Ok(())
}

fn head(listing: &Listing, record: &JobRecord, states: &States, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "job         {} {}", shown(&record.name), record.uuid)?;
    let arguments: Vec<_> = record.argv.iter().map(|arg| shown(OsStr::from_bytes(arg)).to_string()).collect();
    writeln!(out, "kernel      {}", shown(&record.kernel.path))?;
    writeln!(out, "command     {}", arguments.join(" "))?;
    writeln!(out, "directory   {}", shown(&record.cwd))?;
    if let Some(domain) = &record.domain {
        writeln!(out, "domain      {} ({} x {})", shown(&domain.file.path), domain.nx, domain.ny)?;
    }
    let word = state_word(states, listing.held);
    match states.job {
        JobState::Ended(status) => writeln!(out, "state       {word}, status {status}")?,
        _ if word == "interrupted" => {
            writeln!(out, "state       interrupted; dcrun --resume {} goes on", listing.place.shown())?;
        }
        _ => writeln!(out, "state       {word}")?,
    }
    let counts: Vec<_> = State::ALL
        .into_iter()
        .filter_map(|state| {
            let count = states.count(state);
            (count > 0).then(|| format!("{count} {}", state.word()))
        })
        .collect();
    writeln!(out, "subtasks    {}: {}", record.subtasks.len(), counts.join(", "))?;
    let replay = &listing.found.replay;
    let bytes = listing.found.segments.iter().map(|segment| segment.valid_bytes).sum();
    let (epochs, records) = (replay.epoch, replay.records.len());
    writeln!(out, "journal     {records} records in {epochs} epochs, {}", size(bytes))?;
    if listing.found.replay.tail != dc_spool::journal::Tail::Clean && !listing.held {
        writeln!(out, "            {}", replay.tail)?;
    }
    Ok(())
}

type Row = [String; 6];

const TITLES: [&str; 6] = ["SUBTASK", "NAME", "STATE", "ATTEMPT", "RESULT", "CHECKPOINTS"];

/// A row for every subtask that began, or has files.
fn rows(listing: &Listing, job: Option<&(&JobRecord, States)>) -> Vec<Row> {
    let files = &listing.holdings.subtasks;
    let nothing = Held::default();
    let Some((record, states)) = job else {
        return files
            .iter()
            .map(|(id, held)| row(*id, "-", "-", "-".to_owned(), held, held.results.last().map(|r| r.0.0)))
            .collect();
    };
    let known = states.subtasks.iter().zip(record.subtasks.iter()).enumerate();
    let mut rows: Vec<Row> = known
        .filter_map(|(index, (state, subtask))| {
            let id = SubtaskId(u32::try_from(index).ok()?);
            let held = files.get(&id);
            let began = state.attempt.0 > 0 || held.is_some();
            let name = shown(subtask.name.as_deref().unwrap_or("-")).to_string();
            let done = state.done.map(|(attempt, _)| attempt.0);
            let attempt = state.attempt.to_string();
            began.then(|| row(id, &name, state.state.word(), attempt, held.unwrap_or(&nothing), done))
        })
        .collect();
    let strangers = files.range(SubtaskId(record.subtasks.len())..);
    rows.extend(strangers.map(|(id, held)| row(*id, "-", "not of this job", "-".to_owned(), held, None)));
    rows
}

fn row(id: SubtaskId, name: &str, state: &str, attempt: String, held: &Held, done: Option<u32>) -> Row {
    let result = held.results.iter().find(|(of, _)| Some(of.0) == done);
    let checkpoints: Vec<_> =
        held.checkpoints.iter().rev().map(|(at, len)| format!("{at} ({})", size(*len))).collect();
    [
        id.to_string(),
        name.to_owned(),
        state.to_owned(),
        attempt,
        result.map_or("-".to_owned(), |(of, len)| format!("attempt {of} ({})", size(*len))),
        if checkpoints.is_empty() { "-".to_owned() } else { checkpoints.join(", ") },
    ]
}

fn columns(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    let titles = TITLES.map(str::to_owned);
    let mut widths = [0; 6];
    for row in rows.iter().chain([&titles]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in [&titles].into_iter().chain(rows) {
        let [id, name, state, attempt, result, checkpoints] = row;
        let [w_id, w_name, w_state, w_attempt, w_result, _] = widths;
        writeln!(
            out,
            "{id:>w_id$}  {name:w_name$}  {state:w_state$}  {attempt:>w_attempt$}  {result:w_result$}  {checkpoints}"
        )?;
    }
    Ok(())
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}
