//! What comes in of a job that is followed: the scheduler's messages, other threads' notices, signals, points in time.

use super::again::is_about;
use super::follow::{Coming, End, Finish, Follower, Notice};
use super::replica::Ended;
use super::streams;
use crate::events::Event;
use crate::front::{Ending, Lane, Sight, Verdict, is_stopping, warning_ns};
use crate::show::{amount, failure};
use crate::signals::{Wish, stop_self};
use dc_model::cluster::client::{FromClient, ToClient};
use dc_model::cluster::{JobRow, SubtaskRow};
use dc_model::wire::{FrameBuffer, FromStarter, InputThen, ToStarter};
use dc_model::{GiveUp, Outcome, Rank, Record, StopReason, exit};
use dc_spool::job::Warning;
use nix::libc::{SIGCONT, SIGSTOP};
use nix::sys::signal::Signal;

const SIGKILL: u8 = 9;
const S: u64 = 1_000_000_000;
/// After so long without a launch the user is told what the job waits for.
const WAITS_NS: u64 = S;
/// The scheduler is asked how the job stands this often: that is a sign of life, too.
const ASK_NS: u64 = 10 * S;
/// Beyond so many subtasks it is not asked how far each is.
const ASKED_SUBTASKS_MAX: u32 = 4096;

impl Follower {
    pub(super) fn on_message(&mut self, message: ToClient) {
        if !is_about(&message, self.job) {
            return;
        }
        match message {
            ToClient::Attached { seq, state, .. } => self.on_attached(seq, &state),
            ToClient::Records { first_seq, records, durable_seq, .. } => {
                for (seq, record) in (first_seq..).zip(records) {
                    if seq > self.came_seq {
                        self.came_seq = seq;
                        self.coming.push_back(Coming::Record(seq, record));
                    }
                }
                self.durable_seq = self.durable_seq.max(durable_seq);
            }
            ToClient::Report { node, frame, .. } => {
                let mut frames = FrameBuffer::default();
                frames.push(&frame);
                if let Ok(Some((kind, body))) = frames.next_frame()
                    && let Ok(report) = FromStarter::decode(kind, body)
                {
                    let report = match report {
                        FromStarter::Numbered { report, .. } => report,
                        report => Box::new(report),
                    };
                    self.coming.push_back(Coming::Report(node, report));
                }
            }
            ToClient::Merge { .. } => {
                // What came before it may have come with it: it says what is merged.
                self.take_coming();
                self.on_merge_due();
            }
            ToClient::Ended { status, .. } => drop(self.finish.get_or_insert(Finish::Job(status))),
            ToClient::Nodes { nodes, .. } => {
                self.replica.on_nodes(nodes);
                self.share_nodes();
            }
            ToClient::Jobs { jobs, .. } => {
                jobs.iter().find(|row| row.uuid == self.job).into_iter().for_each(|row| self.on_row(row));
            }
            ToClient::Subtasks { subtasks, .. } => subtasks.iter().for_each(|row| self.on_subtask_row(row)),
            ToClient::Refused { request, text, .. } => self.on_refused(request, text),
            ToClient::Accepted { .. } | ToClient::Text { .. } => {}
        }
    }

    fn on_attached(&mut self, seq: u64, state: &[u8]) {
        if !state.is_empty() && seq > self.replica.seq() {
            // Decisions that this follower lacks are not kept one by one any more.
            self.take_coming();
            self.coming.retain(|coming| !matches!(coming, Coming::Record(of, _) if *of <= seq));
            match self.replica.take_state(state, seq) {
                Ok(()) => {
                    self.front.tally.restart(self.replica.spec(), self.replica.durable());
                    (self.came_seq, self.durable_seq) = (seq, seq);
                }
                Err(_) => self.contradict(seq),
            }
        }
    }

    /// What the scheduler does not do: to let the job be followed, or one of the other things.
    fn on_refused(&mut self, request: u64, text: String) {
        if request == self.attach_request {
            self.finish.get_or_insert(Finish::Left(text, exit::DC_ERROR));
        } else {
            self.front.say(text);
        }
    }

    fn contradict(&mut self, seq: u64) {
        let place = self.target.shown();
        let error = super::ClusterError::Contradiction { place, seq };
        self.finish.get_or_insert(Finish::Left(error.to_string(), exit::DC_ERROR));
    }

    /// How the job stands, as the scheduler's lists have it.
    fn on_row(&mut self, row: &JobRow) {
        if row.state != "waiting" || row.reason.is_empty() || self.has_launched {
            return;
        }
        if self.waits.as_ref() != Some(&row.reason) {
            self.front.say_if_not_quiet(format!("job {} waits: {}", self.id, row.reason));
            self.waits = Some(row.reason.clone());
        }
    }

