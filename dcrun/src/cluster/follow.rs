//! A job that runs elsewhere, followed: the scheduler's decisions in, what the user sees out. Here is the loop and what it
//! waits for; what comes in means is in `on.rs`, how a lost connection is taken up again in `again.rs`, the end in
//! `leave.rs`.

use super::again::Connection;
use super::gather::{Gathered, Nodes};
use super::reach::Reach;
use super::replica::Replica;
use super::streams::{self, Streams};
use super::{ClusterError, Target, Wire};
use crate::console;
use crate::front::Front;
use crate::input::Input;
use crate::mailbox::{LOOK_AGAIN, Mailbox};
use crate::merge::exec;
use crate::signals::Signals;
use dc_model::cluster::client::{FromClient, RecordBytes, WhichJob};
use dc_model::wire::{FromStarter, Hello, ToStarter};
use dc_model::{Attempt, Domain, JobUuid, Outcome, StopReason, SubtaskId};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

/// What other threads tell the loop.
pub enum Notice {
    /// The console.
    Console(console::Told),
    /// The streams of the nodes.
    Streams(streams::Told),
    /// Standard input was read; nothing is its end.
    Input(io::Result<Vec<u8>>),
    /// The scheduler was dialled again.
    Dialled(Box<Result<Wire, ClusterError>>),
    /// Results were brought and merged, or not.
    Gathered(Gathered),
}

/// What came of the job, in its order.
#[derive(Debug)]
pub enum Coming {
    /// A decision, with its number.
    Record(u64, RecordBytes),
    /// What a starter told, on this node.
    Report(u32, Box<FromStarter>),
}

/// How an attempt ended, as its starter told it.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Which.
    pub attempt: Attempt,
    /// How.
    pub outcome: Outcome,
    /// How long it ran, in ns.
    pub ran_ns: u64,
    /// Whether dc had signalled it before.
    pub stopped: bool,
    /// Whether the kernel killed something for want of memory meanwhile.
    pub memory_short: bool,
}

/// How the merge stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merging {
    /// Not asked for.
    No,
    /// A thread does it.
    Under,
    /// It has ended so, and the scheduler is told.
    Ended(u8),
}

/// What a follower is made of.
pub struct Parts {
    /// The user's side.
    pub front: Front,
    /// The job, as far as it is known.
    pub replica: Replica,
    /// What a starter of it is told first: for a command that merges.
    pub hello: Hello,
    /// The domain, for grids.
    pub domain: Option<Domain>,
    /// The job's number.
    pub id: u64,
    /// Where results are brought to.
    pub results_dir: PathBuf,
    /// Whether the user named that directory.
    pub named_spool: bool,
    /// Standard input, where ranks are sent it, and how much of it is kept.
    pub stdin_kept_bytes: u64,
}

/// A job that is followed.
pub struct Follower {
    pub(super) front: Front,
    pub(super) replica: Replica,
    pub(super) job: JobUuid,
    pub(super) id: u64,
    pub(super) hello: Hello,
    pub(super) domain: Option<Domain>,
    pub(super) results_dir: PathBuf,
    pub(super) named_spool: bool,

    pub(super) target: Arc<Target>,
    pub(super) connection: Connection,
    pub(super) requests: u64,
    /// The number of the last wish to follow the job.
    pub(super) attach_request: u64,
    pub(super) coming: VecDeque<Coming>,
    /// The last decision that came, and the last one on disk.
    pub(super) came_seq: u64,
    pub(super) durable_seq: u64,
    /// What starters told of attempts whose end is not decided yet.
    pub(super) ends: BTreeMap<SubtaskId, End>,
    pub(super) asked_at_ns: u64,
    /// What the job waits for, as it was told last.
    pub(super) waits: Option<String>,
    pub(super) has_launched: bool,
    /// When the first rank began that was measured, by the scheduler's clock.
    pub(super) first_began_ns: u64,
    /// When ranks are warned of the time limit.
    pub(super) warning_ns: Option<u64>,

    pub(super) reach: Arc<dyn Reach>,
    pub(super) streams: Streams,
    pub(super) input: Option<Input>,
    /// On which node each rank is that takes input.
    pub(super) takers: BTreeMap<SubtaskId, u32>,

    pub(super) mailbox: Mailbox<Notice>,
    pub(super) signals: Signals,
    pub(super) merging: Merging,
    pub(super) gathers_from: Nodes,
    /// Results were lost, and are or were computed again.
    pub(super) computes_again: bool,
    pub(super) leash: exec::Leash,
    pub(super) command_dies_ns: Option<u64>,
    pub(super) stop_reason: Option<StopReason>,
    pub(super) outputs_ended: bool,
    /// What dcrun ends with, once that is known.
    pub(super) finish: Option<Finish>,
}

