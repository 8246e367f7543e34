//! What is told of a job, in words and as events.

use super::Front;
use super::pulse::Due;
use super::sight::{Lane, Sight};
use super::tally::name_of;
use crate::events::{self, Event};
use crate::merge::{Failed, Merged};
use crate::request::Verbosity;
use crate::setup::plan::Plan;
use crate::show::amount::plural;
use crate::show::failure::{self, Failure, Then};
use crate::show::{self, amount, state};
use dc_model::{Cause, Outcome, Record, Restart, StopReason, exit};
use dcsched_core::job::{JobPhase, NextStart, is_worthwhile};

/// The end of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ending {
    /// Which.
    pub lane: Lane,
    /// How.
    pub outcome: Outcome,
    /// How long it ran, in ns.
    pub ran_ns: u64,
    /// Whether dc had signalled it before.
    pub stopped: bool,
}

/// What was decided about an attempt that failed by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Which.
    pub lane: Lane,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the kernel killed something for want of memory meanwhile.
    pub memory_short: bool,
    /// The newest checkpoint it left.
    pub checkpoint: Option<Restart>,
    /// Whether it got further than any before it.
    pub advanced: bool,
    /// Whether the subtask is tried again.
    pub retry: bool,
}

/// Why a job is stopped, as events name it.
fn word(reason: StopReason) -> &'static str {
    match reason {
        StopReason::SubtaskFailed => "subtask_failed",
        StopReason::TimeLimit => "time_limit",
        StopReason::Interrupted => "interrupted",
        StopReason::Signal(_) => "signal",
        StopReason::BrokenPipe => "broken_pipe",
        StopReason::Error => "error",
    }
}

impl Front {
    /// What is expected of the job.
    pub fn tell_plan(&self, plan: &Plan, host: &str) {
        if self.console.has_events() {
            for event in show::plan::all_events(&self.record, plan, host) {
                self.event(|| event);
            }
        }
    }

    /// The job begins, or goes on, in this directory.
    pub fn tell_job(&self, spool: &str, epoch: u64) {
        let completed = self.tally.done;
        self.tell_detail(|| {
            format!("job {} ({}), run {epoch}, in {spool}", self.record.name, self.record.uuid)
        });
        if epoch > 1 {
            let total = self.record.subtasks.len();
            self.say_if_not_quiet(format!(
                "going on with {}: {completed} of {total} subtasks are done",
                self.record.name
            ));
        }
        let uuid = self.record.uuid.to_string();
        self.event(|| Event::Job { spool, uuid: &uuid, pid: std::process::id(), epoch, completed, id: None });
    }

    /// A job is followed that a scheduler has.
    pub fn tell_follow(&self, id: u64, place: &str) {
        self.tell_detail(|| {
            format!("job {id}: {} ({}), of the scheduler at {place}", self.record.name, self.record.uuid)
        });
        let uuid = self.record.uuid.to_string();
        self.event(|| Event::Job {
            spool: "",
            uuid: &uuid,
            pid: std::process::id(),
            epoch: 1,
            completed: self.tally.done,
            id: Some(id),
        });
    }

    /// An attempt runs.
    pub fn tell_started(&self, job: &impl Sight, lane: Lane, pid: u32, from: Option<Restart>) {
        let Some((_, cpus)) = job.running(lane.subtask).filter(|(now, _)| now.attempt == lane.attempt) else {
            return;
        };
        let Lane { subtask, attempt, rank, node } = lane;
        let host = job.names_nodes().then(|| job.host(node));
        let on = || host.map(|host| format!(" on {host}")).unwrap_or_default();
        self.tell_detail(|| {
            let from = from.map(|from| format!(", from {from}")).unwrap_or_default();
            format!(
                "rank {rank}: subtask {subtask}, attempt {attempt}, runs{} as process {pid} on CPUs {cpus}{from}",
                on()
            )
        });
        if self.record.options.bind_verbose {
            let bound = match cpus.is_empty() {
                true => "not bound".to_owned(),
                false => format!("CPUs {cpus} (mask {})", cpus.mask()),
            };
            self.say_if_not_quiet(format!(
                "bind: rank {rank}, subtask {subtask}, process {pid}{}: {bound}",
                on()
            ));
        }
        self.event(|| Event::Started {
            subtask: subtask.0,
            attempt: attempt.0,
            rank: rank.0,
            pid,
            cpus: events::cpus(cpus),
            from: from.map(Into::into),
            node: host,
        });
    }