    fn on_subtask_row(&mut self, row: &SubtaskRow) {
        if row.ran_ms.is_some() {
            self.replica.on_said(row.subtask, row.attempt, row.cells_done);
        }
    }

    /// Takes in, in their order, what is on disk, and what starters told of it.
    pub(super) fn take_coming(&mut self) {
        let before = self.replica.seq();
        while let Some(next) = self.coming.front() {
            if matches!(next, Coming::Record(seq, _) if *seq > self.durable_seq) {
                break;
            }
            match self.coming.pop_front() {
                Some(Coming::Record(seq, bytes)) => {
                    let record = dc_spool::journal::from_payload(bytes.kind, &bytes.payload);
                    let expected = seq == self.replica.seq() + 1;
                    let Some(record) = record.ok().filter(|_| expected) else { return self.contradict(seq) };
                    if self.on_record(&record).is_none() {
                        return self.contradict(seq);
                    }
                }
                Some(Coming::Report(node, report)) => self.on_report(node, *report),
                None => return,
            }
        }
        let seq = self.replica.seq();
        if seq > before {
            self.tell(FromClient::Window { job: self.job, seq });
        }
    }

    /// Takes a decision in; nothing: it cannot stand here.
    fn on_record(&mut self, record: &Record) -> Option<()> {
        let ended = self.replica.apply(record).ok()?;
        self.front.tally.on_record(record, self.replica.spec());
        self.on_account(record);
        self.front.tell_record(record);
        match record {
            Record::Launched { subtask, node, .. } => {
                let now_ns = self.front.now_ns();
                if !std::mem::replace(&mut self.has_launched, true) {
                    // The limit counts from here.
                    self.warning_ns =
                        warning_ns(&self.front.view).map(|after_ns| now_ns.saturating_add(after_ns));
                }
                self.front.tally.on_started(*subtask, now_ns);
                if let Some(row) = self.replica.node(*node) {
                    self.streams.node(row);
                }
            }
            Record::Done { .. } => drop(self.on_ended(ended, Outcome::Exited(0), false)),
            Record::AttemptFailed { subtask, attempt, outcome, checkpoint, advanced, retry } => {
                let memory_short = self.on_ended(ended, *outcome, false);
                let lane = ended
                    .map_or(Lane { subtask: *subtask, attempt: *attempt, rank: Rank(0), node: 0 }, |ended| {
                        ended.lane
                    });
                let verdict = Verdict {
                    lane,
                    outcome: *outcome,
                    memory_short,
                    checkpoint: *checkpoint,
                    advanced: *advanced,
                    retry: *retry,
                };
                self.front.tell_failed(&self.replica, &verdict);
            }
            Record::GivenUp { why, .. } => self.on_given_up(ended, *why),
            Record::Stopping { reason } => {
                self.stop_reason = Some(*reason);
                self.stop_command(*reason);
            }
            Record::Ended { status } => {
                self.finish.get_or_insert(Finish::Job(*status));
            }
            _ => {}
        }
        Some(())
    }

    /// Counts a record for the report. The scheduler's clock began at another time than the job, and it has other jobs'
    /// cores too: what the report is held against is told here.
    fn on_account(&mut self, record: &Record) {
        let account = &mut self.front.account;
        match record {
            Record::Measured { ended_ns, ran_ns, .. } => {
                let began_ns = self.first_began_ns.min(ended_ns.saturating_sub(*ran_ns));
                self.first_began_ns = began_ns;
                let mut record = record.clone();
                if let Record::Measured { ended_ns, .. } = &mut record {
                    *ended_ns = ended_ns.saturating_sub(began_ns);
                }
                account.on_record(&record);
            }
            Record::Epoch { .. } => {
                account.on_record(record);
                let spec = self.replica.spec();
                let cores_most = spec.needs.iter().map(|need| need.cores).max().unwrap_or(1).max(1);
                let cores = self.replica.nodes().map(|node| node.cores).fold(0, u32::saturating_add);
                let usable = cores.min(spec.ranks.saturating_mul(cores_most));
                let host = format!("{} nodes", self.replica.nodes().count());
                account.on_record(&Record::Node { host, cores, usable, predicted_ns: None });
            }
            record => account.on_record(record),
        }
    }

    /// An attempt has ended, as decided; its starter may have told more of it.
    fn on_ended(&mut self, ended: Option<Ended>, outcome: Outcome, stopped: bool) -> bool {
        let Some(Ended { lane, ran_ns }) = ended else { return false };
        self.takers.remove(&lane.subtask);
        if let Some(input) = &mut self.input {
            input.on_ended(Some(lane.subtask));
        }
        let told = self.ends.remove(&lane.subtask).filter(|end| end.attempt == lane.attempt);
        let ending = Ending {
            lane,
            outcome: told.map_or(outcome, |end| end.outcome),
            ran_ns: told.map_or(ran_ns.unwrap_or(0), |end| end.ran_ns),
            stopped: told.map_or(stopped, |end| end.stopped),
        };
        self.front.tell_ended(&self.replica, &ending);
        told.is_some_and(|end| end.memory_short)
    }

