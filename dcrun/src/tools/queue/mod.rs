//! `dcqueue`: the jobs, and their subtasks.

mod jobs;
mod subtasks;

pub(super) use jobs::{STATES, state};

use super::{Failed, ListArgs, Said, SchedArgs};
use clap::Parser;

/// Raw arguments.
#[derive(Parser, Debug)]
#[command(
    name = "dcqueue",
    version,
    about = "Lists the jobs of a cluster, and their subtasks",
    disable_help_flag = true,
    after_help = "See dcqueue(1)."
)]
pub struct Cli {
    /// Subtasks of this job, or of all jobs that are listed
    #[arg(short, long, value_name = "JOB", num_args = 0..=1)]
    subtasks: Option<Option<String>>,
    /// Jobs of these users alone
    #[arg(short, long, value_name = "USERS")]
    user: Option<String>,
    /// Jobs of the user who asks alone
    #[arg(long)]
    me: bool,
    /// These jobs alone, by their numbers
    #[arg(short, long, value_name = "JOBS")]
    jobs: Option<String>,
    /// Jobs of this name alone
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    /// Those in these states alone; all: those too that have ended
    #[arg(short = 't', long, value_name = "STATES")]
    states: Option<String>,
    /// Those too that have ended
    #[arg(short, long, conflicts_with = "states")]
    all: bool,
    /// More columns
    #[arg(short, long)]
    long: bool,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    sched: SchedArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Does it; the exit status.
///
/// # Errors
/// When there is nothing to show.
pub fn run(cli: Cli, said: &mut Said<'_>) -> Result<u8, Failed> {
    match &cli.subtasks {
        None => jobs::run(&cli, said),
        Some(job) => subtasks::run(&cli, job.as_deref(), said),
    }
}
