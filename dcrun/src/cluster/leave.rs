//! The end of following: the rest of the output, the last words, what becomes of the local directory.

use super::follow::{Finish, Follower, Merging, Notice};
use crate::events::Event;
use crate::signals::Wish;
use dc_model::exit;

impl Follower {
    /// Writes the rest of the output and says the last words; gives the exit status.
    pub fn leave(mut self, finish: Finish) -> u8 {
        let status = match finish {
            Finish::Job(status) => status,
            Finish::Left(text, status) => {
                self.front.say(text);
                self.front.tell_end(status, true);
                self.connection.close();
                self.front.console.finish();
                return status;
            }
        };
        self.front.tell_status(status, self.replica_merges());
        self.streams.job_ended();
        let (status, is_stuck) = match self.drain() {
            Some(signal) => (exit::SIGNAL_BASE.saturating_add(signal), true),
            None => (self.front.outward_status(status), false),
        };
        let status = self.front.last_status(status);
        self.front.tell_report();
        self.front.event(|| Event::End {
            status,
            done: self.front.tally.done,
            failed: self.front.tally.failed,
            restarts: self.front.tally.restarts,
            kept: self.front.view.keep,
        });
        self.connection.close();
        if !is_stuck {
            self.front.console.finish();
        }
        status
    }

    fn replica_merges(&self) -> bool {
        !self.front.record.options.merges.is_empty()
    }

    /// Waits until all output is written, or gives the signal that wants it sooner.
    fn drain(&mut self) -> Option<u8> {
        self.front.pulse.stop();
        self.command_dies_ns = None;
        while !self.outputs_ended || self.merging == Merging::Under {
            let mut notices = Vec::new();
            self.mailbox.drain(&mut notices);
            for notice in notices {
                if matches!(notice, Notice::Console(_) | Notice::Streams(_) | Notice::Gathered(_)) {
                    self.on_notice(notice);
                }
            }
            while let Some(signal) = self.signals.next() {
                match self.front.on_signal(signal) {
                    Wish::Tell | Wish::Pass(_) => {}
                    Wish::Hold => crate::signals::stop_self(),
                    Wish::Interrupt | Wish::End(_) | Wish::KillNow => return Some(signal),
                }
            }
            if self.outputs_ended && self.merging != Merging::Under {
                break;
            }
            self.wait();
        }
        None
    }
}