    /// An attempt has ended.
    pub fn tell_ended(&self, job: &impl Sight, ending: &Ending) {
        let Ending { lane, outcome, ran_ns, stopped } = *ending;
        let Lane { subtask, attempt, rank, node } = lane;
        self.tell_detail(|| {
            let how = if outcome.success() { "done".to_owned() } else { failure::outcome(outcome) };
            let took = amount::duration(ran_ns);
            format!("rank {rank}: subtask {subtask}, attempt {attempt}: {how} after {took}")
        });
        self.event(|| Event::Ended {
            subtask: subtask.0,
            attempt: attempt.0,
            rank: rank.0,
            status: outcome.status(),
            signal: events::signal(outcome),
            stopped,
            ran_ns,
            node: job.names_nodes().then(|| job.host(node)),
        });
    }

    /// An attempt has failed by itself, and that is decided: `job` is as it is after that.
    pub fn tell_failed(&mut self, job: &impl Sight, verdict: &Verdict) {
        let Verdict { lane, outcome, memory_short, checkpoint, advanced, retry } = *verdict;
        let Lane { subtask, attempt, rank, node } = lane;
        let (durable, spec) = (job.durable(), job.spec());
        let entry = durable.gang.as_ref().or_else(|| durable.entries.get(subtask.index()));
        let from = entry.map_or(NextStart::Beginning, dcsched_core::job::Entry::next_start);
        let then = match (retry, outcome) {
            (true, _) if is_stopping(job) => Then::Stopping,
            (true, _) => Then::Restart(from),
            (false, Outcome::NotLaunched { stage, .. }) if !stage.may_pass() => Then::CannotExecute,
            (false, _) if !is_worthwhile(outcome, advanced, spec.restart_on) => match outcome {
                Outcome::Exited(_) if spec.restart_on.has(Cause::Progress) => Then::NoAdvance,
                _ => Then::NotAsked(spec.restart_on),
            },
            (false, _) => Then::NoRestartsLeft(spec.restarts),
        };
        let failure = Failure {
            rank,
            subtask,
            name: name_of(&self.record, subtask),
            attempt,
            host: job.host(node).to_owned(),
            program: self.record.kernel.path.to_string_lossy().into_owned(),
            outcome,
            memory_short,
            then,
            stops_others: !retry && !spec.keep_going && !job.all_running().is_empty(),
        };
        self.say(failure::line(&failure));
        if let (false, Outcome::Exited(status)) = (retry, outcome) {
            self.own_status = self.own_status.max(Some((status, rank)));
        }
        self.event(|| Event::Failed {
            subtask: subtask.0,
            attempt: attempt.0,
            rank: rank.0,
            status: outcome.status(),
            out_of_memory: outcome == Outcome::OutOfMemory,
            checkpoint: checkpoint.map(Into::into),
            retry,
            node: job.names_nodes().then(|| job.host(node)),
        });
        if let Then::Restart(next) = then {
            let from = match next {
                NextStart::From(from) => Some(from.into()),
                // Which one, the `started` event tells.
                NextStart::OlderThan(_) | NextStart::Beginning => None,
            };
            self.event(|| Event::Restart { subtask: subtask.0, attempt: attempt.0, from });
        }
    }

    /// A decision about the whole job.
    pub fn tell_record(&self, record: &Record) {
        let Record::Stopping { reason } = record else { return };
        let text = match reason {
            StopReason::TimeLimit => Some("the time limit is reached; the job is stopped".to_owned()),
            StopReason::Interrupted => Some("stopping the job; Ctrl-C once more kills it at once".to_owned()),
            StopReason::Signal(signal) => {
                let name = failure::signal_name(*signal);
                Some(format!("signal {name}: the job is stopped"))
            }
            StopReason::SubtaskFailed | StopReason::BrokenPipe | StopReason::Error => None,
        };
        if let Some(text) = text {
            self.say(text);
        }
        self.event(|| Event::Stopping { reason: word(*reason) });
    }

