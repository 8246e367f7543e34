//! dcd: one a node. It dials dcsched, tells what the node is and what runs there, has a starter for each job, and passes on
//! what dcsched and starters say to each other. One loop; what may block is done beside it. It decides nothing.
//!
//! Starters live on when it dies or is told to end, and the next dcd finds them.

mod acts;
mod backoff;
pub(crate) mod clock;
mod copies;
mod error;
mod facts;
mod job;
mod job_files;
mod lease;
mod mailbox;
mod orders;
mod reload;
mod settings;
mod state_dir;
mod streams;
mod turn;
mod uplink;
mod works;

pub use error::DaemonError;
pub(crate) use mailbox::Mailbox;
pub use settings::{PeerPort, SchedulerAt, Settings};
pub use state_dir::{StateDir, StateError};
pub(crate) use streams::PeerAsk;
pub use streams::PeerAsks;
pub use turn::Ending;

use crate::peer::copies::Copies;
use crate::privileged::Privileged;
use crate::starters::{self, ConnectError, Life};
use crate::topology::Found;
use dc_link::Name;
use dc_model::JobUuid;
use dc_model::cluster::files::JobFile;
use dc_model::wire::ToStarter;
use facts::Facts;
use job::Job;
use lease::Lease;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use streams::Streams;
use tracing::{info, warn};
use uplink::{Identities, Uplink};
use works::Works;

/// What comes to the loop from beside it.
#[derive(Debug)]
enum Answer {
    /// A job was opened, or not.
    Opened { job: JobUuid, opened: Result<u64, String> },
    /// What a starter left is gone, or not.
    Buried { job: JobUuid, did_remove: bool, buried: Result<Vec<PathBuf>, String> },
    /// A starter is reached, or not.
    Reached { job: JobUuid, reached: Result<OwnedFd, ConnectError> },
    /// Of a peer's connection.
    Peer(PeerAsk),
    /// Checkpoints of others are here, as far as there are any.
    Brought { job: JobUuid, number: u64 },
    /// A host's addresses.
    LookedUp(Result<Vec<SocketAddr>, String>),
}

/// An order to open a job.
#[derive(Debug)]
struct Open {
    uid: u32,
    record: Vec<u8>,
    hello: Box<dc_model::wire::Hello>,
    /// Files that it is to have.
    files: Vec<JobFile>,
    /// What was ordered since.
    orders: Vec<ToStarter>,
}

/// How far the talk with a scheduler is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Talk {
    /// There is none.
    Down,
    /// This node has registered.
    Registered,
    /// It is welcome.
    Welcome {
        heartbeat_ns: u64,
        next_heartbeat_ns: u64,
        /// All that it has was told.
        is_settled: bool,
        /// From then on it is settled whatever is not told yet.
        settle_by_ns: u64,
    },
}

/// The daemon.
#[derive(Debug)]
pub struct Daemon {
    settings: Settings,
    state: StateDir,
    facts: Facts,
    starter: PathBuf,
    /// What does for other users' jobs what this process may not.
    exec: Option<Privileged>,
    identities: Option<Identities>,
    uplink: Uplink,
    talk: Talk,
    lease: Lease,
    jobs: BTreeMap<JobUuid, Job>,
    /// Those to be opened when what they had here is over.
    reopen: BTreeMap<JobUuid, Open>,
    works: Works<Answer>,
    configured: Option<reload::Configured>,
    streams: Streams,
    copies: Copies,
    /// Launches that wait for checkpoints.
    waiting: copies::Waiting,
    /// Where the peer port is reached.
    address: String,
    signals: SignalFd,
    /// Starters begun by this run of dcd.
    starters: u64,
    /// Subtasks done since dcd began.
    done: u64,
    /// Those whose own words about being unreachable were said.
    last_lost: Option<String>,
}

/// The signals that dcd answers.
const SIGNALS: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

