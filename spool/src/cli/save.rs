//! `dcspool save`: a checkpoint of a shell kernel, from standard input.

use super::Ended;
use dc_model::exit;
use dc_spool::kernel::Kernel;
use std::io;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The kernel's step in it; a later checkpoint has a larger one
    #[arg(long, value_name = "N")]
    step: u64,
}

pub fn run(args: &Args) -> Ended {
    Kernel::from_env()?.checkpoint_stream(args.step, &mut io::stdin().lock(), "standard input")?;
    Ok(exit::OK)
}
