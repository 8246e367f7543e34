//! The run of a job: events in, the core's decisions out. Here is the loop, and what it waits for; what each thing that
//! comes in means is in `on.rs`, what each decision asks for in `perform.rs`; what is told of it is the front's
//! (`dcrun/src/front/mod.rs`).

pub mod journal;
mod leave;
mod measure;
mod neighbours;
mod on;
mod passing;
mod perform;
pub mod starter;
mod window;

use crate::console;
use crate::front::{Front, Here, Parts, Tally, warning_ns};
use crate::input::Input;
use crate::mailbox::{LOOK_AGAIN, Mailbox};
use crate::merge::{self, exec};
use crate::request::View;
use crate::setup::learned::Learning;
use crate::setup::plan;
use crate::setup::{Claimed, Ready};
use crate::signals::Signals;
use dc_model::wire::{FromStarter, Hello};
use dc_model::{Domain, Record, StopReason};
use dc_spool::files::Dir;
use dc_spool::progress::Slots;
use dc_spool::spool::Spool;
use dcsched_brief::GangLauncher;
use dcsched_core::job::{Action, Event, Job};
use journal::Journal;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use starter::Link;
use std::collections::{BTreeSet, VecDeque};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use window::Window;

/// What other threads tell the loop.
#[derive(Debug)]
pub enum Notice {
    /// The journal.
    Journal(journal::Told),
    /// The console.
    Console(console::Told),
    /// The merge has ended.
    Merged(Result<Vec<merge::Merged>, merge::Failed>),
    /// Standard input was read; nothing is its end.
    Input(std::io::Result<Vec<u8>>),
    /// What the starter would have told of a launch that was not made.
    Refused(Box<FromStarter>),
}

impl From<journal::Told> for Notice {
    fn from(told: journal::Told) -> Self {
        Self::Journal(told)
    }
}

/// A job that runs.
pub struct Run {
    /// The user's side.
    front: Front,
    job: Job,
    hello: Hello,
    domain: Option<Domain>,
    /// Taken when it is removed.
    spool: Option<Spool>,
    dir: Dir,
    named_spool: bool,
    stdin_missed: bool,
    /// What launches the ranks of a gang.
    launcher: Option<GangLauncher>,

    events: VecDeque<Event>,
    actions: Vec<Action>,
    records: Vec<(u64, Record)>,
    sync_now: bool,
    /// The job has succeeded, and its directory goes.
    discards: bool,
    /// The end of the attempt that was reported last, as the core decided it.
    verdict: Option<Record>,
    finish: Option<u8>,

    /// Taken when it is closed.
    journal: Option<Journal>,
    /// The journal has failed: nothing is accepted any more, the job ends when nothing runs.
    journal_failed: bool,
    exe: PathBuf,
    slots: Slots,
    link: Option<Link>,
    /// The control group that the starter has told of.
    group: Option<dcd::cgroup::group::Group>,
    messages: Vec<FromStarter>,
    mailbox: Mailbox<Notice>,
    notices: Vec<Notice>,
    signals: Signals,
    /// Starters whose output was attached, and those whose output is at its end.
    outputs: (u32, u32),

    /// Standard input, where ranks are sent it.
    input: Option<Input>,
    learning: Learning,
    predicted_ns: Option<u64>,
    window: Window,
    time_limit_ns: Option<u64>,
    /// When ranks are warned of it.
    warning_ns: Option<u64>,
    /// When the starter is killed, because it did not kill its ranks when it was told to.
    starter_dies_ns: Option<u64>,
    /// The command that results are given to, and when it is killed because it did not end when it was told to.
    leash: exec::Leash,
    command_dies_ns: Option<u64>,
    rebound: BTreeSet<u32>,
    claimed: Claimed,
    telling: neighbours::Telling,
    /// Why the job is stopped, once it is.
    stop_reason: Option<StopReason>,
}

