//! `dcspool verify`: reads all of a directory, and prints what is damaged, one file a line.

use super::holdings::Holdings;
use super::place::{Place, PlaceKind};
use super::states::States;
use super::{CliError, Failed};
use dc_model::{Attempt, ResultMeta, SubtaskId, exit};
use dc_spool::checkpoint::Checkpoints;
use dc_spool::files::shown;
use dc_spool::job::JobRecord;
use dc_spool::journal::Tail;
use dc_spool::layout;
use dc_spool::lock::Lock;
use dc_spool::result::Results;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

/// The status when something is damaged.
const BAD: u8 = 1;

/// Arguments of `verify`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The job's directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// What was found so far.
struct Report<'a> {
    out: &'a mut dyn Write,
    good: usize,
    bad: usize,
}

impl Report<'_> {
    fn bad(&mut self, what: impl std::fmt::Display) -> io::Result<()> {
        self.bad += 1;
        writeln!(self.out, "bad: {what}")
    }

    fn note(&mut self, what: impl std::fmt::Display) -> io::Result<()> {
        writeln!(self.out, "note: {what}")
    }
}

/// Reads everything; status 0 when all is good, 1 when something is damaged.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<u8, Failed> {
    let place = Place::open(&args.dir)?;
    // Before reading: what a running dcrun is writing now must not pass for torn.
    let held = Lock::is_held(&place.dir);
    let mut report = Report { out, good: 0, bad: 0 };
    let mut committed = BTreeMap::new();
    match &place.kind {
        PlaceKind::Job(record) => {
            report.good += 1;
            committed = journal(&place, record, held, &mut report)?;
        }
        PlaceKind::Damaged(error) => {
            report.bad(error)?;
            journal_alone(&place, &mut report)?;
        }
        PlaceKind::ByHand => report.good += 1,
    }
    let holdings = Holdings::of(&place.dir)?;
    checkpoints(&place, &holdings, &mut report)?;
    results(&place, &holdings, &committed, &mut report)?;
    for name in &holdings.others {
        report.note(format_args!("{}: not a finished file of dc; passed over", shown(name)))?;
    }
    if held {
        report.note("a dcrun has this job now; what it is writing is not looked at")?;
    }
    writeln!(report.out, "{} good, {} bad", report.good, report.bad)?;
    Ok(if report.bad == 0 { exit::OK } else { BAD })
}

/// The journal of a job; gives what each done subtask left.
fn journal(
    place: &Place,
    record: &JobRecord,
    held: bool,
    report: &mut Report<'_>,
) -> io::Result<BTreeMap<SubtaskId, (Attempt, ResultMeta)>> {
    let found = place.journal();
    report.good += found.segments.len();
    match (&found.error, found.replay.tail) {
        (Some(error), _) => {
            // The segment that it is about may be among those that were read in part.
            report.good =
                report.good.saturating_sub(found.segments.len()) + good_before(&found.segments, error);
            report.bad(error)?;
        }
        (None, Tail::Torn { .. }) if !held => {
            report.good -= 1;
            let tail = found.replay.tail;
            report.bad(format_args!("{tail} when the job is gone on with"))?;
        }
        (None, _) if found.segments.is_empty() => {
            report.bad(format_args!("{} is missing", layout::journal(1)))?;
        }
        (None, _) => {}
    }
    let states = States::of(record, &found.replay.records);
    if states.strangers > 0 {
        let text =
            format!("the journal has {} records about subtasks that the job does not have", states.strangers);
        report.bad(text)?;
    }
    let done = (0..).map(SubtaskId).zip(&states.subtasks).filter_map(|(id, state)| {
        let (attempt, meta) = state.done?;
        Some((id, (attempt, meta?)))
    });
    Ok(done.collect())
}

/// How many segments come before the one that an error is about.
fn good_before(
    segments: &[dc_spool::journal::SegmentFound],
    error: &dc_spool::journal::JournalError,
) -> usize {
    use dc_spool::journal::JournalError;
    match error {
        JournalError::Corrupt { segment, .. } | JournalError::Header { segment, .. } => {
            segments.iter().filter(|found| found.epoch < *segment).count()
        }
        _ => segments.len(),
    }
}

/// The journal of a job whose record is damaged.
fn journal_alone(place: &Place, report: &mut Report<'_>) -> io::Result<()> {
    let found = place.journal();
    match &found.error {
        Some(error) => report.bad(error),
        None => {
            report.good += found.segments.len();
            Ok(())
        }
    }
}

fn checkpoints(place: &Place, holdings: &Holdings, report: &mut Report<'_>) -> Result<(), Failed> {
    let all =
        || holdings.subtasks.iter().flat_map(|(id, held)| held.checkpoints.iter().map(|(at, _)| (*id, *at)));
    if all().next().is_none() {
        return Ok(());
    }
    let open = Checkpoints::open(&place.dir, place.uuid).map_err(CliError::from)?;
    for (subtask, at) in all() {
        match open.open_verified(subtask, at) {
            Ok(_) => report.good += 1,
            // A running job prunes.
            Err(error) if error.is_not_found() => {}
            Err(error) => report.bad(error)?,
        }
    }
    Ok(())
}

fn results(
    place: &Place,
    holdings: &Holdings,
    committed: &BTreeMap<SubtaskId, (Attempt, ResultMeta)>,
    report: &mut Report<'_>,
) -> Result<(), Failed> {
    let all =
        || holdings.subtasks.iter().flat_map(|(id, held)| held.results.iter().map(|(of, _)| (*id, *of)));
    if all().next().is_some() {
        let open = Results::open(&place.dir, place.uuid).map_err(CliError::from)?;
        for (subtask, attempt) in all() {
            match open.open_verified(subtask, attempt) {
                Ok(reader) => match committed.get(&subtask) {
                    Some((of, meta)) if *of == attempt && *meta != reader.meta() => {
                        let path = shown(reader.path()).to_string();
                        report.bad(format_args!(
                            "result {path} is whole, but not the one that was committed"
                        ))?;
                    }
                    _ => report.good += 1,
                },
                Err(error) if error.is_not_found() => {}
                Err(error) => report.bad(error)?,
            }
        }
    }
    for (subtask, (attempt, _)) in committed {
        let there = holdings.subtasks.get(subtask);
        if !there.is_some_and(|held| held.results.iter().any(|(of, _)| of == attempt)) {
            let name = layout::result(*subtask, *attempt);
            report.bad(format_args!("{}/{name} is missing, though it was committed", layout::RESULT))?;
        }
    }
    Ok(())
}
