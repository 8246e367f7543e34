//! `dccancel`: jobs are stopped, or their ranks signalled.

use super::ask::Asker;
use super::queue::{STATES, state};
use super::{Failed, NOT_ALL, Said, SchedArgs, filter};
use crate::sched::ClusterError;
use clap::Parser;
use dc_model::cluster::JobRow;
use dc_spool::files::shown;
use std::collections::BTreeMap;

/// Raw arguments.
#[derive(Parser, Debug)]
#[command(
    name = "dccancel",
    version,
    about = "Stops jobs of a cluster, or sends signals to their ranks",
    after_help = "See dccancel(1)."
)]
pub struct Cli {
    /// Jobs, by their numbers
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
    /// Jobs of these users alone
    #[arg(short, long, value_name = "USERS")]
    user: Option<String>,
    /// Jobs of the user who asks alone
    #[arg(long)]
    me: bool,
    /// Jobs of this name alone
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    /// Jobs in these states alone: waiting, running, stopping, merging
    #[arg(short = 't', long, value_name = "STATES")]
    state: Option<String>,
    /// Send this signal to the first process of each rank, and let the jobs go on
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,
    /// With -s: to all processes of each rank
    #[arg(short, long, requires = "signal")]
    full: bool,
    #[command(flatten)]
    sched: SchedArgs,
}

/// Does it; the exit status.
///
/// # Errors
/// When nothing was done.
pub fn run(cli: Cli, said: &mut Said<'_>) -> Result<u8, Failed> {
    let numbers = cli.jobs.iter().flat_map(|list| list.split(',')).filter(|word| !word.is_empty());
    let numbers = numbers.map(filter::job).collect::<Result<Vec<u64>, _>>()?;
    let users = filter::users(cli.user.as_deref(), cli.me)?;
    let states = cli.state.as_deref().map(|given| filter::words(given, "job", &STATES)).transpose()?;
    let signal = match cli.signal.as_deref() {
        None => None,
        Some(given) => Some(
            crate::signal::parse(given)
                .ok_or_else(|| Failed::Usage(format!("-s {}: there is no such signal", shown(given))))?,
        ),
    };
    if numbers.is_empty() && users.is_none() && cli.name.is_none() && states.is_none() {
        return Err(Failed::Usage(
            "say which jobs: their numbers, or --me, -u USER, -n NAME or -t STATE (dcqueue lists them)"
                .to_owned(),
        ));
    }
    let mut asker = cli.sched.dial()?;
    let rows = asker.jobs(numbers.clone(), !numbers.is_empty())?;
    let rows: BTreeMap<u64, JobRow> = rows.into_iter().map(|row| (row.id, row)).collect();
    let is_wanted = |row: &JobRow| {
        users.as_ref().is_none_or(|users| users.contains(&row.uid))
            && cli.name.as_ref().is_none_or(|name| *name == row.name)
            && states.as_ref().is_none_or(|states| states.contains(state(row)))
    };
    let ids: Vec<u64> = if numbers.is_empty() { rows.keys().copied().collect() } else { numbers };
    let (mut is_all, mut count) = (true, 0);
    for id in ids {
        let failed = match rows.get(&id) {
            None => format!("there is no job {id}"),
            Some(row) if !is_wanted(row) => continue,
            Some(JobRow { status: Some(status), .. }) => {
                format!("job {id} has ended already, with status {status}")
            }
            Some(_) => match act(&mut asker, id, signal, !cli.full) {
                Ok(text) => {
                    said.line(&text)?;
                    count += 1;
                    continue;
                }
                Err(ClusterError::Refused { text, .. }) => format!("job {id}: {text}"),
                Err(error) => return Err(error.into()),
            },
        };
        said.complain(&failed)?;
        is_all = false;
    }
    if is_all && count == 0 {
        said.complain("no job is such: nothing was done")?;
        is_all = false;
    }
    Ok(if is_all { 0 } else { NOT_ALL })
}

fn act(asker: &mut Asker, id: u64, signal: Option<u8>, leaders_only: bool) -> Result<String, ClusterError> {
    match signal {
        None => asker.cancel(id),
        Some(signal) => asker.signal(id, signal, leaders_only),
    }
}
