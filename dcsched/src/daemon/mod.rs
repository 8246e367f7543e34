//! The daemon: one loop around the core of a cluster. Connections, the journal and signals come in as events, decisions
//! go out as records first and as messages then. Nothing is decided here.
//!
//! `turn` is the loop; `nodes` and `clients` take what the two kinds of processes say; `perform` does what the core asks
//! for; `journal` is the store in the core's numbers; `authority` says who may do what.

mod arrivals;
mod attach;
mod authority;
mod clients;
mod clock;
mod doors;
mod follower;
mod followers;
mod journal;
mod known;
mod links;
mod listing;
mod nodes;
mod open;
mod peers;
mod perform;
mod poller;
pub mod records;
mod reload;
mod rows;
mod settings;
mod signals;
mod submission;
mod tell;
mod turn;

pub use open::{check_config, open, replayed};
pub use settings::Settings;

pub(crate) use clock::now;
pub(crate) use poller::{Interest, Poller};
pub(crate) use signals::{Signals, Wish};

use dc_config::Config;
use dc_model::{JobUuid, SubtaskId, Tick};
use dcsched_core::cluster::{Action, Cluster, Event, JobId, NodeId};
use dcsched_store::StoreError;
use doors::Doors;
use followers::Followers;
use journal::Journal;
use known::Known;
use links::{LinkId, Links};
use nodes::NodeFacts;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use thiserror::Error;

/// What a daemon is started with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The configuration file, where one was named.
    pub config: Option<PathBuf>,
}

/// Why the daemon ends, if nobody asked it to.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Failed {
    /// It cannot begin: one line.
    #[error("{0}")]
    Begin(String),
    /// The journal has stopped: nothing is acknowledged any more.
    #[error(
        "the journal has stopped: {0}. What was acknowledged is on disk; see to the disk and start dcsched again, ranks \
         go on meanwhile"
    )]
    Journal(StoreError),
    /// The system.
    #[error("the scheduler cannot go on: {0}")]
    System(String),
}

impl Failed {
    /// The exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Begin(_) => dc_model::exit::DC_ERROR,
            Self::Journal(_) | Self::System(_) => 1,
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Journal(error)
    }
}

/// A request that the core has, and who waits for its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Asked {
    link: LinkId,
    request: u64,
}

/// An answer that waits until what it says is on disk.
#[derive(Debug)]
struct Answer {
    decision: u64,
    link: LinkId,
    kind: u8,
    body: Vec<u8>,
}

/// The daemon.
pub struct Daemon {
    options: Options,
    config: Config,
    settings: Settings,
    core: Cluster,
    journal: Journal,
    poller: Poller,
    signals: Signals,
    doors: Doors,
    links: Links,
    /// When the nodes are to be told of each other.
    peers_due: Option<u64>,
    /// The connection of each node.
    by_node: BTreeMap<NodeId, LinkId>,
    /// Nodes that wait for their number, by name.
    registering: BTreeMap<String, LinkId>,
    facts: BTreeMap<NodeId, NodeFacts>,
    /// The newest of a starter's reports that was passed on, so that none is twice.
    passed_on: BTreeMap<(JobUuid, NodeId, u64), u64>,
    known: Known,
    followers: Followers,
    /// Followers whose connections take nothing now.
    congested: BTreeSet<(LinkId, JobId)>,
    /// Followers that are to merge, when they have been told all before.
    mergers: BTreeSet<(LinkId, JobId, JobUuid)>,
    requests: BTreeMap<u64, Asked>,
    last_request: u64,
    answers: VecDeque<Answer>,
    /// The last decision that is on disk.
    durable: u64,
    /// Frames for starters that are sent together at the end of the turn.
    orders: BTreeMap<(NodeId, JobUuid), Vec<u8>>,
    /// Where a job has a starter.
    opened: BTreeMap<JobId, BTreeSet<NodeId>>,
    /// When the attempts that run were started.
    started: BTreeMap<(JobId, SubtaskId), Tick>,
    /// Jobs whose ranks were stopped by a signal: those that come later are too.
    held: BTreeSet<JobId>,
    /// Connections that have more to say than was taken in their turn.
    again: BTreeSet<LinkId>,
    /// Connections to be closed at the end of the turn, and why.
    doomed: Vec<(LinkId, Option<String>)>,
    /// Links whose submissions wait for room in the journal.
    parked: VecDeque<LinkId>,
    actions: Vec<Action>,
    lines: arrivals::Lines,
    life_due: u64,
    recheck_due: u64,
    own_uid: u32,
}

impl Daemon {
    /// Gives the core an event, and does what it asks for.
    fn step(&mut self, event: Event) -> Result<(), Failed> {
        let mut actions = std::mem::take(&mut self.actions);
        self.core.step(clock::now(), event, &mut actions);
        let done = actions.drain(..).try_for_each(|action| self.perform(action));
        self.actions = actions;
        done
    }

    /// Has a connection closed at the end of the turn.
    fn doom(&mut self, link: LinkId, why: impl Into<String>) {
        self.doomed.push((link, Some(why.into())));
    }
}
