//! The command line of dcsched: which subcommands there are, how they end, and what their errors look like.

mod check_config;
mod dump;
mod fsck;
mod init;
mod place;
mod relay;
mod run;
mod token;
mod trust;

use clap::{Parser, Subcommand};
use dc_model::exit;
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Raw arguments.
#[derive(Parser, Debug)]
#[command(
    name = "dcsched",
    version,
    about = "The scheduler of a cluster: the daemon, its state directory, and who is who",
    after_help = "Without a command it is the daemon. See dcsched(8), dc.toml(5) and dc-journal(5).",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// Read dc.toml, this one or the one that is found, print what is in force, and do nothing else
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    check_config: Option<Option<PathBuf>>,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Args,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the daemon, as dcsched without a command does
    Run(run::Args),
    /// Move bytes between commands and nodes that they cannot reach, for streams.relay of dc.toml
    Relay(relay::Args),
    /// Make a state directory, a key and a peers file, for a new cluster
    Init(init::Args),
    /// Read all of a state directory and say what is damaged; status 1 where something is
    Fsck(fsck::Args),
    /// Print the journal, one record a line
    Dump(dump::Args),
    /// Trust a key: write its line into the peers file
    Trust(trust::TrustArgs),
    /// Trust a key no longer
    Untrust(trust::UntrustArgs),
    /// List whose keys are trusted
    Peers(trust::PeersArgs),
    /// Make a join token, by which a node or client comes into the peers file
    Token(token::Args),
}

/// Why a subcommand failed.
#[derive(Debug)]
enum Failed {
    /// Writing to standard output.
    Output(io::Error),
    /// Anything else: one line, for people. The status is [`exit::DC_ERROR`].
    Own(String),
    /// The daemon has ended: its status, and one line.
    Status(u8, String),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<dcsched_store::StoreError> for Failed {
    fn from(error: dcsched_store::StoreError) -> Self {
        Self::Own(error.to_string())
    }
}

macro_rules! own_errors {
    ($($error:ty),*) => {
        $(impl From<$error> for Failed {
            fn from(error: $error) -> Self {
                Self::Own(error.to_string())
            }
        })*
    };
}
own_errors!(
    dc_config::ConfigError,
    dc_link::EnrolError,
    dc_link::KeyError,
    dc_link::PeersError,
    dc_link::TokensError,
    dc_spool::files::FileError
);

/// Reads the arguments, or ends: help and version go to standard output, errors to standard error with dc's own status.
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
    let mut out = BufWriter::new(io::stdout());
    let ended = match cli.command {
        _ if cli.check_config.is_some() => {
            check_config::run(cli.check_config.flatten().or(cli.run.config).as_deref(), &mut out)
        }
        None => run::run(cli.run),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Relay(args)) => relay::run(args),
        Some(Command::Init(args)) => init::run(&args, &mut out),
        Some(Command::Fsck(args)) => fsck::run(&args, &mut out),
        Some(Command::Dump(args)) => dump::run(&args, &mut out),
        Some(Command::Trust(args)) => trust::trust(&args, &mut out),
        Some(Command::Untrust(args)) => trust::untrust(&args, &mut out),
        Some(Command::Peers(args)) => trust::peers(&args, &mut out),
        Some(Command::Token(args)) => token::run(&args, &mut out),
    };
    // What was read before an error is printed before it is told.
    let flushed = out.flush().map_err(Failed::Output);
    ExitCode::from(match ended.and_then(|status| flushed.map(|()| status)) {
        Ok(status) => status,
        // A reader that went away ends it quietly.
        Err(Failed::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => exit::BROKEN_PIPE,
        Err(Failed::Output(error)) => {
            say(&format!("cannot write to standard output: {error}"));
            exit::DC_ERROR
        }
        Err(Failed::Status(status, line)) => {
            say(&line);
            status
        }
        Err(Failed::Own(text)) => {
            // A file's mistakes are a line each.
            text.lines().for_each(say);
            exit::DC_ERROR
        }
    })
}

/// One line to standard error; that nobody reads it is no error of its own.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "dcsched: {line}");
}