    fn on_given_up(&mut self, ended: Option<Ended>, why: GiveUp) {
        let Some(Ended { lane, .. }) = ended else { return };
        if why == GiveUp::NodeLost {
            let host = self.replica.host(lane.node).to_owned();
            self.front.say_if_not_quiet(format!(
                "rank {} (subtask {}, attempt {}) was on {host}, which is lost; it starts again elsewhere",
                lane.rank, lane.subtask, lane.attempt
            ));
        }
        if self.ends.get(&lane.subtask).is_some_and(|end| end.attempt == lane.attempt) {
            self.on_ended(ended, Outcome::Signalled(SIGKILL), true);
            return;
        }
        self.takers.remove(&lane.subtask);
        if let Some(input) = &mut self.input {
            input.on_ended(Some(lane.subtask));
        }
    }

    /// What a starter told, in its place among the decisions.
    fn on_report(&mut self, node: u32, report: FromStarter) {
        match report {
            FromStarter::Started { subtask, attempt, pid, from } => {
                let now_ns = self.front.now_ns();
                let lane = self.replica.running(subtask).map(|(lane, _)| lane);
                if let Some(lane) = lane.filter(|lane| lane.attempt == attempt) {
                    self.front.tally.on_started(subtask, now_ns);
                    self.front.tell_started(&self.replica, lane, pid, from);
                }
            }
            // One that is decided already is told of already.
            FromStarter::Ended { subtask, attempt, outcome, ran_ns, stopped, memory_short, .. }
                if self.replica.running(subtask).is_some_and(|(lane, _)| lane.attempt == attempt) =>
            {
                self.ends.insert(subtask, End { attempt, outcome, ran_ns, stopped, memory_short });
            }
            FromStarter::Rebound { subtask, rank, wanted, found } => {
                let host = self.replica.host(node).to_owned();
                self.front.say_if_not_quiet(format!(
                    "rank {rank} (subtask {subtask}) on {host} was given CPUs {wanted}, but runs on {found}: its kernel \
                     or MPI binds itself; --bind none leaves it alone"
                ));
            }
            FromStarter::Notice { text } => {
                let host = self.replica.host(node).to_owned();
                self.front.say_if_not_quiet(format!("{host}: {text}"));
            }
            FromStarter::Refused { text } => self.front.say(text),
            _ => {}
        }
    }

    pub(super) fn on_notices(&mut self) {
        let mut notices = Vec::new();
        self.mailbox.drain(&mut notices);
        for notice in notices {
            self.on_notice(notice);
        }
    }

