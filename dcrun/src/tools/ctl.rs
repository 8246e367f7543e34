//! `dcctl`: what an operator says to the scheduler.

use super::{Failed, NOT_ALL, Said, SchedArgs, filter};
use crate::sched::ClusterError;
use clap::{Parser, Subcommand};
use dc_model::cluster::FromClient;
use std::time::Instant;

/// Raw arguments.
#[derive(Parser, Debug)]
#[command(
    name = "dcctl",
    version,
    about = "Runs a cluster: its nodes, its configuration, and why it does what it does",
    after_help = "See dcctl(8)."
)]
pub struct Cli {
    #[command(flatten)]
    sched: SchedArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Start nothing new on nodes; what runs there goes on
    Drain {
        /// Such as n[1-4],n9
        #[arg(required = true, value_name = "NODES")]
        nodes: Vec<String>,
        /// Why, for people
        #[arg(short, long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Use nodes again that were drained
    Resume {
        /// Such as n[1-4],n9
        #[arg(required = true, value_name = "NODES")]
        nodes: Vec<String>,
    },
    /// Say why a job waits, or a node is as it is
    Explain {
        /// A job's number or uuid, or a node's name
        #[arg(required = true, value_name = "JOB|NODE")]
        what: Vec<String>,
    },
    /// Have the scheduler read dc.toml and its peers file again
    Reload,
    /// Ask whether the scheduler answers, and how soon
    Ping,
}

/// Does it; the exit status.
///
/// # Errors
/// When nothing was done.
pub fn run(cli: Cli, said: &mut Said<'_>) -> Result<u8, Failed> {
    match cli.command {
        Command::Drain { nodes, reason } => drain(&cli.sched, said, &nodes, true, reason),
        Command::Resume { nodes } => drain(&cli.sched, said, &nodes, false, String::new()),
        Command::Explain { what } => explain(&cli.sched, said, what),
        Command::Reload => {
            let answer = cli.sched.dial()?.order(|request| FromClient::Reload { request });
            tell(said, answer)
        }
        Command::Ping => {
            let mut asker = cli.sched.dial()?;
            let began = Instant::now();
            // No job has this number: the shortest answer there is.
            asker.jobs(vec![0], false)?;
            let ms = began.elapsed().as_secs_f64() * 1000.0;
            said.line(&format!("the scheduler at {} answers after {ms:.2} ms", asker.place()))?;
            Ok(0)
        }
    }
}

fn drain(
    sched: &SchedArgs,
    said: &mut Said<'_>,
    lists: &[String],
    drain: bool,
    reason: String,
) -> Result<u8, Failed> {
    let nodes = filter::hosts(lists)?;
    let answer = sched.dial()?.order(|request| FromClient::Drain { request, nodes, drain, reason });
    tell(said, answer)
}

fn explain(sched: &SchedArgs, said: &mut Said<'_>, what: Vec<String>) -> Result<u8, Failed> {
    let mut asker = sched.dial()?;
    let mut status = 0;
    for what in what {
        let answer = asker.order(|request| FromClient::Explain { request, what });
        status = status.max(tell(said, answer)?);
    }
    Ok(status)
}

/// The scheduler's words, line by line; a refusal is an error, and no more than that.
fn tell(said: &mut Said<'_>, answer: Result<String, ClusterError>) -> Result<u8, Failed> {
    match answer {
        Ok(text) => {
            text.lines().try_for_each(|line| said.line(line))?;
            Ok(0)
        }
        Err(ClusterError::Refused { text, .. }) => {
            text.lines().try_for_each(|line| said.complain(line))?;
            Ok(NOT_ALL)
        }
        Err(error) => Err(error.into()),
    }
}
