//! The end of everything: every rank and whatever came of it is killed, however it has hidden.

use super::Starter;
use super::lookups::Answer;
use super::table::Report;
use crate::process::calls::signal_group;
use crate::sweep::kill_descendants;
use dc_model::Outcome;
use nix::libc::SIGKILL;
use nix::poll::{PollFd, PollFlags, poll};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long dcrun may take to read the last messages.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Starter {
    /// Kills whatever runs; nothing of the job is left after it.
    pub(super) fn kill_all(&mut self) {
        // Whole groups first: most of what runs is in them.
        for process in
            self.table.values().filter_map(|entry| entry.process.filter(|_| entry.report.is_none()))
        {
            let _ = signal_group(process.pid, SIGKILL as u8);
        }
        // What the kernel itself does not let go of (a disk that hangs) has its SIGKILL pending. That is all one can do.
        let _ = kill_descendants(&[]);
        if let Some(gang) = &mut self.gang {
            gang.on_all_killed();
        }
        self.drop_gang();
    }

    /// What the dead have written is still put into their files.
    pub(super) fn finish_files(&mut self) {
        self.drains.on_all_ended();
        let end = Instant::now() + LAST_WORDS;
        while !self.drains.is_empty() && Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now()).as_millis();
            let mut bell = [PollFd::new(self.lookups.bell().as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut bell, u16::try_from(left).unwrap_or(u16::MAX));
            for answer in self.lookups.take() {
                // Nothing is launched any more.
                if !matches!(answer, Answer::Picked { .. } | Answer::PickedSet { .. }) {
                    self.on_answer(answer);
                }
            }
        }
    }

    /// Tells dcrun of the ends of all that was killed, if it still listens.
    pub(super) fn tell_all_killed(&mut self) {
        self.finish_files();
        for mut entry in self.table.drain() {
            let killed = Report { stopped: true, ..Report::bare(Outcome::Signalled(SIGKILL as u8)) };
            entry.report.get_or_insert(killed);
            entry.ended().iter().for_each(|message| self.control.tell(message));
        }
        let end = Instant::now() + LAST_WORDS;
        loop {
            self.streams.on_readable(&mut self.output);
            self.control.flush();
            self.output.flush();
            let left = end.saturating_duration_since(Instant::now());
            let all_sent = self.streams.is_empty() && !self.output.is_waiting() && !self.control.is_waiting();
            if all_sent || left.is_zero() || self.wait(Some(left)).is_err() {
                return;
            }
        }
    }
}
