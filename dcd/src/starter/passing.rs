//! Signals that are passed on to ranks without stopping them: what dcrun was sent, a warning before the time limit, and
//! the freeze of a dcrun that is stopped by its terminal.

use super::Starter;
use super::attempt::State;
use super::table::AttemptKey;
use crate::process::calls::{signal_group, signal_process};
use nix::libc::{SIGCONT, SIGSTOP};

impl Starter {
    /// Every attempt that runs gets it. What dc makes of their ends is as if nobody had signalled them.
    pub(super) fn pass_on(&mut self, signal: u8, leaders_only: bool, wants_checkpoint: bool) {
        match i32::from(signal) {
            SIGSTOP => self.is_frozen = true,
            SIGCONT => self.is_frozen = false,
            _ => {}
        }
        let slots = self.job.as_ref().and_then(|job| job.slots.as_ref()).filter(|_| wants_checkpoint);
        for entry in self.table.values() {
            let Some(process) = entry.process.filter(|_| entry.report.is_none()) else { continue };
            let is_kernel = !matches!(entry.state, State::Held | State::Launching);
            if !is_kernel && !matches!(i32::from(signal), SIGSTOP | SIGCONT) {
                continue; // Before its exec a signal would end it that the kernel would handle.
            }
            if let Some(slots) = slots {
                slots.want_checkpoint(entry.launch.rank, entry.launch.subtask, entry.launch.attempt);
            }
            // A rank that has left its group is still ours to reach: it is not reaped.
            if leaders_only || signal_group(process.pid, signal).is_err() {
                let _ = signal_process(process.pid, signal);
            }
        }
    }

    /// What is launched while all are frozen is frozen too.
    pub(super) fn maybe_freeze(&self, key: AttemptKey) {
        if !self.is_frozen {
            return;
        }
        if let Some(process) = self.table.get(key).and_then(|entry| entry.process) {
            // Its group may not be there yet.
            if signal_group(process.pid, SIGSTOP as u8).is_err() {
                let _ = signal_process(process.pid, SIGSTOP as u8);
            }
        }
    }
}
