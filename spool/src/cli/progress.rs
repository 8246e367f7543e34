//! `dcspool progress`: how far a shell kernel is. A hint; where nobody listens nothing happens.

use super::Ended;
use dc_model::exit;
use dc_spool::kernel::Kernel;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// How many of the subtask's cells are done
    #[arg(value_name = "CELLS")]
    cells: u64,
}

pub fn run(args: &Args) -> Ended {
    Kernel::from_env()?.progress(args.cells);
    Ok(exit::OK)
}