    pub(super) fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Console(crate::console::Told::OutputEnded) => self.outputs_ended = true,
            Notice::Console(crate::console::Told::StdoutFailed(error)) => {
                let reason = self.front.on_stdout_failed(&error);
                self.stop(reason);
            }
            Notice::Streams(streams::Told::Wants { node, subtask, attempt, at, room }) => {
                let runs = self.replica.running(subtask).is_none_or(|(lane, _)| lane.attempt == attempt);
                match self.input.as_mut() {
                    _ if !runs => {}
                    Some(input) => {
                        self.takers.insert(subtask, node);
                        input.on_want(subtask, attempt, at, room);
                    }
                    // The dcrun that had it is gone.
                    None => {
                        let then = if at == 0 { InputThen::End } else { InputThen::Lost };
                        let none = ToStarter::Input { subtask, attempt, at, bytes: Vec::new(), then };
                        self.streams.send(node, &none);
                    }
                }
            }
            Notice::Streams(streams::Told::Missed(node, why)) => {
                self.front.say(format!("what ranks on {node} wrote last may be missing: {why}"));
            }
            Notice::Streams(streams::Told::Relayed(at)) => {
                self.front.tell_detail(|| {
                    format!("nodes cannot be reached from here: what they send comes by the relay at {at}")
                });
            }
            Notice::Input(read) => {
                let trouble = self.input.as_mut().and_then(|input| input.on_read(read));
                trouble.into_iter().for_each(|text| self.front.say(text));
            }
            Notice::Dialled(dialled) => self.on_dialled(*dialled),
            Notice::Gathered(gathered) => self.on_gathered(gathered),
        }
    }

    pub(super) fn on_signal(&mut self, signal: u8) {
        match self.front.on_signal(signal) {
            Wish::Tell => self.front.tell_state(&self.replica),
            Wish::Interrupt => {
                let already_stopping = self.stop_reason.is_some() || is_stopping(&self.replica);
                self.stop(StopReason::Interrupted);
                if already_stopping {
                    self.kill_now();
                }
            }
            Wish::End(signal) => self.stop(StopReason::Signal(signal)),
            Wish::KillNow => self.kill_now(),
            Wish::Pass(signal) => {
                self.front
                    .tell_detail(|| format!("signal {}: the ranks get it", failure::signal_name(signal)));
                self.signal_ranks(signal);
            }
            Wish::Hold => {
                self.signal_ranks(SIGSTOP as u8);
                self.flush_wire();
                stop_self();
                self.signal_ranks(SIGCONT as u8);
            }
        }
    }

    /// Asks the scheduler to stop the job; without one dcrun leaves.
    pub(super) fn stop(&mut self, reason: StopReason) {
        let (number, signal) = match reason {
            StopReason::TimeLimit => (1, 0),
            StopReason::Interrupted => (2, 0),
            StopReason::Signal(signal) => (3, signal),
            StopReason::BrokenPipe => (4, 0),
            StopReason::SubtaskFailed | StopReason::Error => (5, 0),
        };
        let (request, job) = (self.request(), self.which());
        self.tell(FromClient::Stop { request, job, reason: number, signal });
        if !self.is_connected() {
            self.front.say("the scheduler cannot be told now; Ctrl-C once more leaves the job to it");
        }
    }

    fn signal_ranks(&mut self, signal: u8) {
        self.front.event(|| Event::Signal { signal });
        let (request, job) = (self.request(), self.which());
        self.tell(FromClient::Signal {
            request,
            job,
            signal,
            subtask: None,
            leaders_only: false,
            wants_checkpoint: false,
        });
    }

    /// The time limit comes near.
    fn warn_ranks(&mut self) {
        self.warning_ns = None;
        let Some(warning) = self.front.view.warning.filter(|_| self.stop_reason.is_none()) else { return };
        let left = amount::duration(warning.before_ms.saturating_mul(1_000_000));
        let name = failure::signal_name(warning.signal);
        self.front
            .say_if_not_quiet(format!("the time limit is reached in {left}: the ranks get signal {name}"));
        self.front.event(|| Event::Signal { signal: warning.signal });
        let (request, job) = (self.request(), self.which());
        let Warning { signal, leaders_only, .. } = warning;
        self.tell(FromClient::Signal {
            request,
            job,
            signal,
            subtask: None,
            leaders_only,
            wants_checkpoint: true,
        });
    }

    fn kill_now(&mut self) {
        if self.leash.pid().is_some() {
            self.leash.stop(SIGKILL);
            return;
        }
        if !self.is_connected() {
            let text = format!("dcrun leaves; the job may go on: dcrun --attach {} follows it", self.id);
            self.finish.get_or_insert(Finish::Left(text, exit::SIGNAL_BASE + Signal::SIGINT as u8));
            return;
        }
        self.front.say_if_not_quiet("killing all ranks");
        self.signal_ranks(SIGKILL);
    }

    /// Stops the command that results are given to, as ranks are stopped.
    fn stop_command(&mut self, reason: StopReason) {
        let signal = match reason {
            StopReason::Interrupted => Signal::SIGINT as u8,
            StopReason::Signal(signal) => signal,
            _ => Signal::SIGTERM as u8,
        };
        if self.leash.stop(signal) {
            let grace_ns = u64::try_from(self.front.view.grace().as_nanos()).unwrap_or(u64::MAX);
            self.command_dies_ns = Some(self.front.now_ns().saturating_add(grace_ns));
        }
    }

    pub(super) fn on_time(&mut self) {
        let now_ns = self.front.now_ns();
        self.look_for_scheduler();
        if self.command_dies_ns.is_some_and(|due| now_ns >= due) {
            self.command_dies_ns = None;
            self.leash.stop(SIGKILL);
        }
        if self.warning_ns.is_some_and(|due| now_ns >= due) {
            self.warn_ranks();
        }
        self.ask_how_it_stands(now_ns);
        let due = self.front.pulse.take(now_ns);
        if due.display || due.event {
            self.front.tell_progress(&self.replica, due);
        }
    }

    /// Asks the scheduler, when it is time: while nothing runs what it waits for, later how far the subtasks are.
    fn ask_how_it_stands(&mut self, now_ns: u64) {
        let pause_ns = if self.has_launched { ASK_NS } else { WAITS_NS };
        if now_ns < self.asked_at_ns + pause_ns || !self.is_connected() {
            return;
        }
        self.asked_at_ns = now_ns;
        let (request, id) = (self.request(), self.id);
        if !self.has_launched {
            self.tell(FromClient::ListJobs { request, ids: vec![id], ended: false });
            return;
        }
        let count_max = ASKED_SUBTASKS_MAX.min(self.front.record.subtasks.len());
        self.tell(FromClient::ListSubtasks { request, job: self.which(), from: 0, count_max });
    }
}
