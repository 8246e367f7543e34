//! What the core asks for, done: records into the journal, messages to nodes and commands.

use super::{Daemon, Failed, clock};
use dc_model::cluster::{ClusterRecord, ToClient, ToNode};
use dc_model::wire::ToStarter;
use dc_model::{JobUuid, Record};
use dcsched_core::cluster::{Action, JobId, NodeId};
use tracing::{debug, error, info, warn};

/// Orders for one starter are sent when they are so long, in bytes.
const ORDER_BYTES: usize = 1 << 20;
/// The longest frame of an order, in bytes; longer ones no starter takes.
const FRAME_BYTES_MAX: usize = (15 << 20) - 64;
/// What a rank of a gang has in a message beside its arguments, at most, in bytes.
const MEMBER_BYTES: usize = 4096;

impl Daemon {
    /// One action.
    pub(super) fn perform(&mut self, action: Action) -> Result<(), Failed> {
        match action {
            Action::Append { seq, job_seq, record } => self.append(seq, job_seq, &record)?,
            // Once a turn, for all of it.
            Action::Sync => {}
            Action::Accepted { request, job, uuid } => {
                if let Some(asked) = self.requests.remove(&request) {
                    let message = ToClient::Accepted { request: asked.request, id: job, uuid };
                    self.send_client(asked.link, &message);
                }
            }
            Action::Refused { request, status, text } => {
                if let Some(asked) = self.requests.remove(&request) {
                    let message = ToClient::Refused { request: asked.request, status, text };
                    self.send_client(asked.link, &message);
                }
            }
            Action::Welcome { name, node } => self.welcome(&name, node),
            Action::Disconnect { node } => {
                if let Some(link) = self.by_node.get(&node).copied() {
                    self.doom(link, "its lease has ended; it is to register again");
                }
            }
            Action::Lease { node, number } => self.send_node(node, &ToNode::Lease { number }),
            Action::Open { node, job } => self.open_job(node, job),
            Action::Launch { node, job, subtask, attempt, rank, placement, before, after } => {
                let Some(brief) = self.known.brief(&self.core, job) else { return Ok(()) };
                let launch =
                    dcsched_brief::launch(&brief.record, subtask, attempt, rank, &placement, before, after);
                if let Some(launch) = launch {
                    debug!(job, %subtask, %attempt, node, "launch");
                    self.order(node, brief.record.uuid, &ToStarter::Launch(Box::new(launch)));
                }
            }
            Action::LaunchGang { node, job, attempt, members, before } => {
                let Some(brief) = self.known.brief(&self.core, job) else { return Ok(()) };
                let Some(launcher) = &brief.manner.launcher else {
                    warn!(job, "an MPI job without a launcher");
                    return Ok(());
                };
                let gang = dcsched_brief::gang(&brief.record, launcher, attempt, &members, before);
                let launches = gang.ranks.iter().flatten();
                let bytes: usize = launches
                    .map(|launch| MEMBER_BYTES + launch.args.iter().map(|arg| arg.len() + 4).sum::<usize>())
                    .sum();
                if bytes > FRAME_BYTES_MAX {
                    error!(
                        job,
                        bytes, "the ranks of an MPI job do not fit into one message: it cannot be launched"
                    );
                    return Ok(());
                }
                debug!(job, %attempt, node, ranks = gang.ranks.len(), "launch a gang");
                self.order(node, brief.record.uuid, &ToStarter::Gang(Box::new(gang)));
            }
            Action::Stop { node, job, subtask, attempt, signal } => {
                self.order(node, job, &ToStarter::Stop { subtask, attempt, signal });
            }
            Action::Acknowledge { node, job, starter, seq } => {
                self.send_node(node, &ToNode::Acknowledge { job, starter, seq });
            }
            Action::Close { node, job, remove } => {
                self.send_orders(node, job);
                if let Some(id) = self.core.job_by_uuid(job)
                    && let Some(nodes) = self.opened.get_mut(&id)
                {
                    nodes.remove(&node);
                }
                self.send_node(node, &ToNode::Close { job, remove });
            }
            Action::JobDurable { job, seq } => self.followers.on_durable(job, seq),
            Action::Merge { job } => {
                self.followers.want_merge(job);
                self.ask_to_merge(job);
            }
            Action::Ended { job, status } => self.on_job_ended(job, status),
        }
        Ok(())
    }

