//! The command line of dcd: which commands there are, how they end, and what their errors look like.

mod check_config;
mod doctor;
mod join;
mod keygen;
mod log;
mod node;
mod run;
mod topology;

use clap::{Parser, Subcommand};
use dc_model::exit;
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Raw arguments.
#[derive(Parser, Debug)]
#[command(
    name = "dcd",
    version,
    about = "A node of the cluster: runs what the scheduler says, and watches over it",
    after_help = "Without a command: run. See dcd(8) and dc.toml(5).",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(flatten)]
    node: node::NodeArgs,
    /// Read dc.toml, this one or the one that is found, print what this node would do, and do nothing else
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "config")]
    check_config: Option<Option<PathBuf>>,
    /// Draw this host's packages, NUMA domains, caches and cores, and do nothing else
    #[arg(long, conflicts_with = "check_config")]
    print_topology: bool,
    /// A machine to draw in the place of this one: synthetic: and hwloc's description of it
    #[arg(long, value_name = "TOPOLOGY", requires = "print_topology")]
    topology: Option<String>,
    /// Print the topology as JSON
    #[arg(long, requires = "print_topology")]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve as this node, until SIGTERM; what dcd does without a command
    Run(run::Args),
    /// Make this node's key, and print its fingerprint
    Keygen(keygen::Args),
    /// Join a cluster by a token
    Join(join::Args),
    /// Say what this host can and cannot do, and what helps
    Doctor(doctor::Args),
}

/// Why a command failed.
#[derive(Debug)]
enum Failed {
    /// Writing to standard output.
    Output(io::Error),
    /// Anything else: lines, for people. The status is always [`exit::DC_ERROR`].
    Own(String),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
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
    dcd::daemon::DaemonError,
    dcd::topology::TopologyError
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

/// Does what was asked for; gives the program's exit status. To be called while there is one thread.
pub fn run(cli: Cli) -> ExitCode {
    let mut out = BufWriter::new(io::stdout());
    let ended = match cli.command {
        Some(Command::Run(args)) => run::run(&args.node),
        Some(Command::Keygen(args)) => keygen::run(&args, &mut out),
        Some(Command::Join(args)) => join::run(&args, &mut out),
        Some(Command::Doctor(args)) => doctor::run(&args, &mut out),
        None if cli.print_topology => topology::run(&cli.node, cli.topology.as_deref(), cli.json, &mut out),
        None => match cli.check_config {
            Some(named) => check_config::run(&cli.node, named, &mut out),
            None => run::run(&cli.node),
        },
    };
    // What was said before an error is printed before it is told.
    let flushed = out.flush().map_err(Failed::Output);
    ExitCode::from(match ended.and_then(|status| flushed.map(|()| status)) {
        Ok(status) => status,
        // A reader that went away ends it quietly.
        Err(Failed::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => exit::BROKEN_PIPE,
        Err(Failed::Output(error)) => {
            say(&format!("cannot write to standard output: {error}"));
            exit::DC_ERROR
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
    let _ = writeln!(io::stderr(), "dcd: {line}");
}
