//! What comes in: the starter's messages, other threads' notices, signals, points in time.

use super::starter::Closed;
use super::{Notice, Run, console, journal};
use crate::events;
use crate::front::{Ending, Here, Lane, Verdict, is_stopping};
use crate::signals::Wish;
use dc_model::wire::{FromStarter, ToStarter};
use dc_model::{CpuSet, Rank, Record, StopReason};
use dcd::process::calls::{End, affinity};
use dcsched_core::job::Event;
use nix::unistd::Pid;
use std::os::unix::ffi::OsStringExt;

const SIGKILL: u8 = 9;
/// How long the starter may take to kill everything before it is killed itself.
const KILL_PATIENCE_NS: u64 = 3_000_000_000;

impl Run {
    /// Takes in all that has come.
    pub(super) fn on_all(&mut self) {
        let mut notices = std::mem::take(&mut self.notices);
        self.mailbox.drain(&mut notices);
        for notice in notices.drain(..) {
            self.on_notice(notice);
        }
        self.notices = notices;
        while let Some(signal) = self.signals.next() {
            self.on_signal(signal);
        }
        self.on_starter();
        self.on_time();
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Journal(journal::Told::Durable { seq, sync }) => {
                self.events.push_back(Event::Durable { seq });
                if let Some(grants) = self.window.on_sync(self.front.now_ns(), sync) {
                    self.events.push_back(Event::Window { grants });
                }
            }
            Notice::Journal(journal::Told::Full(error)) => {
                self.front
                    .console
                    .say(format!("{error}; the job is stopped, and can be gone on with when there is room"));
                self.events.push_back(Event::Stop { reason: StopReason::Error });
            }
            Notice::Journal(journal::Told::Failed(error)) => {
                self.front.say(format!("the journal: {error}; the job is stopped, nothing later counts"));
                self.journal_failed = true;
                self.events.push_back(Event::Stop { reason: StopReason::Error });
            }
            Notice::Console(told) => self.on_console(told),
            Notice::Input(read) => {
                let trouble = self.input.as_mut().and_then(|input| input.on_read(read));
                trouble.into_iter().for_each(|text| self.front.say(text));
            }
            Notice::Refused(message) => self.on_message(*message),
            Notice::Merged(result) => {
                self.command_dies_ns = None;
                self.front.tell_merged(&result);
                let status = result.map_or_else(|failed| failed.status, |_| dc_model::exit::OK);
                self.events.push_back(Event::MergeEnded { status });
            }
        }
    }

    pub(super) fn on_console(&mut self, told: console::Told) {
        match told {
            console::Told::OutputEnded => self.outputs.1 += 1,
            console::Told::StdoutFailed(error) => {
                let reason = self.front.on_stdout_failed(&error);
                self.events.push_back(Event::Stop { reason });
            }
        }
    }

    fn on_signal(&mut self, signal: u8) {
        match self.front.on_signal(signal) {
            Wish::Tell => self.front.tell_state(&self.sight()),
            Wish::Interrupt => {
                let already_stopping = is_stopping(&self.sight());
                self.events.push_back(Event::Stop { reason: StopReason::Interrupted });
                if already_stopping {
                    self.kill_now();
                }
            }
            Wish::End(signal) => self.events.push_back(Event::Stop { reason: StopReason::Signal(signal) }),
            Wish::KillNow => self.kill_now(),
            Wish::Pass(signal) => self.pass_on(signal),
            Wish::Hold => self.hold(),
        }
    }

    fn kill_now(&mut self) {
        if self.leash.pid().is_some() {
            self.leash.stop(SIGKILL);
            return;
        }
        self.front.say_if_not_quiet("killing all ranks");
        if let Some(link) = &mut self.link {
            link.send(&ToStarter::KillAll);
            self.starter_dies_ns
                .get_or_insert(self.front.began.elapsed().as_nanos() as u64 + KILL_PATIENCE_NS);
        }
    }

    fn on_starter(&mut self) {
        let Some(link) = &mut self.link else { return };
        let mut messages = std::mem::take(&mut self.messages);
        let received = link.receive(&mut messages);
        for message in messages.drain(..) {
            self.on_message(message);
        }
        self.messages = messages;
        if let Err(closed) = received {
            self.on_starter_lost(closed);
        }
    }

    fn on_message(&mut self, message: FromStarter) {
        match message {
            FromStarter::Ready { pid } => {
                self.front.tell_detail(|| format!("the starter is process {pid}"));
                self.front.event(|| events::Event::Starter { pid });
            }
            FromStarter::Started { subtask, attempt, pid, from } => {
                let now_ns = self.front.now_ns();
                self.front.tally.on_started(subtask, now_ns);
                let rank = self.job.running(subtask).map_or(Rank(0), |running| running.rank);
                let lane = Lane { subtask, attempt, rank, node: 0 };
                self.front.tell_started(&self.sight(), lane, pid, from);
                self.events.push_back(Event::Started { subtask, attempt, from });
            }
            FromStarter::Ended {
                subtask,
                attempt,
                outcome,
                ran_ns,
                stopped,
                checkpoint,
                progress_cells,
                result,
                memory_short,
            } => {
                let running = self.job.running(subtask).filter(|running| running.attempt == attempt);
                let rank = running.map(|running| running.rank);
                self.verdict = None;
                self.on_input_ended(Some(subtask));
                self.measure(subtask, attempt, outcome, ran_ns, stopped);
                self.events.push_back(Event::Ended {
                    subtask,
                    attempt,
                    outcome,
                    ran_ns,
                    stopped,
                    checkpoint,
                    progress_cells,
                    result,
                });
                // Decided at once, so that what is told of it is what was decided.
                self.decide();
                let verdict = self.verdict.take();
                if let Some(rank) = rank {
                    let lane = Lane { subtask, attempt, rank, node: 0 };
                    self.front.tell_ended(&self.sight(), &Ending { lane, outcome, ran_ns, stopped });
                    // In a gang the one that failed is told of when the last one has ended.
                    if let Some(Record::AttemptFailed {
                        subtask: failed,
                        attempt,
                        outcome,
                        checkpoint,
                        advanced,
                        retry,
                    }) = verdict
                    {
                        let memory_short = memory_short && failed == subtask;
                        let rank = if failed == subtask { rank } else { self.rank_of_gang(failed) };
                        let lane = Lane { subtask: failed, attempt, rank, node: 0 };
                        let verdict = Verdict { lane, outcome, memory_short, checkpoint, advanced, retry };
                        let Self { front, job, slots, .. } = self;
                        front.tell_failed(&Here { job, slots }, &verdict);
                    }
                }
            }
            FromStarter::Rebound { subtask, rank, wanted, found } => {
                if self.rebound.insert(rank.0) {
                    let why = self.why_rebound(&wanted);
                    self.front.say_if_not_quiet(format!(
                        "rank {rank} (subtask {subtask}) was given CPUs {wanted}, but runs on {found}: {why}"
                    ));
                }
            }
            FromStarter::WantInput { subtask, attempt, at, room } => {
                let runs = self.job.running(subtask).is_some_and(|running| running.attempt == attempt);
                if let Some(input) = self.input.as_mut().filter(|_| runs) {
                    input.on_want(subtask, attempt, at, room);
                }
            }
            FromStarter::Grouped { dir } => {
                self.group = Some(dcd::cgroup::group::Group::at(std::ffi::OsString::from_vec(dir).into()));
            }
            FromStarter::Notice { text } => self.front.say_if_not_quiet(text),
            // One's own starter serves nobody else: none of these comes from it.
            FromStarter::State(_)
            | FromStarter::Numbered { .. }
            | FromStarter::OutputFrom(_)
            | FromStarter::Refused { .. } => {}
        }
    }

    /// Why a rank does not run where it was put.
    fn why_rebound(&self, wanted: &CpuSet) -> &'static str {
        match affinity(Pid::from_raw(0)) {
            Ok(allowed)
                if !wanted.is_subset(&allowed) && wanted.is_subset(&self.job.spec().topology.cpus()) =>
            {
                "the others have gone offline, or from the cpuset, since the start"
            }
            _ => "its kernel or MPI binds itself; --bind none leaves it alone",
        }
    }

    /// The starter is gone, or not to be trusted any more: whatever it ran is ended.
    fn on_starter_lost(&mut self, closed: Closed) {
        let Some(link) = self.link.take() else { return };
        let pid = link.pid();
        let end = link.bury();
        self.starter_dies_ns = None;
        self.on_input_ended(None);
        if let Err(error) = dcd::sweep::kill_descendants(self.leash.pid().as_slice()) {
            self.front.say(format!("not all processes of the job could be ended: {error}"));
        }
        // It may have died before it could tell of its group.
        self.group = None;
        if let Err(error) = dcd::sweep::kill_groups(self.front.record.uuid) {
            self.front.say(format!("not all processes of the job could be ended: {error}"));
        }
        let how = match (closed, end) {
            (Closed::Foreign(error), _) => format!("said what no starter says ({error})"),
            (Closed::Ended, Some(End::Signalled(signal))) => format!("was killed by signal {signal}"),
            (Closed::Ended, Some(End::Exited(status))) => format!("ended with status {status}"),
            (Closed::Ended, None) => "closed its socket".to_owned(),
        };
        self.front.tell_starter_lost(&self.sight(), pid, &how);
        self.measure_lost();
        self.events.push_back(Event::StarterLost);
    }

    fn on_time(&mut self) {
        let now_ns = self.front.now_ns();
        if self.time_limit_ns.is_some_and(|limit| now_ns >= limit) {
            self.time_limit_ns = None;
            self.events.push_back(Event::Stop { reason: StopReason::TimeLimit });
        }
        if self.warning_ns.is_some_and(|due| now_ns >= due) {
            self.warn_ranks();
        }
        if self.starter_dies_ns.is_some_and(|due| now_ns >= due) {
            self.starter_dies_ns = None;
            if let Some(link) = &self.link {
                link.kill();
            }
        }
        if self.command_dies_ns.is_some_and(|due| now_ns >= due) {
            self.command_dies_ns = None;
            self.leash.stop(SIGKILL);
        }
        let due = self.front.pulse.take(now_ns);
        if due.display || due.event {
            self.front.tell_progress(&self.sight(), due);
        }
    }
}
