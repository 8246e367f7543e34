//! The state machine of a cluster: which job gets which cores of which node, and what follows when nodes come, fall
//! silent and are lost. Inside a job [`crate::job::Job`] decides. `(now, event)` in, actions out; nothing but dispatch
//! stands here.
//!
//! What is decided between jobs is one of two kinds. That a job exists, that a node was seen, is up, lost or drained is
//! a record ([`durable::Durable`]). Who has which cores is not: it follows from what runs, which nodes say when
//! they register, and is decided anew after a restart.

mod allocate;
mod asleep;
mod carry;
mod cores;
mod durable;
mod event;
mod explain;
mod job;
mod lease;
mod node;
mod reconcile;
mod report;
mod room;
mod state;
mod submit;
mod view;

#[cfg(test)]
mod tests;

pub use asleep::SpecOf;
pub use durable::ReplayError;
pub use event::{Action, Event, Registration, Request, Submission};
pub use view::{JobView, NodeView};

use crate::job::JobSpec;
use dc_model::Tick;
use dc_model::cluster::{ClusterRecord, Wants};
use durable::Durable;
use job::LiveJob;
use lease::Leases;
use node::LiveNode;
use report::Acks;
use room::Room;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A job's number: for people, and in the journal. Never used again.
pub type JobId = u64;

/// A node's number: in the journal, and in a job's decisions. Never used again; 0 is no node's.
pub type NodeId = u32;

/// Times and limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// How long a node may go on without being heard, in ns.
    pub lease_ns: u64,
    /// How much slower a node's clock may run than the scheduler's, in thousandths.
    pub drift_permille: u32,
    /// Time on top of that before a lost node's work is given to others, in ns.
    pub margin_ns: u64,
    /// How long a job that is not detached waits for its command to come back, in ns.
    pub client_lost_ns: u64,
    /// Jobs that have ended and are still known, at most.
    pub ended_max: usize,
    /// How long a job that has ended is still known, in ns.
    pub ended_ns: u64,
    /// Jobs that have not ended, at most.
    pub jobs_max: usize,
    /// Jobs that begin before there are cores for them; the others wait as they were submitted.
    pub begun_ahead: usize,
}

impl Default for Config {
    fn default() -> Self {
        const SECOND: u64 = 1_000_000_000;
        Self {
            lease_ns: 60 * SECOND,
            drift_permille: 1,
            margin_ns: 2 * SECOND,
            client_lost_ns: 60 * SECOND,
            ended_max: 10_000,
            ended_ns: 3600 * SECOND,
            jobs_max: 1_000_000,
            begun_ahead: 64,
        }
    }
}

/// All jobs and all nodes.
#[derive(Debug)]
pub struct Cluster {
    config: Config,
    durable: Durable,
    /// The number of the last record.
    seq: u64,
    durable_seq: u64,
    sync_asked_seq: u64,
    /// The disk takes more than ends and cancels.
    has_space: bool,
    has_begun: bool,
    jobs: BTreeMap<JobId, LiveJob>,
    nodes: BTreeMap<NodeId, LiveNode>,
    /// Nodes with a free core that may be given.
    rooms: BTreeSet<Room>,
    leases: Leases,
    acks: Acks,
    /// Jobs that could use more cores.
    hungry: BTreeSet<JobId>,
    /// Those of them that have not begun, and are kept as bytes.
    asleep: BTreeSet<JobId>,
    spec_of: Option<SpecOf>,
    /// Cores or appetites have changed since cores were last given.
    is_dirty: bool,
    /// Nodes that may still run what was launched before the restart.
    expected: BTreeSet<NodeId>,
    /// Jobs of which attempts are not accounted for since the restart.
    uncertain: BTreeSet<JobId>,
    /// Jobs with a point in time: [`LiveJob::due`].
    due_jobs: BTreeSet<(Tick, JobId)>,
    /// Ended jobs, oldest first.
    ended: BTreeSet<(Tick, JobId)>,
    /// Accepted submissions on their way to the disk.
    submitted: VecDeque<(u64, Request, JobId)>,
    /// Jobs' decisions on their way to the disk: the journal's number, and the job's.
    pending: VecDeque<(u64, JobId, u64)>,
    /// Records on their way to the disk that say that a node is up.
    up_pending: VecDeque<(u64, NodeId)>,
    scratch: Vec<crate::job::Action>,
}