impl Daemon {
    /// Takes the state directory, and finds the starters that are there. The signals that it answers are blocked in this
    /// thread from then on: call it while there is no other.
    ///
    /// # Errors
    /// [`DaemonError`]: then nothing was changed but the count of starts.
    pub fn begin(settings: Settings, found: Found) -> Result<Self, DaemonError> {
        let os = |what| move |source: std::io::Error| DaemonError::Os { what, source };
        Name::parse(&settings.name)
            .map_err(|_| DaemonError::Name { name: settings.name.escape_debug().to_string() })?;
        let starter = match &settings.starter {
            Some(path) => path.clone(),
            None => crate::spawn::find_starter()?,
        };
        let exec = exec_of(&settings)?;
        let state = StateDir::take(&settings.state_dir, &settings.jobs_dir)?;
        let is_local = matches!(settings.scheduler, SchedulerAt::Local { .. });
        let identities = match is_local && settings.peer.is_none() {
            true => None,
            false => Some(Identities::read(&settings.key, &settings.peers)?),
        };
        let facts = Facts::look(found, state.start())?;
        let mask: SigSet = SIGNALS.into_iter().collect();
        mask.thread_block().map_err(|errno| os("block signals")(errno.into()))?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(|errno| os("take signals")(errno.into()))?;
        let incarnation = facts.incarnation();
        // Different on each node and at each start; that is all that is asked of it.
        let seed =
            settings.name.bytes().fold(incarnation.start, |seed, b| seed.rotate_left(5) ^ u64::from(b))
                ^ u64::from(std::process::id()) << 32
                ^ clock::boottime_ns();
        let uplink = Uplink::new(&settings, seed)?;
        let works = Works::new().map_err(os("make a bell"))?;
        let copies = copies::begin(&settings, &state, identities.as_ref());
        let mut daemon = Self {
            settings,
            state,
            facts,
            starter,
            exec,
            identities,
            uplink,
            talk: Talk::Down,
            lease: Lease::default(),
            jobs: BTreeMap::new(),
            reopen: BTreeMap::new(),
            works,
            configured: None,
            streams: Streams::default(),
            copies,
            waiting: copies::Waiting::default(),
            address: String::new(),
            signals,
            starters: 0,
            done: 0,
            last_lost: None,
        };
        daemon.address = daemon.open_port()?;
        daemon.find_starters()?;
        Ok(daemon)
    }

    fn find_starters(&mut self) -> Result<(), DaemonError> {
        let found = starters::find_with(self.state.jobs(), self.exec.as_ref())
            .map_err(|source| DaemonError::Jobs { path: acts::escaped(self.state.jobs()), source })?;
        let now = clock::boottime_ns();
        let mut wants = Vec::new();
        for starters::Found { job, site, life } in found {
            match life {
                Life::Absent => {}
                Life::Alive => {
                    info!(%job, "found its starter");
                    let number =
                        acts::number(&site, &self.state.words()).unwrap_or_else(|| self.next_number());
                    // Another user's checkpoints are not this process's to read.
                    if !site.is_others() {
                        self.copies.on_job(job);
                    }
                    self.jobs.insert(job, Job::found(site, number, now));
                }
                Life::Dead => {
                    warn!(%job, "its starter is dead: what it left is killed");
                    let dead = Job::dead(site, None, &mut wants);
                    self.jobs.insert(job, dead);
                    self.perform(job, &mut wants, now);
                }
            }
        }
        Ok(())
    }

    /// Rising over all starts of dcd with this state directory.
    fn next_number(&mut self) -> u64 {
        self.starters += 1;
        (self.state.start() << 20) + self.starters
    }

    /// Jobs with a starter, or about to have one.
    fn uuids(&self) -> BTreeSet<JobUuid> {
        self.jobs.keys().copied().collect()
    }
}

/// The dc-exec that is configured. A machine that is only described is for trying things out, by one user.
fn exec_of(settings: &Settings) -> Result<Option<Privileged>, DaemonError> {
    let Some(path) = &settings.exec else { return Ok(None) };
    if settings.synthetic {
        return Err(DaemonError::Exec("node.exec does not go with a described node.topology"));
    }
    if settings.shared_dir.is_some() {
        return Err(DaemonError::Exec(
            "node.exec does not go with checkpoints.keep = \"shared\": the directories there would not be the users'",
        ));
    }
    if nix::unistd::geteuid().is_root() {
        return Err(DaemonError::Exec(
            "node.exec is for a dcd that runs as a user of its own, and this one runs as root: start it as user dc, or leave node.exec out",
        ));
    }
    Ok(Some(Privileged::new(path)))
}