impl Run {
    /// Puts everything together, and starts the threads.
    ///
    /// # Errors
    /// When there are no threads or descriptors to be had.
    pub fn new(
        ready: Ready,
        view: View,
        events: console::Events,
        signals: Signals,
        began: Instant,
    ) -> std::io::Result<Self> {
        let Ready {
            record,
            job,
            spool,
            writer,
            crew,
            hello,
            domain,
            named_spool,
            claimed,
            has_costs,
            learning,
            predicted_ns,
            account,
            stdin_kept_bytes,
            stdin_missed,
            launcher,
            ..
        } = ready;
        let mailbox = Mailbox::new()?;
        let told = mailbox.clone();
        let slots_at_once = plan::slots(job.spec());
        let tally = Tally::new(job.spec(), job.durable(), slots_at_once);
        let (warning_ns, time_limit) = (warning_ns(&view), view.time_limit);
        let parts = Parts { record, view, events, began, tally, account, has_costs };
        let front = Front::start(parts, move |what| told.push(Notice::Console(what)))?;
        front.console.attach(crew.output);
        let journal = Journal::start(writer, mailbox.clone())?;
        let mut link = crew.link;
        link.greet(hello.clone());
        link.flush();
        let read = mailbox.clone();
        let told = Arc::new(move |bytes| read.push(Notice::Input(bytes)));
        Ok(Self {
            input: Input::new(&hello.streams.stdin, stdin_kept_bytes, told),
            learning,
            predicted_ns,
            window: Window::new(slots_at_once, 0),
            warning_ns,
            time_limit_ns: time_limit.map(|limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)),
            front,
            job,
            hello,
            domain,
            dir: spool.dir().clone(),
            spool: Some(spool),
            named_spool,
            stdin_missed,
            launcher,
            events: VecDeque::new(),
            actions: Vec::new(),
            records: Vec::new(),
            sync_now: false,
            discards: false,
            verdict: None,
            finish: None,
            journal: Some(journal),
            journal_failed: false,
            exe: crew.exe,
            slots: crew.slots,
            link: Some(link),
            group: None,
            messages: Vec::new(),
            mailbox,
            notices: Vec::new(),
            signals,
            outputs: (1, 0),
            starter_dies_ns: None,
            leash: exec::Leash::default(),
            command_dies_ns: None,
            rebound: BTreeSet::new(),
            claimed,
            telling: neighbours::Telling::default(),
            stop_reason: None,
        })
    }

    /// Tells what is expected of the job.
    pub fn tell_plan(&self, plan: &plan::Plan) {
        self.front.tell_plan(plan, &self.job.spec().topology.host);
    }

    /// Runs the job to its end, and gives its status.
    pub fn work(&mut self) -> u8 {
        let epoch = self.job.durable().epoch + 1;
        self.front.tell_job(&self.dir.path().to_string_lossy(), epoch);
        if self.stdin_missed {
            self.front.say(
                "the job's standard input was a pipe, which is gone: who reads it finds it empty; give it again with \
                 dcrun --resume DIR < FILE",
            );
        }
        self.events.push_back(Event::Begin);
        self.events.push_back(self.node());
        loop {
            self.settle();
            if let Some(status) = self.finish {
                return status;
            }
            self.maybe_tell_neighbours();
            self.wait();
            self.on_all();
        }
    }

    /// The job, as it is shown.
    fn sight(&self) -> Here<'_> {
        Here { job: &self.job, slots: &self.slots }
    }

    /// Lets the core decide on all that has come in, then sends what follows from it, each way in one go.
    fn settle(&mut self) {
        self.decide();
        self.serve_input();
        if let Some(link) = &mut self.link {
            link.flush();
        }
        if let Some(journal) = self.journal.as_ref().filter(|_| !self.journal_failed) {
            journal.append(&mut self.records, std::mem::take(&mut self.sync_now));
        }
    }

    /// Lets the core decide on all that has come in.
    fn decide(&mut self) {
        while let Some(event) = self.events.pop_front() {
            let now = self.front.now_ns();
            tracing::debug!(now, ?event);
            let mut actions = std::mem::take(&mut self.actions);
            self.job.step(now, event, &mut actions);
            for action in actions.drain(..) {
                tracing::trace!(?action);
                self.perform(action);
            }
            self.actions = actions;
        }
        if self.journal_failed && self.finish.is_none() && self.job.all_running().is_empty() {
            // The core waits for a record to be durable that never will be.
            self.finish = Some(dc_model::exit::DC_ERROR);
        }
    }

    /// Waits for something to come in, or for the next point in time.
    fn wait(&self) {
        let dues = [
            self.time_limit_ns,
            self.warning_ns,
            self.front.pulse.due_ns(),
            self.starter_dies_ns,
            self.command_dies_ns,
        ];
        let due = dues.into_iter().flatten().min();
        let left_ms = due.map_or(u64::MAX, |due| due.saturating_sub(self.front.now_ns()).div_ceil(1_000_000));
        let wait_ms = left_ms.min(LOOK_AGAIN.as_millis() as u64);
        let timeout = PollTimeout::from(u16::try_from(wait_ms).unwrap_or(u16::MAX));
        let mut fds = [
            PollFd::new(self.mailbox.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.mailbox.as_fd(), PollFlags::POLLIN),
        ];
        let mut count = 2;
        if let Some(link) = &self.link {
            let out = if link.has_unsent() { PollFlags::POLLOUT } else { PollFlags::empty() };
            fds[2] = PollFd::new(link.as_fd(), PollFlags::POLLIN | out);
            count = 3;
        }
        // Interrupted or not: what has come is looked for next.
        let _ = poll(&mut fds[..count], timeout);
    }
}
