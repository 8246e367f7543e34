//! Processes that are made ahead and held before their exec: each goes on by itself when the one it follows has ended,
//! so that its core is idle for the time of a wake-up only. Here the starter keeps up with them.

use super::Starter;
use super::attempt::{Event, State};
use super::supervise::Made;
use super::table::{AttemptKey, Process, Report};
use crate::launch::{Fate, Refused};
use crate::process::calls::{Whose, reap, signal_process};
use dc_model::{Attempt, Outcome};
use nix::libc::SIGKILL;
use nix::unistd::Pid;
use std::time::Instant;

/// What is left to do of a process that has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Settled {
    /// All that a rank's end brings.
    Exited,
    /// Nothing: it never ran.
    Over,
}

impl Starter {
    /// Makes its process ahead. Where that cannot be done it is launched when it is free.
    pub(super) fn try_hold(&mut self, key: AttemptKey, forerunner: Pid) -> bool {
        // Later attempts have a checkpoint to look for.
        if self.table.get(key).is_none_or(|entry| entry.launch.attempt > Attempt(1)) {
            return false;
        }
        let subtask = self.table.get(key).map(|entry| entry.launch.subtask);
        let has_no_files = |subtask| self.job.as_ref().is_some_and(|job| job.files.are_none_for(subtask));
        if !subtask.is_some_and(has_no_files) {
            // A file is opened when the one before it has ended.
            return false;
        }
        let Ok(made) = self.make(key, |launcher, plan| launcher.hold(plan, forerunner)) else { return false };
        let Made { it: pid, ends, strings } = made;
        let streams = ends.streams;
        self.launcher.keep(pid, strings.into_iter().flatten());
        self.streams.hold(streams);
        self.table.set_process(key, Process { pid, since: Instant::now(), streams });
        self.maybe_freeze(key);
        true
    }

    /// Dcrun wants it stopped: one that is held does not go on; one that has gone on is free.
    pub(super) fn keep_from_exec(&mut self, key: AttemptKey) {
        let Some((State::Held, pid)) = self.table.get(key).and_then(|e| Some((e.state, e.process?.pid)))
        else {
            return;
        };
        if !self.launcher.try_revoke(pid) {
            self.on_event(key, Event::Freed);
        }
    }

    /// It will not go on. It is nobody's rank from now on, and reaped like an orphan.
    pub(super) fn revoke(&mut self, key: AttemptKey) {
        let Some(process) = self.table.get_mut(key).and_then(|entry| entry.process.take()) else { return };
        let _ = signal_process(process.pid, SIGKILL as u8);
        self.table.forget_pid(process.pid);
        self.streams.discard(process.streams);
    }

    /// It goes on: mostly that takes longer than to come here.
    pub(super) fn await_exec(&mut self, key: AttemptKey) -> Option<Event> {
        if self.note_executed(key) {
            return Some(Event::Started);
        }
        self.executing.push(key);
        None
    }

    /// Looks at those that go on to their exec.
    pub(super) fn look_at_executing(&mut self) {
        for key in std::mem::take(&mut self.executing) {
            match self.table.get(key).map(|entry| entry.state) {
                Some(State::Launching) if self.note_executed(key) => self.on_event(key, Event::Started),
                Some(State::Launching) => self.executing.push(key),
                _ => {}
            }
        }
    }

    /// Whether it has executed; then the room it was made in is another's.
    fn note_executed(&mut self, key: AttemptKey) -> bool {
        let Some(pid) = self.table.get(key).and_then(|entry| Some(entry.process?.pid)) else { return false };
        let Some(Fate::Executed(launched, since)) = self.launcher.fate(pid) else { return false };
        if let Some(process) = self.table.get_mut(key).and_then(|entry| entry.process.as_mut()) {
            process.since = since;
            self.streams.let_go(process.streams, &mut self.output);
        }
        self.on_launched(key, &launched);
        self.launcher.forget(pid);
        true
    }

    /// A rank's process has ended, maybe before anybody has looked at its exec.
    pub(super) fn settle_held(&mut self, key: AttemptKey) -> Settled {
        let Some(pid) = self.table.get(key).and_then(|entry| Some(entry.process?.pid)) else {
            return Settled::Exited;
        };
        match self.launcher.fate(pid) {
            None | Some(Fate::Inside | Fate::Never) => Settled::Exited,
            Some(Fate::Refused(refused)) => {
                let is_stopped = self.table.get(key).is_some_and(|entry| entry.state.is_stopped_by_dc());
                let event = match !is_stopped && self.maybe_move(key, refused) {
                    true => Event::Unmade,
                    false => Event::Refused,
                };
                self.bury_unlaunched(key, pid);
                if let Some(entry) = self.table.get_mut(key).filter(|_| event == Event::Refused) {
                    let Refused { stage, errno } = refused;
                    entry.report = Some(Report::bare(Outcome::NotLaunched { stage, errno }));
                }
                self.on_event(key, event);
                Settled::Over
            }
            Some(Fate::Executed(..)) => {
                // Whom it followed has ended too, and is looked at later.
                self.on_event(key, Event::Freed);
                if self.note_executed(key) {
                    self.on_event(key, Event::Started);
                }
                if self.table.get(key).is_some_and(|entry| !entry.told_started) {
                    self.tell_started(key);
                }
                Settled::Exited
            }
        }
    }

    fn bury_unlaunched(&mut self, key: AttemptKey, pid: Pid) {
        let _ = reap(Whose::Pid(pid));
        self.table.forget_pid(pid);
        self.launcher.forget(pid);
        if let Some(process) = self.table.get_mut(key).and_then(|entry| entry.process.take()) {
            self.streams.discard(process.streams);
        }
    }
}
