//! `dcsched init`: a new state directory.

use super::Failed;
use dc_model::exit;
use dc_spool::files::shown;
use std::io::Write;
use std::path::PathBuf;

/// Raw arguments.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The directory to make; one that is there must be empty
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Makes it, and says whose it is.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<u8, Failed> {
    let cluster = dcsched_store::init(&args.dir)?;
    writeln!(out, "{}: cluster {cluster}", shown(&args.dir))?;
    Ok(exit::OK)
}
