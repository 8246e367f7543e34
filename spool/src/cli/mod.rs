//! The command line of dcspool: which subcommands there are, how they end, and what their errors look like.

mod dump;
mod holdings;
mod ls;
mod place;
mod progress;
mod restore;
mod result;
mod save;
mod states;
mod verify;

use clap::{Parser, Subcommand};
use dc_model::exit;
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// Raw arguments.
#[derive(Parser, Debug)]
#[command(
    name = "dcspool",
    version,
    about = "Save and restore checkpoints and results of a kernel, and look into a job's directory",
    after_help = "See dcspool(1) and dc-spool(5)."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Write a checkpoint of this subtask from standard input
    Save(save::Args),
    /// Write the checkpoint to go on from to standard output; status 1 where there is none
    Restore(restore::Args),
    /// Say how many cells are done
    Progress(progress::Args),
    /// Hand over this subtask's result from standard input
    Result(result::Args),
    /// List what a job's directory holds
    Ls(ls::Args),
    /// Read all of a job's directory and say what is damaged
    Verify(verify::Args),
    /// Print a job's journal, one record a line
    Dump(dump::Args),
}

/// An error: one line, for people. The status is always [`exit::DC_ERROR`].
#[derive(Debug)]
pub struct CliError(String);

impl<E: std::error::Error> From<E> for CliError {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// How a subcommand ends.
type Ended = Result<u8, CliError>;

/// Reads the arguments, or ends: help and version go to standard output, errors to standard error with dc's own
/// status and words before them in place of clap's.
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

/// Runs the subcommand; gives the program's exit status.
pub fn run(cli: Cli) -> ExitCode {
    let ended = match cli.command {
        Command::Save(args) => save::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Progress(args) => progress::run(&args),
        Command::Result(args) => result::run(&args),
        Command::Ls(args) => printing(|out| ls::run(&args, out)),
        Command::Verify(args) => printing(|out| verify::run(&args, out)),
        Command::Dump(args) => printing(|out| dump::run(&args, out)),
    };
    ExitCode::from(ended.unwrap_or_else(|CliError(line)| {
        say(&line);
        exit::DC_ERROR
    }))
}

/// One line to standard error; that nobody reads it is no error of its own.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "dcspool: {line}");
}

/// For subcommands that print: a reader that went away ends them quietly, with the status of SIGPIPE.
fn printing(print: impl FnOnce(&mut dyn Write) -> Result<u8, Failed>) -> Ended {
    let mut out = BufWriter::new(io::stdout().lock());
    let ended = print(&mut out).and_then(|status| Ok(out.flush().map(|()| status)?));
    match ended {
        Ok(status) => Ok(status),
        Err(Failed::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(exit::BROKEN_PIPE),
        Err(Failed::Output(error)) => Err(CliError(format!("cannot write to standard output: {error}"))),
        Err(Failed::Own(error)) => Err(error),
    }
}

/// Why a subcommand that prints failed.
#[derive(Debug)]
enum Failed {
    /// Writing to standard output.
    Output(io::Error),
    /// Anything else.
    Own(CliError),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<CliError> for Failed {
    fn from(error: CliError) -> Self {
        Self::Own(error)
    }
}