    fn append(&mut self, seq: u64, job_seq: u64, record: &ClusterRecord) -> Result<(), Failed> {
        match record {
            ClusterRecord::Job { job, record } => {
                let cells = |subtask: dc_model::SubtaskId| {
                    let view = self.core.job(*job);
                    view.and_then(|view| view.job()?.spec().needs.get(subtask.index()).map(|need| need.cells))
                        .unwrap_or(0)
                };
                self.known.on_record(*job, record, cells);
                self.note_running(*job, record);
                self.followers.on_record(*job, job_seq, record);
            }
            ClusterRecord::Forgotten { job } => {
                self.known.on_forgotten(*job);
                self.followers.forget_job(*job);
            }
            ClusterRecord::NodeSeen { node, name } => info!(node = name, number = node, "a new node"),
            ClusterRecord::NodeUp { node } => info!(node = self.node_name(*node), "up"),
            ClusterRecord::NodeLost { node } => {
                warn!(node = self.node_name(*node), "lost: its lease has ended, its work goes to others");
            }
            ClusterRecord::Submitted { .. }
            | ClusterRecord::LeaseTold { .. }
            | ClusterRecord::NodeDrain { .. } => {}
        }
        self.journal.append(seq, record)?;
        Ok(())
    }

    /// Since when each attempt runs: for lists.
    fn note_running(&mut self, job: JobId, record: &Record) {
        match record {
            // Started is decided only where what it restarts from was not known before.
            Record::Launched { subtask, .. } | Record::Started { subtask, .. } => {
                self.started.insert((job, *subtask), clock::now());
            }
            Record::Done { subtask, .. }
            | Record::AttemptFailed { subtask, .. }
            | Record::GivenUp { subtask, .. } => {
                self.started.remove(&(job, *subtask));
            }
            _ => {}
        }
    }

    /// A job has a starter on a node from now on.
    fn open_job(&mut self, node: NodeId, job: JobId) {
        let Some(brief) = self.known.brief(&self.core, job) else {
            error!(job, "its record cannot be read any more");
            return;
        };
        let fresh = self.known.take_fresh(job);
        let Some(view) = self.core.job(job) else { return };
        let uuid = view.uuid();
        let message = ToNode::Open {
            job: uuid,
            id: job,
            uid: view.uid(),
            record: view.record().to_vec(),
            hello: super::submission::hello_frame(&brief.record, &brief.manner, fresh),
        };
        self.send_orders(node, uuid);
        self.send_node(node, &message);
        self.opened.entry(job).or_default().insert(node);
        if self.held.contains(&job) {
            const SIGSTOP: u8 = 19;
            let hold = ToStarter::Signal { signal: SIGSTOP, leaders_only: false, wants_checkpoint: false };
            self.order(node, uuid, &hold);
        }
        // Its followers are to know the node before a decision names it.
        self.followers.nodes.insert(node);
    }

    /// A frame for a starter, together with others of this turn.
    pub(super) fn order(&mut self, node: NodeId, job: JobUuid, message: &ToStarter) {
        if !self.by_node.contains_key(&node) {
            return;
        }
        let mut frame = Vec::new();
        message.encode(&mut frame);
        if frame.len() > FRAME_BYTES_MAX {
            error!(%job, bytes = frame.len(), "an order that is too long for the wire");
            return;
        }
        let waiting = self.orders.get(&(node, job)).map_or(0, Vec::len);
        if waiting > 0 && waiting + frame.len() > ORDER_BYTES {
            self.send_orders(node, job);
        }
        self.orders.entry((node, job)).or_default().extend_from_slice(&frame);
    }

    /// Sends what waits for one starter.
    pub(super) fn send_orders(&mut self, node: NodeId, job: JobUuid) {
        if let Some(frames) = self.orders.remove(&(node, job)) {
            self.send_node(node, &ToNode::Order { job, frames });
        }
    }

    /// Sends what waits for all starters.
    pub(super) fn send_all_orders(&mut self) {
        for ((node, job), frames) in std::mem::take(&mut self.orders) {
            self.send_node(node, &ToNode::Order { job, frames });
        }
    }

    fn on_job_ended(&mut self, job: JobId, status: u8) {
        let Some(view) = self.core.job(job) else { return };
        let (uuid, subtasks) = (view.uuid(), u64::from(self.known.outline(job).subtasks));
        info!(job, status, "ended");
        self.known.on_ended(job, uuid, subtasks);
        self.held.remove(&job);
        self.opened.remove(&job);
        let range = (uuid, 0, 0)..=(uuid, NodeId::MAX, u64::MAX);
        let old: Vec<_> = self.passed_on.range(range).map(|(key, _)| *key).collect();
        for key in old {
            self.passed_on.remove(&key);
        }
        self.followers.on_ended(job, status);
    }
}
