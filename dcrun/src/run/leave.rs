//! The end of a run: what becomes of the job's directory, the rest of the output, the last words.

use super::Run;
use crate::console::Console;
use crate::signals::Wish;
use dc_model::wire::{FromStarter, ToStarter};
use dc_model::{StopReason, exit};
use dc_spool::files::shown;
use dc_spool::layout;
use dc_spool::spool::Spool;
use dcsched_core::job::Phase;
use std::os::unix::ffi::OsStringExt;

impl Run {
    /// Lets the starter end, keeps or removes the directory, writes the rest of the output; gives the exit status.
    pub fn leave(mut self, status: u8) -> u8 {
        self.front.tell_status(status, self.job.spec().merge);
        if let Some(link) = &mut self.link {
            link.send(&ToStarter::Bye);
            link.flush();
        }
        // While the starter ends.
        self.keep_taught();
        let keeps = self.keeps(status);
        let journal = self.journal.take().into_iter();
        if keeps {
            journal.for_each(super::journal::Journal::close);
        } else if let Some(spool) = self.spool.take() {
            // A file that is removed while it is open is only freed when this process ends, with nothing beside it.
            journal.for_each(super::journal::Journal::discard);
            remove(spool, &self.front.console);
        }
        let (status, is_stuck) = match self.drain() {
            Some(signal) => (exit::SIGNAL_BASE.saturating_add(signal), true),
            None => (self.front.outward_status(status), false),
        };
        let status = self.front.last_status(status);
        self.front.tell_report();
        self.front.tell_end(status, keeps);
        if keeps && status != exit::OK {
            self.front.say_if_not_quiet(format!("go on with: dcrun --resume {}", shown(self.dir.path())));
        } else if keeps {
            self.front.tell_detail(|| format!("the job's files are in {}", shown(self.dir.path())));
        }
        if !is_stuck {
            self.front.console.finish();
        }
        status
    }

    /// The job has ended: only what is to be cleared away counts.
    fn on_late_message(&mut self, message: FromStarter) {
        if let FromStarter::Grouped { dir } = message {
            self.group = Some(dcd::cgroup::group::Group::at(std::ffi::OsString::from_vec(dir).into()));
        }
    }

    /// Whether the directory stays. A run that failed by itself and has nothing that a resume could use leaves nothing.
    fn keeps(&self, status: u8) -> bool {
        if self.front.view.keep {
            return true;
        }
        if status == exit::OK {
            return false;
        }
        let by_itself =
            matches!(self.stop_reason, None | Some(StopReason::SubtaskFailed | StopReason::BrokenPipe));
        self.named_spool || !by_itself || self.has_gained()
    }

    /// Whether a resume would have less to do than a new job.
    fn has_gained(&self) -> bool {
        let needs = &self.job.spec().needs;
        let entries = &self.job.durable().entries;
        let any_done = entries.iter().zip(needs).any(|(entry, need)| {
            let done = matches!(entry.phase, Phase::Computed | Phase::Merging | Phase::Completed);
            need.cells > 0 && (done || entry.newest().is_some())
        });
        let holds_any = |name| {
            let listed = self.dir.subdir(name).and_then(|dir| dir.list());
            listed.map_or(true, |entries| !entries.is_empty())
        };
        any_done || holds_any(layout::CKPT) || holds_any(layout::RESULT)
    }

    /// Waits until the starter has ended and all output is written, or gives the signal that wants it sooner.
    fn drain(&mut self) -> Option<u8> {
        (self.time_limit_ns, self.starter_dies_ns, self.warning_ns) = (None, None, None);
        self.front.pulse.stop();
        loop {
            self.on_rest();
            while let Some(signal) = self.signals.next() {
                match self.front.on_signal(signal) {
                    Wish::Tell | Wish::Pass(_) => {}
                    Wish::Hold => self.hold(),
                    Wish::Interrupt | Wish::End(_) | Wish::KillNow => return Some(signal),
                }
            }
            let (attached, ended) = self.outputs;
            if self.link.is_none() && ended >= attached {
                return None;
            }
            self.wait();
        }
    }

    /// Takes in what still comes when the job is over.
    fn on_rest(&mut self) {
        let mut notices = std::mem::take(&mut self.notices);
        self.mailbox.drain(&mut notices);
        for notice in notices.drain(..) {
            if let super::Notice::Console(told) = notice {
                self.on_console(told);
            }
        }
        if let Some(link) = &mut self.link {
            link.flush();
            let closed = link.receive(&mut self.messages).is_err();
            for message in std::mem::take(&mut self.messages) {
                self.on_late_message(message);
            }
            if closed {
                self.link.take().into_iter().for_each(super::starter::Link::wait);
                self.group.take().into_iter().for_each(|group| group.remove());
            }
        }
    }
}

fn remove(spool: Spool, console: &Console) {
    let path = spool.path().to_owned();
    match spool.remove() {
        Ok(removed) => {
            for left in removed.left {
                console.say(format!("{} is not dc's, and is left", shown(&left)));
            }
        }
        Err(error) => console.say(format!("{error}; {} can be removed", shown(&path))),
    }
}
