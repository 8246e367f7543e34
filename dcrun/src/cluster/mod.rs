//! A job on a cluster: submitted to the scheduler, and followed from here. The scheduler decides, the nodes run; this
//! process keeps a copy of the job's durable state, shows it by the same code as a job of its own, and merges.

mod again;
mod bcast;
mod follow;
mod gather;
mod leave;
mod on;
mod peer;
mod reach;
mod replica;
mod streams;
mod target;

pub use dc_client::sched::{ClusterError, Target, Wire};
pub use target::find;

use crate::console::Events;
use crate::error::Error;
use crate::front::{Front, Sight, Tally};
use crate::mailbox::Mailbox;
use crate::report::Account;
use crate::request::{NewJob, Verbosity, View};
use crate::setup::{self, SetupError, Submission, Surroundings};
use crate::signals::Signals;
use crate::words;
use dc_model::cluster::client::{FromClient, ToClient, WhichJob};
use dc_model::cluster::{NodeRow, SUBMIT_BYTES_MAX, Wants};
use dc_model::{Domain, JobUuid, Topology, exit};
use dc_spool::job::JobRecord;
use dcsched_brief::{Manner, hello, spec};
use follow::{Follower, Notice, Parts};
use replica::Replica;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Numbers of questions that are waited for are below this one.
const FIRST_REQUEST: u64 = 16;
const SUBMIT: u64 = 2;
const ATTACH: u64 = 3;
/// A submission whose answer was lost is asked for again, for so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Before anything is submitted the user rather hears soon that nobody is there; one that is started again has answered by then.
const PATIENCE_BEFORE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// What dcrun was started with, for either way to a job.
pub struct Asked<'a> {
    /// Where the scheduler is.
    pub target: Target,
    /// How dcrun behaves towards its user.
    pub view: View,
    /// Where events go.
    pub events: Events,
    /// What dcrun was started in.
    pub at: &'a Surroundings,
    /// Signals to dcrun.
    pub signals: Signals,
    /// When it began.
    pub began: Instant,
}

/// A job that the scheduler has, to be followed.
struct Followed {
    record: JobRecord,
    manner: Manner,
    domain: Option<Domain>,
    id: u64,
    has_costs: bool,
    spool: Option<PathBuf>,
    /// Bytes of standard input that are kept; nothing: this process has none for the job.
    stdin_kept_bytes: Option<u64>,
}

/// Submits a job, and follows it unless the user wants to leave.
///
/// # Errors
/// When it is not taken, or cannot be followed.
pub fn submit(asked: Asked<'_>, job: &NewJob, spool: Option<&Path>) -> Result<u8, Error> {
    let (wire, nodes) = until_answered(None, PATIENCE_BEFORE, &asked, |wire| wire.nodes(&asked.signals))?;
    let mut made = setup::elsewhere(job, &asked.view, asked.at, &nodes)?;
    let wanted = &job.nodes.wants;
    bcast::hand_out(&job.nodes.bcast, &asked.at.cwd, &mut made.record, wanted, &nodes, &asked.target)?;
    if asked.view.verbosity > Verbosity::Quiet {
        made.mpi_warning.iter().for_each(|text| words::say(text));
    }
    let (question, uuid) = (submission(&made, job, &asked.view)?, made.record.uuid);
    let (wire, id) = until_answered(Some(wire), PATIENCE, &asked, |wire| submitted(wire, &question, &asked))?;
    if job.nodes.detach {
        wire.close();
        return detached(id, uuid, &made, &asked);
    }
    let (wire, answer) = until_answered(Some(wire), PATIENCE, &asked, |wire| {
        attach(wire, WhichJob::Uuid(uuid), &asked.signals)
    })?;
    let followed = Followed {
        id: answer.0,
        record: made.record,
        manner: made.manner,
        domain: made.domain,
        has_costs: made.has_costs,
        spool: spool.map(Path::to_owned),
        stdin_kept_bytes: Some(made.stdin_kept_bytes),
    };
    follow(asked, wire, followed, nodes)
}

/// Follows a job that another dcrun has submitted.
///
/// # Errors
/// When there is no such job, or it cannot be followed.
pub fn attach_to(mut asked: Asked<'_>, job: WhichJob, spool: Option<&Path>) -> Result<u8, Error> {
    let (mut wire, nodes) = until_answered(None, PATIENCE_BEFORE, &asked, |wire| wire.nodes(&asked.signals))?;
    let (id, wants, bytes) = attach(&mut wire, job, &asked.signals)?;
    let foreign = |source| ClusterError::Foreign { place: wire.place().to_owned(), source };
    let record = dc_spool::job::decode(&bytes)
        .map_err(|_| foreign(dc_model::codec::DecodeError::Impossible("job record")))?;
    let manner = Manner::decode(&wants.brief).map_err(foreign)?;
    asked.view.inherit(&record.options);
    // Nobody here knows when the time limit began to count.
    asked.view.warning = None;
    let merges_grid = record.options.merges.iter().any(|merge| merge.kind.is_grid());
    let domain = if merges_grid { setup::domain_again(&record)? } else { None };
    let has_costs = record.domain.is_some() || record.subtasks.iter().any(|subtask| subtask.cells != 1);
    let spool = spool.map(Path::to_owned);
    let followed = Followed { record, manner, domain, id, has_costs, spool, stdin_kept_bytes: None };
    follow(asked, wire, followed, nodes)
}

