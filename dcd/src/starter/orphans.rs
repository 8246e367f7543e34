//! Processes that ranks left behind: they become the starter's children when their parents end, whatever group or
//! session they are in. Those of an attempt that runs are let be; when it ends they are killed, and so is what
//! becomes an orphan by that, until none is left.

use super::table::Table;
use crate::process::calls::{signal_group, signal_process};
use crate::process::children::Own;
use crate::process::tag;
use dc_model::{Attempt, JobUuid, SubtaskId};
use nix::libc::SIGKILL;
use nix::unistd::Pid;
use std::collections::HashMap;

/// Whose an orphan is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owner {
    /// By the tag in its environment.
    Attempt(SubtaskId, Attempt),
    /// It has cleared its environment: it is of one of the attempts up to this count, which ran when it was seen.
    LaunchedUpTo(u64),
}

/// The orphans that are known, and the list they are found in.
#[derive(Debug)]
pub struct Orphans {
    children: Own,
    known: HashMap<Pid, Owner>,
    to_look: bool,
}

impl Orphans {
    /// To be made by the thread that launches.
    #[must_use]
    pub fn new() -> Self {
        Self { children: Own::open(), known: HashMap::new(), to_look: false }
    }

    /// A process has ended: its children may have come to us.
    pub fn want_look(&mut self) {
        self.to_look = true;
    }

    /// An orphan was reaped: the number is free.
    pub fn forget(&mut self, pid: Pid) {
        self.known.remove(&pid);
        self.to_look = true;
    }

    /// Looks for orphans, if some may have come (a gang's launcher is none), and kills those whose attempt has ended.
    pub fn maybe_kill(&mut self, table: &Table, job: Option<JobUuid>, launcher: Option<Pid>) {
        if !std::mem::take(&mut self.to_look) {
            return;
        }
        let Ok(children) = self.children.now() else { return };
        for pid in children {
            if table.of_pid(pid).is_some() || launcher == Some(pid) {
                continue;
            }
            let owner = *self.known.entry(pid).or_insert_with(|| owner(pid, job, table.serial()));
            let is_doomed = match owner {
                Owner::Attempt(subtask, attempt) => !table.has_process(subtask, attempt),
                Owner::LaunchedUpTo(serial) => !table.has_process_up_to(serial),
            };
            if is_doomed {
                // A child that is not reaped: neither its number nor that of a group it made is another's.
                let _ = signal_group(pid, SIGKILL as u8);
                let _ = signal_process(pid, SIGKILL as u8);
            }
        }
    }
}

fn owner(pid: Pid, job: Option<JobUuid>, serial: u64) -> Owner {
    match tag::of(pid) {
        Some(tag::Tag { job: tagged, subtask: Some(subtask), attempt: Some(attempt) })
            if Some(tagged) == job =>
        {
            Owner::Attempt(subtask, attempt)
        }
        _ => Owner::LaunchedUpTo(serial),
    }
}
