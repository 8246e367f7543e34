//! `dcsched relay`: moves bytes between commands and nodes that they cannot reach.

use super::Failed;
use dc_model::exit;
use dcsched::relay::{self, Options};
use std::path::PathBuf;

/// Raw arguments.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration, instead of the one that is found
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen there instead of at streams.relay of dc.toml, which commands connect to; *:PORT is every address
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

/// Runs until somebody ends it.
pub fn run(args: Args) -> Result<u8, Failed> {
    super::run::log();
    let options = Options { config: args.config, listen: args.listen };
    let failed = |failed: relay::Failed| Failed::Own(failed.to_string());
    relay::open(&options).map_err(failed)?.run().map_err(failed)?;
    Ok(exit::OK)
}
