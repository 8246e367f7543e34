//! `dcsched dump`: the journal, one record a line.

use super::{Failed, say};
use dc_model::exit;
use dcsched::daemon::records;
use dcsched_store::{DumpFormat, Tail};
use std::io::Write;
use std::path::PathBuf;

/// Raw arguments.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// The state directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Prints it; what comes before a damage is printed before that is told.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<u8, Failed> {
    let format = if args.json { DumpFormat::Json } else { DumpFormat::Text };
    let tail = dcsched_store::dump(&args.dir, &records::describe, format, out)??;
    if tail != Tail::Clean {
        out.flush()?;
        say(&tail.to_string());
    }
    Ok(exit::OK)
}