/// How the following ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finish {
    /// The job has ended.
    Job(u8),
    /// The job goes on without dcrun, or nobody knows: why, and dcrun's status.
    Left(String, u8),
}

impl Follower {
    /// Puts everything together, and starts the threads.
    ///
    /// # Errors
    /// When there are no threads or descriptors to be had.
    pub fn new(
        parts: Parts,
        wire: Wire,
        target: Arc<Target>,
        reach: Arc<dyn Reach>,
        signals: Signals,
        mailbox: Mailbox<Notice>,
    ) -> io::Result<Self> {
        let Parts { front, replica, hello, domain, id, results_dir, named_spool, stdin_kept_bytes } = parts;
        let (ours, consoles) = std::os::unix::net::UnixStream::pair()?;
        front.console.attach(consoles);
        let job = front.record.uuid;
        let told = mailbox.clone();
        let streams =
            Streams::start(Arc::clone(&reach), job, ours, move |what| told.push(Notice::Streams(what)))?;
        let read = mailbox.clone();
        let told: crate::input::Told = Arc::new(move |bytes| read.push(Notice::Input(bytes)));
        Ok(Self {
            input: Input::new(&hello.streams.stdin, stdin_kept_bytes, told),
            came_seq: replica.seq(),
            durable_seq: replica.seq(),
            front,
            replica,
            job,
            id,
            hello,
            domain,
            results_dir,
            named_spool,
            target,
            connection: Connection::up(wire),
            requests: super::FIRST_REQUEST,
            attach_request: super::FIRST_REQUEST,
            coming: VecDeque::new(),
            ends: BTreeMap::new(),
            asked_at_ns: 0,
            waits: None,
            has_launched: false,
            first_began_ns: u64::MAX,
            warning_ns: None,
            reach,
            streams,
            takers: BTreeMap::new(),
            mailbox,
            signals,
            merging: Merging::No,
            gathers_from: Nodes::default(),
            computes_again: false,
            leash: exec::Leash::default(),
            command_dies_ns: None,
            stop_reason: None,
            outputs_ended: false,
            finish: None,
        })
    }

    /// Follows the job to its end.
    pub fn work(&mut self) -> Finish {
        loop {
            self.on_wire();
            self.take_coming();
            self.serve_input();
            self.on_time();
            self.flush_wire();
            if let Some(finish) = self.finish.take() {
                return finish;
            }
            self.wait();
            self.on_notices();
            while let Some(signal) = self.signals.next() {
                self.on_signal(signal);
            }
        }
    }

    /// This job, as it is named to the scheduler.
    pub(super) fn which(&self) -> WhichJob {
        WhichJob::Uuid(self.job)
    }

    /// The number of a new question.
    pub(super) fn request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// Says something to the scheduler; now, or when it can be reached again.
    pub(super) fn tell(&mut self, message: FromClient) {
        self.connection.send(message);
    }

    /// Sends ranks what they take of standard input.
    fn serve_input(&mut self) {
        let (Some(input), streams, takers) = (&mut self.input, &self.streams, &self.takers) else { return };
        input.serve(|message| {
            if let ToStarter::Input { subtask, .. } = message
                && let Some(node) = takers.get(subtask)
            {
                streams.send(*node, message);
            }
            true
        });
    }

    /// Waits for something to come in, or for the next point in time.
    pub(super) fn wait(&self) {
        let now_ns = self.front.now_ns();
        let dues = [
            self.front.pulse.due_ns(),
            self.command_dies_ns,
            self.warning_ns,
            self.connection.due_ns(now_ns),
        ];
        let due = dues.into_iter().flatten().min();
        let left_ms = due.map_or(u64::MAX, |due| due.saturating_sub(now_ns).div_ceil(1_000_000));
        let wait_ms = left_ms.min(LOOK_AGAIN.as_millis() as u64);
        let timeout = PollTimeout::from(u16::try_from(wait_ms).unwrap_or(u16::MAX));
        let mut fds = vec![
            PollFd::new(self.mailbox.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(wire) = self.connection.wire() {
            fds.push(PollFd::new(wire.as_fd(), wire.flags()));
        }
        // Interrupted or not: what has come is looked for next.
        let _ = poll(&mut fds, timeout);
    }
}
