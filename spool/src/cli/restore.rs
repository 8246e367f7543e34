//! `dcspool restore`: the checkpoint to go on from, to standard output. Nothing is written before all of it is verified.

use super::{CliError, Ended};
use dc_model::exit;
use dc_spool::checkpoint::CheckpointError;
use dc_spool::kernel::{Kernel, KernelError, STREAM_REGION};
use nix::errno::Errno;
use std::io::{self, Write};

/// There is no checkpoint: start from the beginning.
const NONE: u8 = 1;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print the checkpoint's step on standard error
    #[arg(short, long)]
    verbose: bool,
}

pub fn run(args: &Args) -> Ended {
    let Some(checkpoint) = Kernel::from_env()?.restart_point()? else { return Ok(NONE) };
    let regions = checkpoint.regions();
    if regions.len() != 1 || regions[0].id != STREAM_REGION {
        let (path, regions) = (checkpoint.path().to_owned(), regions.len());
        return Err(KernelError::NotAStream { path, regions }.into());
    }
    let mut out = io::stdout().lock();
    let copied = checkpoint.copy_to(&mut out, "standard output");
    match copied.and_then(|()| out.flush().map_err(|error| CheckpointError::output(error, "standard output")))
    {
        Ok(()) => {}
        Err(CheckpointError::File(error)) if error.errno() == Some(Errno::EPIPE) => {
            return Ok(exit::BROKEN_PIPE);
        }
        Err(error) => return Err(CliError::from(error)),
    }
    if args.verbose {
        // The bare number, for a script to take.
        let _ = writeln!(io::stderr(), "{}", checkpoint.restart().step);
    }
    Ok(exit::OK)
}
