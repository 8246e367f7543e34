//! What each decision of the core asks for.

use super::merge::{Merge, parts};
use super::neighbours::Telling;
use super::starter::Link;
use super::{Notice, Run};
use dc_model::wire::{Launch, ToStarter};
use dc_model::{Record, StopReason, exit};
use dcsched_core::job::{Action, Event};
use std::os::fd::AsFd;

impl Run {
    /// Does it.
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Append { seq, record } => self.append(seq, record),
            Action::Sync => self.sync_now = !self.discards,
            Action::Launch { subtask, attempt, rank, placement, before, after } => {
                let Some(what) = self.record.subtasks.get(subtask) else { return };
                self.window.on_launch();
                if self.telling == Telling::NotYet {
                    self.telling = Telling::Due;
                }
                let launch = Launch {
                    subtask,
                    attempt,
                    rank,
                    cores: placement.threads,
                    cpus: placement.cpus,
                    numa: placement.numa,
                    cells: what.cells,
                    block: what.block,
                    args: what.args.clone(),
                    before,
                    after,
                };
                self.send(&ToStarter::Launch(Box::new(launch)));
            }
            Action::Stop { subtask, attempt, signal } => {
                self.send(&ToStarter::Stop { subtask, attempt, signal });
            }
            Action::StartStarter => self.start_starter(),
            Action::Merge => self.start_merge(),
            Action::Finish { status } => self.finish = Some(status),
        }
    }

    fn send(&mut self, message: &ToStarter) {
        if let Some(link) = &mut self.link {
            link.send(message);
        }
    }

    fn append(&mut self, seq: u64, record: Record) {
        self.tally.on_record(&record, &self.job);
        self.tell_record(&record);
        if let Record::Stopping { reason } = &record {
            self.stop_reason = Some(*reason);
        }
        if matches!(record, Record::Done { .. } | Record::AttemptFailed { .. } | Record::GivenUp { .. }) {
            self.verdict = Some(record.clone());
        }
        if matches!(record, Record::Ended { status: exit::OK }) && !self.view.keep {
            // The directory goes now, and the journal with it: nobody could ever read what a sync would save.
            self.records.clear();
            self.discards = true;
            self.events.push_back(Event::Durable { seq });
            return;
        }
        self.records.push((seq, record));
    }

    fn start_starter(&mut self) {
        match Link::start(&self.exe, self.slots.as_fd(), self.record.uuid) {
            Ok((mut link, output)) => {
                link.greet(self.hello.clone());
                self.console.attach(output);
                self.outputs.0 += 1;
                self.link = Some(link);
            }
            Err(error) => {
                self.console.say(error.to_string());
                self.events.push_back(Event::Stop { reason: StopReason::Error });
            }
        }
    }

    fn start_merge(&mut self) {
        let merge = Merge {
            dir: self.dir.clone(),
            job: self.record.uuid,
            parts: parts(&self.record, &self.job.durable().entries),
            targets: self.record.options.merges.clone(),
            domain: self.domain.take(),
        };
        let told = self.mailbox.clone();
        let thread = std::thread::Builder::new().name("merge".to_owned());
        if let Err(error) = thread.spawn(move || told.push(Notice::Merged(merge.run()))) {
            self.mailbox.push(Notice::Merged(Err(format!("cannot start a thread: {error}"))));
        }
    }
}