impl Cluster {
    /// Without jobs or nodes.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with(config, Durable::default())
    }

    fn with(config: Config, durable: Durable) -> Self {
        Self {
            config,
            durable,
            seq: 0,
            durable_seq: 0,
            sync_asked_seq: 0,
            has_space: true,
            has_begun: false,
            jobs: BTreeMap::new(),
            nodes: BTreeMap::new(),
            rooms: BTreeSet::new(),
            leases: Leases::default(),
            acks: Acks::default(),
            hungry: BTreeSet::new(),
            asleep: BTreeSet::new(),
            spec_of: None,
            is_dirty: false,
            expected: BTreeSet::new(),
            uncertain: BTreeSet::new(),
            due_jobs: BTreeSet::new(),
            ended: BTreeSet::new(),
            submitted: VecDeque::new(),
            pending: VecDeque::new(),
            up_pending: VecDeque::new(),
            scratch: Vec::new(),
        }
    }

    /// Takes a record of the journal in, before [`Event::Begin`]. `spec` makes what the core is told of a job.
    ///
    /// # Errors
    /// When the record cannot stand where it does, or the job it brings cannot be understood.
    pub fn replay(
        &mut self,
        record: &ClusterRecord,
        spec: impl FnOnce(&Wants, &[u8]) -> Option<JobSpec>,
    ) -> Result<(), ReplayError> {
        self.durable.update(record, spec)
    }

    /// The journal's last record: what is appended next has the number after it. All up to it is on disk.
    pub fn set_last_seq(&mut self, seq: u64) {
        (self.seq, self.durable_seq, self.sync_asked_seq) = (seq, seq, seq);
    }

    /// Takes other times and limits; they hold from now on. Another lease holds for a node once it has registered
    /// again: until then it goes by what it was told.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Takes one event in and appends what is to be done, in order. `now` only grows.
    pub fn step(&mut self, now: Tick, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Begin => self.on_begin(now, out),
            Event::Due => {}
            Event::Durable { seq } => self.on_durable(now, seq, out),
            Event::Space { there_is } => self.on_space(there_is),
            Event::Registered(registration) => self.on_registered(now, *registration, out),
            Event::Held { node, job, starter, held } => self.on_held(now, node, job, starter, held, out),
            Event::Settled { node } => self.on_settled(now, node, out),
            Event::Heard { node, number } => self.on_heard(now, node, number, out),
            Event::Gone { node } => self.on_gone(now, node, out),
            Event::Report { node, job, starter, seq, report } => {
                self.on_report(now, node, job, (starter, seq), *report, out);
            }
            Event::StarterClosed { node, job, asked } => {
                self.on_starter_closed(now, node, job, asked, out);
            }
            Event::CannotOpen { node, job } => self.on_cannot_open(now, node, job, out),
            Event::Submit { request, job } => self.on_submit(now, request, *job, out),
            Event::Followers { job, count } => self.on_followers(now, job, count),
            Event::Stop { job, reason } => {
                self.step_job(now, job, crate::job::Event::Stop { reason }, out);
            }
            Event::ResultsLost { job, subtasks } => {
                self.step_job(now, job, crate::job::Event::ResultsLost { subtasks }, out);
            }
            Event::MergeEnded { job, status } => {
                self.step_job(now, job, crate::job::Event::MergeEnded { status }, out);
            }
            Event::Drain { node, drain, reason } => self.on_drain(now, node, drain, reason, out),
        }
        if self.has_begun {
            self.on_due(now, out);
            self.want_cores(now, out);
            self.want_sync(out);
        }
    }

    /// When the next [`Event::Due`] is wanted, if nothing happens before.
    #[must_use]
    pub fn due(&self) -> Option<Tick> {
        let ended = self.ended.first().map(|(since, _)| since.saturating_add(self.config.ended_ns));
        [self.leases.due(), self.due_jobs.first().map(|(due, _)| *due), ended].into_iter().flatten().min()
    }

    /// What has become due.
    fn on_due(&mut self, now: Tick, out: &mut Vec<Action>) {
        while let Some(node) = self.leases.take_due(now) {
            self.on_lease_ended(now, node, out);
        }
        while let Some((due, job)) = self.due_jobs.first().copied() {
            if due > now {
                break;
            }
            self.due_jobs.remove(&(due, job));
            self.on_job_due(now, job, out);
        }
        self.forget_ended(now, out);
    }

    /// Makes a proposal a decision.
    fn commit(&mut self, record: ClusterRecord, out: &mut Vec<Action>) {
        let updated = self.durable.update(&record, |_, _| None);
        assert!(updated.is_ok(), "the core proposed what cannot stand: {record:?}");
        self.append(record, 0, out);
    }

    /// What is decided, on its way to the journal.
    fn append(&mut self, record: ClusterRecord, job_seq: u64, out: &mut Vec<Action>) {
        self.seq += 1;
        out.push(Action::Append { seq: self.seq, job_seq, record });
    }

    fn want_sync(&mut self, out: &mut Vec<Action>) {
        let waits = self.submitted.back().is_some_and(|(seq, ..)| *seq > self.sync_asked_seq)
            || self.acks.last_seq().is_some_and(|seq| seq > self.sync_asked_seq);
        if waits {
            self.ask_sync(out);
        }
    }

    fn ask_sync(&mut self, out: &mut Vec<Action>) {
        if self.sync_asked_seq < self.seq {
            self.sync_asked_seq = self.seq;
            out.push(Action::Sync);
        }
    }
}
