//! The attempts that are not over, found by name, by process, and by subtask.

use super::attempt::State;
use super::streams::StreamKey;
use dc_model::wire::{FromStarter, Known, KnownPhase, Launch};
use dc_model::{Attempt, LaunchStage, Outcome, Restart, ResultMeta, SubtaskId};
use nix::unistd::Pid;
use slotmap::{SlotMap, new_key_type};
use std::collections::HashMap;
use std::time::Instant;

use super::env::Origin;
use super::files::OwnFile;
use super::serve::known;
use std::sync::Arc;

new_key_type! {
    /// Names an attempt for good.
    pub struct AttemptKey;
}

/// What dcrun will be told at its end.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// From exec to end.
    pub ran_ns: u64,
    /// Whether dc had signalled it before.
    pub stopped: bool,
    /// Its newest valid checkpoint.
    pub checkpoint: Option<Restart>,
    /// Cells it reported.
    pub progress_cells: u64,
    /// The result it committed.
    pub result: Option<ResultMeta>,
    /// Whether the kernel killed something for want of memory meanwhile.
    pub memory_short: bool,
}

impl Report {
    /// Of an attempt of which nothing is known but how it ended.
    #[must_use]
    pub fn bare(outcome: Outcome) -> Self {
        Self {
            outcome,
            ran_ns: 0,
            stopped: false,
            checkpoint: None,
            progress_cells: 0,
            result: None,
            memory_short: false,
        }
    }
}

/// A process, once there is one.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Its number, and its group's.
    pub pid: Pid,
    /// When its exec had succeeded.
    pub since: Instant,
    /// Its pipes.
    pub streams: [Option<StreamKey>; 2],
}

/// An attempt that is not over.
#[derive(Debug)]
pub struct Entry {
    /// What dcrun asked for.
    pub launch: Box<Launch>,
    /// Where it stands.
    pub state: State,
    /// Who takes over its lane and cores.
    pub follower: Option<AttemptKey>,
    /// Whose lane and cores it takes over.
    pub forerunner: Option<AttemptKey>,
    /// Counts launches: what was first seen at some count belongs to none that came after.
    pub serial: u64,
    /// What it goes on from.
    pub origin: Option<Origin>,
    /// Its process.
    pub process: Option<Process>,
    /// Whether dcrun was told that it runs.
    pub told_started: bool,
    /// The signal dcrun wants it stopped with.
    pub signal: u8,
    /// Where it waits for a piece of its standard input.
    pub wants_input_at: Option<u64>,
    /// What failed of its streams, and why: however it ends, it failed.
    pub verdict: Option<(LaunchStage, i32)>,
    /// The files that it writes by itself.
    pub own_files: Vec<Arc<OwnFile>>,
    /// What is known of its end.
    pub report: Option<Report>,
}

impl Entry {
    /// What dcrun is told of its end, once that is known.
    #[must_use]
    pub fn ended(&self) -> Option<FromStarter> {
        self.report.as_ref().map(|report| ended(&self.launch, report))
    }

    /// How it is shown to who asks what is here.
    #[must_use]
    pub fn known(&self) -> Known {
        let phase = if self.told_started { KnownPhase::Running } else { KnownPhase::Waiting };
        known(&self.launch, phase, self.origin.as_ref().map(|origin| origin.from))
    }
}

/// What is told of an attempt's end.
#[must_use]
pub fn ended(launch: &Launch, report: &Report) -> FromStarter {
    FromStarter::Ended {
        subtask: launch.subtask,
        attempt: launch.attempt,
        outcome: report.outcome,
        ran_ns: report.ran_ns,
        stopped: report.stopped,
        checkpoint: report.checkpoint,
        progress_cells: report.progress_cells,
        result: report.result,
        memory_short: report.memory_short,
    }
}

/// All attempts that are not over.
#[derive(Default, Debug)]
pub struct Table {
    entries: SlotMap<AttemptKey, Entry>,
    by_pid: HashMap<Pid, AttemptKey>,
    by_subtask: HashMap<SubtaskId, AttemptKey>,
    serial: u64,
}

impl Table {
    /// Adds one; `None` when the subtask has one already.
    pub fn add(&mut self, launch: Box<Launch>) -> Option<AttemptKey> {
        if self.by_subtask.contains_key(&launch.subtask) {
            return None;
        }
        self.serial += 1;
        let subtask = launch.subtask;
        let key = self.entries.insert(Entry {
            launch,
            state: State::Following,
            follower: None,
            forerunner: None,
            serial: self.serial,
            origin: None,
            process: None,
            told_started: false,
            signal: 0,
            wants_input_at: None,
            verdict: None,
            own_files: Vec::new(),
            report: None,
        });
        self.by_subtask.insert(subtask, key);
        Some(key)
    }

