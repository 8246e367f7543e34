//! Which launches are taken: each attempt once, a newer one of a subtask in the place of an older one, none while too
//! many reports wait, none without a lease.

use super::known;
use crate::starter::Starter;
use crate::starter::control::Gone;
use crate::starter::table::{Report, ended};
use dc_model::wire::{Gang, KnownPhase, Launch};
use dc_model::{Attempt, Outcome, SubtaskId};
use nix::libc::SIGKILL;

/// Launches that may wait for acknowledgements. Who sends more without acknowledging anything is not listened to.
const LATE_MAX: usize = 32 << 10;

impl Starter {
    /// A launch has come: it is given back where it is to be done now.
    pub(in crate::starter) fn admit(&mut self, launch: Box<Launch>) -> Result<Option<Box<Launch>>, Gone> {
        let is_full = self.control.is_full();
        let Some(serve) = &mut self.serve else { return Ok(Some(launch)) };
        if is_full && serve.late.len() >= LATE_MAX {
            return Err(self.refuse("more was to be launched than is acknowledged"));
        }
        if !self.pass_fence(&launch) {
            return Ok(None);
        }
        let Some(serve) = &mut self.serve else { return Ok(None) };
        // In the order in which they came.
        if is_full || !serve.late.is_empty() {
            serve.late.push_back(launch);
            return Ok(None);
        }
        Ok(self.take_place(launch))
    }

    /// Whether nobody has said so before, and it may run.
    fn pass_fence(&mut self, launch: &Launch) -> bool {
        let Launch { subtask, attempt, .. } = *launch;
        let Some(serve) = &mut self.serve else { return true };
        let fence = serve.fences.entry(subtask).or_insert(Attempt(0));
        if attempt <= *fence {
            self.control.repeat_end(subtask, attempt);
            return false;
        }
        *fence = attempt;
        if !serve.lease.lets_launch() {
            self.end_unlaunched(launch, SIGKILL as u8);
            return false;
        }
        true
    }

    /// An older attempt of the same subtask is killed first.
    fn take_place(&mut self, launch: Box<Launch>) -> Option<Box<Launch>> {
        let Some(older) = self.table.key_of(launch.subtask) else { return Some(launch) };
        let replaced = self.serve.as_mut().and_then(|serve| serve.behind.insert(launch.subtask, launch));
        if let Some(replaced) = replaced {
            self.end_unlaunched(&replaced, SIGKILL as u8);
        }
        self.stop_by(older, SIGKILL as u8);
        None
    }

    /// A gang has come: it is given back where it is to be done now.
    pub(in crate::starter) fn admit_gang(&mut self, gang: Box<Gang>) -> Result<Option<Box<Gang>>, Gone> {
        if self.serve.is_none() {
            return Ok(Some(gang));
        }
        if self.job.is_none() {
            return Err(self.refuse("a gang was to be launched before the job was known"));
        }
        // All of it or nothing.
        let (news, known): (Vec<_>, Vec<_>) =
            gang.ranks.iter().flatten().partition(|launch| self.pass_fence(launch));
        if !known.is_empty() {
            news.into_iter().for_each(|launch| self.end_unlaunched(launch, SIGKILL as u8));
            return Ok(None);
        }
        let busy: Vec<_> =
            gang.ranks.iter().flatten().filter_map(|launch| self.table.key_of(launch.subtask)).collect();
        let is_late = self.control.is_full() || !busy.is_empty();
        if !is_late {
            return Ok(Some(gang));
        }
        let replaced = self.serve.as_mut().and_then(|serve| serve.late_gang.replace(gang));
        for launch in replaced.iter().flat_map(|gang| gang.ranks.iter().flatten()) {
            self.end_unlaunched(launch, SIGKILL as u8);
        }
        for key in busy {
            self.stop_by(key, SIGKILL as u8);
        }
        Ok(None)
    }

    /// A subtask's attempt is over: whoever waited behind it comes next.
    pub(in crate::starter) fn on_subtask_free(&mut self, subtask: SubtaskId) {
        if let Some(serve) = &mut self.serve
            && let Some(launch) = serve.behind.remove(&subtask)
        {
            serve.late.push_back(launch);
        }
    }

    /// Launches that have waited, as far as there is room.
    pub(in crate::starter) fn next_late(&mut self) -> Option<Box<Launch>> {
        while !self.control.is_full() {
            let launch = self.serve.as_mut()?.late.pop_front()?;
            if let Some(launch) = self.take_place(launch) {
                return Some(launch);
            }
        }
        None
    }

    /// The gang that has waited, if it waits no longer.
    pub(in crate::starter) fn next_late_gang(&mut self) -> Option<Box<Gang>> {
        let gang = self.serve.as_ref()?.late_gang.as_ref()?;
        let is_busy = gang.ranks.iter().flatten().any(|launch| self.table.key_of(launch.subtask).is_some());
        if is_busy || self.control.is_full() {
            return None;
        }
        self.serve.as_mut()?.late_gang.take()
    }

    /// One that waits is to be stopped; whether there was such a one.
    pub(in crate::starter) fn stop_late(&mut self, subtask: SubtaskId, attempt: Attempt, signal: u8) -> bool {
        let Some(serve) = &mut self.serve else { return false };
        let is_it = |launch: &Launch| (launch.subtask, launch.attempt) == (subtask, attempt);
        if let Some(at) = serve.late.iter().position(|launch| is_it(launch)) {
            if let Some(launch) = serve.late.remove(at) {
                self.end_unlaunched(&launch, signal);
            }
            return true;
        }
        if serve.behind.get(&subtask).is_some_and(|launch| is_it(launch)) {
            if let Some(launch) = serve.behind.remove(&subtask) {
                self.end_unlaunched(&launch, signal);
            }
            return true;
        }
        let in_gang = serve.late_gang.as_ref().is_some_and(|gang| gang.ranks.iter().flatten().any(is_it));
        if in_gang {
            let gang = serve.late_gang.take();
            for launch in gang.iter().flat_map(|gang| gang.ranks.iter().flatten()) {
                self.end_unlaunched(launch, signal);
            }
        }
        in_gang
    }

    /// Nothing that waits will be launched.
    pub(super) fn end_late(&mut self) {
        let Some(serve) = &mut self.serve else { return };
        let late = std::mem::take(&mut serve.late);
        let behind: std::collections::BTreeMap<_, _> =
            std::mem::take(&mut serve.behind).into_iter().collect();
        let gang = serve.late_gang.take();
        for launch in late.iter().chain(behind.values()) {
            self.end_unlaunched(launch, SIGKILL as u8);
        }
        for launch in gang.iter().flat_map(|gang| gang.ranks.iter().flatten()) {
            self.end_unlaunched(launch, SIGKILL as u8);
        }
    }

    fn end_unlaunched(&mut self, launch: &Launch, signal: u8) {
        let report = Report { stopped: true, ..Report::bare(Outcome::Signalled(signal)) };
        self.control.tell_end(&ended(launch, &report), || known(launch, KnownPhase::Ended, None));
    }
}
