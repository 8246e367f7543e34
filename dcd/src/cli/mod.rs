//! The command line of dcd: which subcommands there are, how they end, and what their errors look like.

mod log;
mod run;

use clap::{Parser, Subcommand};
use dc_model::exit;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Raw arguments.
#[derive(Parser, Debug)]
#[command(
    name = "dcd",
    version,
    about = "The daemon of a node: runs what the scheduler says, and watches over it",
    after_help = "See dcd(8) and dc.toml(5).",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Args,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve as this node, until SIGTERM; what dcd does without a subcommand
    Run(run::Args),
}

/// Why a subcommand failed: one line, for people, and the status.
#[derive(Debug)]
struct Failed(String);

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Reads the arguments, or ends: help and version go to standard output, errors to standard error with dc's own status.
///
/// # Errors
/// The program's exit status.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    Cli::try_parse_from(args).map_err(|error| {
        if !error.use_stderr() {
            let _ = error.print();
            return ExitCode::from(exit::OK);
        }
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        text.lines().filter(|line| !line.trim().is_empty()).for_each(say);
        ExitCode::from(exit::DC_ERROR)
    })
}

/// Runs the subcommand; gives the program's exit status. To be called while there is one thread.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let ended = match cli.command {
        Some(Command::Run(args)) => run::run(&args),
        None => run::run(&cli.run),
    };
    match ended {
        Ok(status) => ExitCode::from(status),
        Err(Failed(line)) => {
            say(&line);
            ExitCode::from(exit::DC_ERROR)
        }
    }
}

/// One line to standard error; that nobody reads it is no error of its own.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "dcd: {line}");
}
