//! `dcsched fsck`: what a state directory holds, and whether all that was acknowledged is there.

use super::{Failed, say};
use dc_model::exit;
use std::io::Write;
use std::path::PathBuf;

/// Something that was acknowledged is damaged.
const DAMAGED: u8 = 1;

/// Raw arguments.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Take away what was never acknowledged, and move damaged snapshots that are not needed aside
    #[arg(long)]
    repair: bool,
    /// The state directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Checks it; with `--repair` repairs it afterwards, and says each thing that was done.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<u8, Failed> {
    let report = dcsched_store::check(&args.dir)?;
    write!(out, "{report}")?;
    if report.damage.is_some() {
        if args.repair {
            out.flush()?;
            say("nothing was changed: what was acknowledged cannot be repaired, only restored from a copy");
        }
        return Ok(DAMAGED);
    }
    if args.repair {
        let done = dcsched_store::repair(&args.dir)?;
        for line in &done {
            writeln!(out, "{line}")?;
        }
        if done.is_empty() {
            writeln!(out, "there is nothing to repair")?;
        }
    }
    Ok(exit::OK)
}
