//! The small commands of a cluster: what they have in common is how they begin, end and fail.

mod ask;
pub mod cancel;

mod columns;
pub mod ctl;

mod filter;
pub mod info;
pub mod queue;

mod table;
mod times;
mod watch;

use crate::sched::ClusterError;

use clap::Parser;
use dc_model::exit;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// Something that was named is not there, or was not done; the rest was.
pub const NOT_ALL: u8 = 1;

/// Why a command failed.
#[derive(Debug)]
pub enum Failed {
    /// Writing to standard output.
    Output(io::Error),
    /// The scheduler was not reached, or does not answer.
    Cluster(ClusterError),
    /// What was asked for makes no sense: one line.
    Usage(String),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<ClusterError> for Failed {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(error)
    }
}

/// Which scheduler.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct SchedArgs {
    /// The scheduler's address, in the place of what DC_SCHED or dc.toml say
    #[arg(long, global = true, value_name = "ADDRESS")]
    sched: Option<String>,
}

/// How a list is shown.
#[derive(clap::Args, Clone, Debug)]
struct ListArgs {
    /// Columns, with commas between
    #[arg(short = 'o', long, value_name = "COLUMNS")]
    output: Option<String>,
    /// Rows alone: no header, no sum
    #[arg(short = 'h', long)]
    noheader: bool,
    /// Show it again every so many seconds, until a signal ends it
    #[arg(short = 'i', long, value_name = "SECONDS", value_parser = watch::seconds)]
    iterate: Option<std::time::Duration>,
    /// One JSON document
    #[arg(long, conflicts_with_all = ["output", "noheader"])]
    json: bool,
}

/// A command: reads its arguments, works, and ends as all of them end.
pub fn run<C: Parser>(
    name: &'static str,
    work: impl FnOnce(C, &mut Said<'_>) -> Result<u8, Failed>,
) -> ExitCode {
    let cli = match C::try_parse() {
        Ok(cli) => cli,
        Err(error) => return tell_usage(name, &error),
    };
    let mut out = BufWriter::new(io::stdout());
    let ended = work(cli, &mut Said { name, out: &mut out });
    // What was found before an error is printed before it is told.
    let flushed = out.flush().map_err(Failed::Output);
    ExitCode::from(match ended.and_then(|status| flushed.map(|()| status)) {
        Ok(status) => status,
        // A reader that went away ends it quietly.
        Err(Failed::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => exit::BROKEN_PIPE,
        Err(Failed::Output(error)) => {
            say(name, &format!("cannot write to standard output: {error}"));
            exit::DC_ERROR
        }
        Err(Failed::Cluster(error)) => {
            // A file's mistakes are a line each.
            error.to_string().lines().for_each(|line| say(name, line));
            exit::DC_ERROR
        }
        Err(Failed::Usage(text)) => {
            say(name, &text);
            exit::DC_ERROR
        }
    })
}

/// Help and version go to standard output; errors to standard error with dc's own status.
fn tell_usage(name: &str, error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::from(exit::OK);
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    text.lines().filter(|line| !line.trim().is_empty()).for_each(|line| say(name, line));
    ExitCode::from(exit::DC_ERROR)
}

/// Where a command speaks to.
pub struct Said<'a> {
    name: &'static str,
    out: &'a mut dyn Write,
}

impl Said<'_> {
    /// A line to standard output.
    fn line(&mut self, text: &str) -> Result<(), Failed> {
        Ok(writeln!(self.out, "{}", plain(text))?)
    }

    /// Text as it is to standard output, at once.
    fn text(&mut self, text: &str) -> Result<(), Failed> {
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.flush()?)
    }

    /// A line to standard error, after all that was said before.
    fn complain(&mut self, text: &str) -> Result<(), Failed> {
        self.out.flush()?;
        say(self.name, text);
        Ok(())
    }
}

/// One line to standard error; that nobody reads it is no error of its own.
fn say(name: &str, line: &str) {
    let _ = writeln!(io::stderr(), "{name}: {}", plain(line));
}

/// Text of others without anything that a terminal would obey.
fn plain(text: &str) -> String {
    // A backslash of a message that is escaped already stays one.
    text.split('\\').map(|part| dc_spool::files::shown(part).to_string()).collect::<Vec<_>>().join("\\")
}

/// A JSON document in a line.
fn document(value: &impl serde::Serialize) -> Result<String, Failed> {
    let text = serde_json::to_string(value).map_err(io::Error::from)?;
    Ok(text + "\n")
}

/// `3 nodes: 2 up, 1 lost`; states of which there are none are left out.
fn sum(what: &str, count: usize, states: &[(usize, &str)]) -> String {
    let s = if count == 1 { "" } else { "s" };
    let states = states.iter().filter(|(count, _)| *count > 0);
    let states: Vec<_> = states.map(|(count, word)| format!("{count} {word}")).collect();
    let colon = if states.is_empty() { "" } else { ": " };
    format!("{count} {what}{s}{colon}{}", states.join(", "))
}
