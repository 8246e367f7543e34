//! `dcspool ls`: what a directory holds, as a table or as JSON.

mod json;
mod table;

use super::holdings::Holdings;
use super::place::Place;
use super::states::{JobState, States};
use super::{CliError, Failed};
use dc_model::exit;
use dc_spool::job::JobRecord;
use dc_spool::journal::Found;
use dc_spool::lock::Lock;
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `ls`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// The job's directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// All that is shown.
struct Listing {
    place: Place,
    found: Found,
    holdings: Holdings,
    /// Whether a dcrun has the job now.
    held: bool,
}

/// What the job is doing, in a word.
fn state_word(states: &States, held: bool) -> &'static str {
    match (states.job, held) {
        (JobState::Ended(_), false) => "ended",
        (_, false) => "interrupted",
        (JobState::New, true) => "starting",
        (JobState::Running, true) => "running",
        (JobState::Stopping, true) => "stopping",
        (JobState::Merging, true) => "merging",
        (JobState::Merged | JobState::Ended(_), true) => "ending",
    }
}

impl Listing {
    fn job(&self) -> Result<Option<(&JobRecord, States)>, CliError> {
        let record = self.place.record()?;
        Ok(record.map(|record| (record, States::of(record, &self.found.replay.records))))
    }
}

/// Lists; status 125 when the journal could be read in part only.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<u8, Failed> {
    let place = Place::open(&args.dir)?;
    let holdings = Holdings::of(&place.dir)?;
    let listing = Listing { found: place.journal(), held: Lock::is_held(&place.dir), holdings, place };
    if args.json {
        json::print(&listing, out)?
    } else {
        table::print(&listing, out)?
    }
    match &listing.found.error {
        None => Ok(exit::OK),
        Some(error) => Err(CliError::from(error.clone()).into()),
    }
}
