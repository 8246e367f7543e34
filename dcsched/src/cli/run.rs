//! `dcsched run`, and dcsched without a command: the daemon.

use super::Failed;
use dc_model::exit;
use dcsched::daemon::{self, Options};
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

/// The variable that says what is logged.
const LOG_VARIABLE: &str = "DC_LOG";

/// Raw arguments.
#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// The configuration, instead of the one that is found
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// Runs until somebody ends it.
pub fn run(args: Args) -> Result<u8, Failed> {
    let options = Options { config: args.config };
    log();
    let failed = |failed: daemon::Failed| Failed::Status(failed.status(), failed.to_string());
    daemon::open(options).map_err(failed)?.run().map_err(failed)?;
    Ok(exit::OK)
}

/// One line for each event of interest, to standard error.
pub(super) fn log() {
    let filter = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("trace"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_ansi(false);
    // A standard error that is closed ends nothing. Only a second subscriber would be refused.
    let _ = subscriber.with_writer(std::io::stderr).log_internal_errors(false).try_init();
}
