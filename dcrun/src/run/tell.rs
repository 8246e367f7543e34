//! What is told of a run, in words and as events.

use super::Run;
use super::merge::{Failed, Merged};
use super::pulse::Due;
use super::tally::name_of;
use crate::events::{self, Event};
use crate::request::Verbosity;
use crate::setup::plan::Plan;
use crate::show::failure::{self, Failure, Then};
use crate::show::{self, amount, state};
use dc_model::{Attempt, Cause, Outcome, Rank, Record, Restart, StopReason, SubtaskId};
use dcsched_core::job::JobPhase;
use dcsched_core::job::{NextStart, is_worthwhile};

impl Run {
    /// Writes one event, where somebody wants it.
    pub(super) fn event<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if self.console.has_events() {
            self.console.event(events::line(&event(), Some(self.now_ns())));
        }
    }

    /// Says a line, unless only errors are to be said.
    pub(super) fn say_if_not_quiet(&self, text: impl Into<String>) {
        if self.view.verbosity > Verbosity::Quiet {
            self.console.say(text);
        }
    }

    /// Says a line to those who want to know more.
    pub(super) fn tell_detail(&self, text: impl FnOnce() -> String) {
        if self.view.verbosity == Verbosity::Verbose {
            self.console.say(text());
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        matches!(self.job.durable().phase, JobPhase::Stopping(_))
    }

    /// What is expected of the job.
    pub fn tell_plan(&self, plan: &Plan) {
        if self.console.has_events() {
            for event in show::plan::all_events(&self.record, plan, &self.job.spec().topology.host) {
                self.event(|| event);
            }
        }
    }

    /// The job begins, or goes on.
    pub(super) fn tell_job(&self) {
        let spool = self.dir.path().to_string_lossy();
        let epoch = self.job.durable().epoch + 1;
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
        if self.stdin_missed {
            self.console.say(
                "the job's standard input was a pipe, which is gone: who reads it finds it empty; give it again with \
                 dcrun --resume DIR < FILE",
            );
        }
        self.event(|| Event::Job { spool: &spool, uuid: &uuid, pid: std::process::id(), epoch, completed });
    }

    pub(super) fn tell_started(&self, subtask: SubtaskId, attempt: Attempt, pid: u32, from: Option<Restart>) {
        let Some(running) = self.job.running(subtask) else { return };
        let (rank, cpus) = (running.rank, &running.placement.cpus);
        self.tell_detail(|| {
            let from = from.map(|from| format!(", from {from}")).unwrap_or_default();
            format!("rank {rank}: subtask {subtask}, attempt {attempt}, runs as process {pid} on CPUs {cpus}{from}")
        });
        if self.record.options.bind_verbose {
            let bound = match cpus.is_empty() {
                true => "not bound".to_owned(),
                false => format!("CPUs {cpus} (mask {})", cpus.mask()),
            };
            self.say_if_not_quiet(format!("bind: rank {rank}, subtask {subtask}, process {pid}: {bound}"));
        }
        self.event(|| Event::Started {
            subtask: subtask.0,
            attempt: attempt.0,
            rank: rank.0,
            pid,
            cpus: events::cpus(cpus),
            from: from.map(Into::into),
        });
    }

    pub(super) fn tell_ended(
        &self,
        subtask: SubtaskId,
        attempt: Attempt,
        rank: Rank,
        outcome: Outcome,
        ran_ns: u64,
        stopped: bool,
    ) {
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
        });
    }

    #[allow(clippy::too_many_arguments)] // They are the record's fields.
    pub(super) fn tell_failed(
        &mut self,
        subtask: SubtaskId,
        attempt: Attempt,
        rank: Rank,
        (outcome, memory_short): (Outcome, bool),
        checkpoint: Option<Restart>,
        advanced: bool,
        retry: bool,
    ) {
        let durable = self.job.durable();
        let entry = durable.gang.as_ref().unwrap_or(&durable.entries[subtask.index()]);
        let from = entry.next_start();
        let restart_on = self.job.spec().restart_on;
        let then = match (retry, outcome) {
            (true, _) if self.is_stopping() => Then::Stopping,
            (true, _) => Then::Restart(from),
            (false, Outcome::NotLaunched { stage, .. }) if !stage.may_pass() => Then::CannotExecute,
            (false, _) if !is_worthwhile(outcome, advanced, restart_on) => match outcome {
                Outcome::Exited(_) if restart_on.has(Cause::Progress) => Then::NoAdvance,
                _ => Then::NotAsked(restart_on),
            },
            (false, _) => Then::NoRestartsLeft(self.job.spec().restarts),
        };
        let failure = Failure {
            rank,
            subtask,
            name: name_of(&self.record, subtask),
            attempt,
            host: self.job.spec().topology.host.clone(),
            program: String::from_utf8_lossy(&self.hello.program).into_owned(),
            outcome,
            memory_short,
            then,
            stops_others: !retry && !self.job.spec().keep_going && !self.job.all_running().is_empty(),
        };
        self.console.say(failure::line(&failure));
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
    pub(super) fn tell_record(&self, record: &Record) {
        let Record::Stopping { reason } = record else { return };
        let (word, text) = match reason {
            StopReason::SubtaskFailed => ("subtask_failed", None),
            StopReason::TimeLimit => {
                ("time_limit", Some("the time limit is reached; the job is stopped".to_owned()))
            }
            StopReason::Interrupted => {
                ("interrupted", Some("stopping the job; Ctrl-C once more kills it at once".to_owned()))
            }
            StopReason::Signal(signal) => {
                let name = failure::signal_name(*signal);
                ("signal", Some(format!("signal {name}: the job is stopped")))
            }
            StopReason::BrokenPipe => ("broken_pipe", None),
            StopReason::Error => ("error", None),
        };
        if let Some(text) = text {
            self.console.say(text);
        }
        self.event(|| Event::Stopping { reason: word });
    }

    pub(super) fn tell_starter_lost(&self, pid: i32, how: &str) {
        let running = self.job.all_running().len() as u64;
        let ranks = amount::plural(running, "rank", "ranks");
        let then = if self.job.durable().phase == JobPhase::Running {
            "another one is started, and they start again"
        } else {
            "no other is started"
        };
        self.console.say(format!("the starter (process {pid}) {how}, and {running} {ranks} with it; {then}"));
        self.event(|| Event::StarterLost { pid });
    }

    pub(super) fn tell_merged(&self, result: &Result<Vec<Merged>, Failed>) {
        let merged = match result {
            Ok(merged) => merged,
            Err(failed) => return self.console.say(format!("cannot merge: {}", failed.text)),
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
    pub(super) fn tell_state(&self) {
        let now_ns = self.now_ns();
        let progress = self.tally.progress(&self.job, &self.slots, now_ns);
        let rows = self.tally.rows(&self.job, &self.record, &self.slots, now_ns);
        self.console.say(state::lines(&progress, &rows).join("\n"));
    }

    pub(super) fn tell_progress(&self, due: Due) {
        let progress = self.tally.progress(&self.job, &self.slots, self.now_ns());
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
}