    /// The count of the newest.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// One of them, while it is not over.
    #[must_use]
    pub fn get(&self, key: AttemptKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// One of them, to be changed.
    pub fn get_mut(&mut self, key: AttemptKey) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    /// Gives it its process.
    pub fn set_process(&mut self, key: AttemptKey, process: Process) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.process = Some(process);
            self.by_pid.insert(process.pid, key);
        }
    }

    /// Its process is reaped: the number is free.
    pub fn forget_pid(&mut self, pid: Pid) {
        self.by_pid.remove(&pid);
    }

    /// Whose process this is.
    #[must_use]
    pub fn of_pid(&self, pid: Pid) -> Option<AttemptKey> {
        self.by_pid.get(&pid).copied()
    }

    /// The attempt of this subtask that is not over.
    #[must_use]
    pub fn of_subtask(&self, subtask: SubtaskId, attempt: Attempt) -> Option<AttemptKey> {
        let key = *self.by_subtask.get(&subtask)?;
        (self.entries.get(key)?.launch.attempt == attempt).then_some(key)
    }

    /// The attempt of this subtask that is not over, whichever it is.
    #[must_use]
    pub fn key_of(&self, subtask: SubtaskId) -> Option<AttemptKey> {
        self.by_subtask.get(&subtask).copied()
    }

    /// All names.
    #[must_use]
    pub fn keys(&self) -> Vec<AttemptKey> {
        self.entries.keys().collect()
    }

    /// The last of those that follow it, one behind the other; itself where none does.
    #[must_use]
    pub fn last_behind(&self, key: AttemptKey) -> AttemptKey {
        let behind = |key: &AttemptKey| {
            let follower = self.entries.get(*key)?.follower?;
            self.entries.get(follower).is_some_and(|entry| entry.state.holds_cores()).then_some(follower)
        };
        std::iter::successors(Some(key), behind).last().unwrap_or(key)
    }

    /// One comes to wait behind another.
    pub fn follow(&mut self, ahead: AttemptKey, follower: AttemptKey) {
        if let Some(entry) = self.entries.get_mut(ahead) {
            entry.follower = Some(follower);
        }
        if let Some(entry) = self.entries.get_mut(follower) {
            entry.forerunner = Some(ahead);
        }
    }

    /// Takes away whoever waits behind this one: whose turn it is now. Where this one never had its own, it is not, and
    /// the two that are left follow each other.
    pub fn take_follower(&mut self, key: AttemptKey) -> Option<AttemptKey> {
        let entry = self.entries.get_mut(key)?;
        let (ahead, follower) = (entry.forerunner, entry.follower.take()?);
        let still_waits = |ahead: &AttemptKey| {
            self.entries
                .get(*ahead)
                .is_some_and(|entry| entry.follower == Some(key) && entry.state.holds_cores())
        };
        match ahead.filter(still_waits) {
            Some(ahead) => {
                self.follow(ahead, follower);
                None
            }
            None => Some(follower),
        }
    }

    /// Whether this attempt's process is not reaped yet.
    #[must_use]
    pub fn has_process(&self, subtask: SubtaskId, attempt: Attempt) -> bool {
        let entry = self.of_subtask(subtask, attempt).and_then(|key| self.entries.get(key));
        entry.is_some_and(|entry| self.is_unreaped(entry))
    }

    /// Whether the process of one of the first so many attempts is not reaped yet.
    #[must_use]
    pub fn has_process_up_to(&self, serial: u64) -> bool {
        self.entries.values().any(|entry| entry.serial <= serial && self.is_unreaped(entry))
    }

    fn is_unreaped(&self, entry: &Entry) -> bool {
        entry.process.is_some_and(|process| self.by_pid.contains_key(&process.pid) && entry.report.is_none())
    }

    /// Takes out one that is over.
    pub fn remove(&mut self, key: AttemptKey) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.by_subtask.remove(&entry.launch.subtask);
        Some(entry)
    }

    /// All of them.
    pub fn values(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Takes out all of them.
    pub fn drain(&mut self) -> Vec<Entry> {
        self.by_pid.clear();
        self.by_subtask.clear();
        self.entries.drain().map(|(_, entry)| entry).collect()
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