    /// The starter has died.
    pub fn tell_starter_lost(&self, job: &impl Sight, pid: i32, how: &str) {
        let running = job.all_running().len() as u64;
        let ranks = amount::plural(running, "rank", "ranks");
        let then = if job.durable().phase == JobPhase::Running {
            "another one is started, and they start again"
        } else {
            "no other is started"
        };
        self.say(format!("the starter (process {pid}) {how}, and {running} {ranks} with it; {then}"));
        self.event(|| Event::StarterLost { pid });
    }

    /// The merge has ended.
    pub fn tell_merged(&self, result: &Result<Vec<Merged>, Failed>) {
        let merged = match result {
            Ok(merged) => merged,
            Err(failed) => return self.say(format!("cannot merge: {}", failed.text)),
        };
        for merged in merged {
            match merged {
                Merged::File(file, note) => {
                    let file = file.to_string_lossy();
                    let note = note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
                    self.say_if_not_quiet(format!("results are merged into {file}{note}"));
                    self.event(|| Event::Merged { file: &file });
                }
                Merged::Command(command) => {
                    let target = format!("exec:{command}");
                    self.say_if_not_quiet(format!(
                        "results are merged by {}",
                        dc_spool::files::shown(target.as_str())
                    ));
                    self.event(|| Event::Merged { file: &target });
                }
            }
        }
    }

    /// The state, for Ctrl-C.
    pub fn tell_state(&self, job: &impl Sight) {
        let now_ns = self.now_ns();
        let progress = self.tally.progress(job, now_ns);
        let rows = self.tally.rows(job, &self.record, now_ns);
        self.say(state::lines(&progress, &rows).join("\n"));
    }

    /// How far the job is.
    pub fn tell_progress(&self, job: &impl Sight, due: Due) {
        let progress = self.tally.progress(job, self.now_ns());
        if due.display {
            self.console.show(progress);
        }
        if due.event {
            self.event(|| Event::Progress {
                done: progress.done,
                running: progress.running,
                subtasks_total: progress.total,
                cells_done: progress.cells_done,
                cells_total: progress.cells_total,
                left_ns: progress.left_ns,
                restarts: progress.restarts,
            });
        }
    }

    /// What one must know of a status that is not 0, before the last words.
    pub fn tell_status(&self, status: u8, merges: bool) {
        if let Some((own, rank)) = self.own_status.filter(|(own, _)| *own == status) {
            failure::whose_status(own, rank).into_iter().for_each(|text| self.say(text));
        }
        if merges && self.tally.failed > 0 {
            let failed = self.tally.failed;
            let subtasks = plural(failed, "subtask", "subtasks");
            self.say(format!("results are not merged: {failed} {subtasks} failed"));
        }
    }

    /// What dcrun ends with, when the job ended with `status` and all output is written.
    #[must_use]
    pub fn outward_status(&self, status: u8) -> u8 {
        let stdout = self.stdout_failed.map(|reason| match reason {
            StopReason::BrokenPipe => exit::BROKEN_PIPE,
            _ => exit::DC_ERROR,
        });
        stdout.filter(|_| status == exit::OK).unwrap_or(status)
    }

    /// What is said of a status outside: dcrun's own error is what the user's scripts want it to be; a kernel's stays.
    #[must_use]
    pub fn last_status(&self, status: u8) -> u8 {
        let is_kernels = self.own_status.is_some_and(|(own, _)| own == status);
        if is_kernels { status } else { crate::error::outward(status) }
    }

    /// What became of the job. Those whose subtasks cost alike, such as four times `hostname`, are told only if asked.
    pub fn tell_report(&self) {
        let wants_lines = match self.view.verbosity {
            Verbosity::Quiet => false,
            Verbosity::Normal => self.has_costs,
            Verbosity::Verbose => true,
        };
        if !wants_lines && !self.console.has_events() {
            return;
        }
        let Some(report) = self.account.report() else { return };
        if wants_lines {
            for line in show::report::lines(&self.record.subtasks, &report) {
                self.say(line);
            }
        }
        self.event(|| show::report::event(&self.record.subtasks, &report));
    }

    /// The last event.
    pub fn tell_end(&self, status: u8, kept: bool) {
        let (done, failed, restarts) = (self.tally.done, self.tally.failed, self.tally.restarts);
        self.event(|| Event::End { status, done, failed, restarts, kept });
    }
}

/// Whether the job is being stopped.
pub fn is_stopping(job: &impl Sight) -> bool {
    matches!(job.durable().phase, JobPhase::Stopping(_))
}