fn submission(made: &Submission, job: &NewJob, view: &View) -> Result<FromClient, Error> {
    let record = dc_spool::job::encode(&made.record);
    if record.len() > SUBMIT_BYTES_MAX {
        return Err(ClusterError::TooLong { bytes: record.len(), max: SUBMIT_BYTES_MAX }.into());
    }
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|e| SetupError::system("draw a key")(std::io::Error::other(e)))?;
    let wants = Wants {
        nodes: made.wants.clone(),
        time_limit_ns: view.time_limit.map(|limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)),
        detached: job.nodes.detach,
        keep: view.keep,
        brief: made.manner.encode(),
    };
    Ok(FromClient::Submit { request: SUBMIT, key, wants: Box::new(wants), record })
}

/// Asks until there is an answer, on this connection or a new one: a scheduler that is started again is back in a moment.
fn until_answered<T>(
    mut wire: Option<Wire>,
    patience: Duration,
    asked: &Asked<'_>,
    ask: impl Fn(&mut Wire) -> Result<T, ClusterError>,
) -> Result<(Wire, T), ClusterError> {
    let began = Instant::now();
    let mut first = None;
    loop {
        let dialled = wire.take().map_or_else(|| Wire::dial(&asked.target), Ok);
        match dialled.and_then(|mut wire| ask(&mut wire).map(|answer| (wire, answer))) {
            Ok(all) => return Ok(all),
            Err(error) if error.may_pass() && began.elapsed() < patience => drop(first.get_or_insert(error)),
            // The first error says more.
            Err(error) => return Err(first.filter(|_| error.may_pass()).unwrap_or(error)),
        }
        if let Some(signal) = asked.signals.next() {
            return Err(ClusterError::Signal(signal));
        }
        std::thread::park_timeout(PAUSE);
    }
}

/// The key of a submission makes it one job, however often it is asked for.
fn submitted(wire: &mut Wire, question: &FromClient, asked: &Asked<'_>) -> Result<u64, ClusterError> {
    match wire.ask(question, SUBMIT, &asked.signals)? {
        ToClient::Accepted { id, .. } => Ok(id),
        _ => Err(ClusterError::Silent { place: wire.place().to_owned() }),
    }
}

/// The job's number, what it asked for, and its record.
fn attach(wire: &mut Wire, job: WhichJob, signals: &Signals) -> Result<(u64, Wants, Vec<u8>), ClusterError> {
    match wire.ask(&FromClient::Attach { request: ATTACH, job, after: 0 }, ATTACH, signals)? {
        ToClient::Attached { request, id, wants, record, seq, state } => {
            let (all, again) = ((id, (*wants).clone(), record), Vec::new());
            // What it says of the state is for the follower.
            wire.put_back(ToClient::Attached { request, id, wants, record: again, seq, state });
            Ok(all)
        }
        _ => Err(ClusterError::Silent { place: wire.place().to_owned() }),
    }
}

fn detached(id: u64, uuid: JobUuid, made: &Submission, asked: &Asked<'_>) -> Result<u8, Error> {
    if asked.view.verbosity > Verbosity::Quiet {
        let merges = if made.record.options.merges.is_empty() { "" } else { ", and merges its results" };
        words::say(&format!("job {id} ({uuid}) is the scheduler's: dcrun --attach {id} follows it{merges}"));
    }
    match crate::console::write_stdout(format!("{id}\n").as_bytes()) {
        Ok(()) => Ok(exit::OK),
        Err(e) => Err(SetupError::system("write standard output")(e).into()),
    }
}

fn follow(asked: Asked<'_>, wire: Wire, job: Followed, nodes: Vec<NodeRow>) -> Result<u8, Error> {
    let Asked { target, view, events, at, signals, began } = asked;
    let Followed { record, manner, domain, id, has_costs, spool, stdin_kept_bytes } = job;
    let named_spool = spool.is_some();
    let results_dir = match spool {
        Some(directory) => at.cwd.join(directory),
        None => {
            setup::default_directory(&record.name, record.uuid, |name| at.var(name).map(OsStr::to_owned))?
        }
    };
    // Where ranks run is the scheduler's to know; what costs and counts is the job's.
    let mut replica = Replica::new(spec(&record, Topology::uniform(1, 1, 1)));
    let cores: u32 = nodes.iter().map(|node| node.cores).fold(0, u32::saturating_add);
    replica.on_nodes(nodes);
    let mailbox: Mailbox<Notice> = Mailbox::new().map_err(SetupError::system("make a mailbox"))?;
    let told = mailbox.clone();
    let mut manner = manner;
    if stdin_kept_bytes.is_none() {
        manner.stdin = dc_model::wire::Source::Null;
    }
    let hello = hello(&record, &results_dir, &manner);
    let slots = cores.min(record.options.ranks).max(1);
    let front = Front::start(
        crate::front::Parts {
            tally: Tally::new(replica.spec(), replica.durable(), slots),
            account: Account::new(&record.subtasks),
            record,
            view,
            events,
            began,
            has_costs,
        },
        move |what| told.push(Notice::Console(what)),
    );
    let front = front.map_err(SetupError::system("begin to follow the job"))?;
    front.tell_follow(id, wire.place());
    let parts = Parts {
        front,
        replica,
        hello,
        domain,
        id,
        results_dir,
        named_spool,
        stdin_kept_bytes: stdin_kept_bytes.unwrap_or(0),
    };
    let target = Arc::new(target);
    let told = mailbox.clone();
    let relayed = move |at: &str| told.push(Notice::Streams(streams::Told::Relayed(at.to_owned())));
    let reach = peer::reach(&target, relayed)?;
    let follower = Follower::new(parts, wire, target, reach, signals, mailbox);
    let mut follower = follower.map_err(SetupError::system("begin to follow the job"))?;
    let finish = follower.work();
    Ok(follower.leave(finish))
}
