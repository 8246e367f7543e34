//! What each decision of the core asks for.

use super::neighbours::Telling;
use super::starter::Link;
use super::{Notice, Run};
use crate::merge::{Merge, exec, parts};
use dc_model::wire::{FromStarter, ToStarter};
use dc_model::{Attempt, LaunchStage, Outcome, Rank, Record, Restart, StopReason, SubtaskId, exit};
use dcsched_brief::launch;
use dcsched_core::job::{Action, Event, Member};
use nix::sys::signal::Signal;
use std::os::fd::AsFd;

/// How much input may wait on its way to the starter, with decisions behind it.
const INPUT_UNSENT_BYTES_MAX: usize = 1 << 20;

impl Run {
    /// Does it.
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Append { seq, record } => self.append(seq, record),
            Action::Sync => self.sync_now = !self.discards,
            Action::Launch { subtask, attempt, rank, placement, before, after } => {
                let launch = launch(&self.front.record, subtask, attempt, rank, &placement, before, after);
                let Some(launch) = launch else { return };
                self.on_launching();
                if self.refuse_without_input(subtask, attempt) {
                    return;
                }
                self.send(&ToStarter::Launch(Box::new(launch)));
            }
            Action::LaunchGang { attempt, members, before } => {
                self.on_launching();
                self.launch_gang(attempt, &members, before);
            }
            Action::Stop { subtask, attempt, signal, .. } => {
                self.send(&ToStarter::Stop { subtask, attempt, signal });
            }
            Action::StartStarter => self.start_starter(),
            // On one machine nobody else would have them.
            Action::Released { .. } => {}
            Action::Merge => self.start_merge(),
            Action::Finish { status } => self.finish = Some(status),
        }
    }

    fn on_launching(&mut self) {
        self.window.on_launch();
        if self.telling == Telling::NotYet {
            self.telling = Telling::Due;
        }
    }

    /// The rank that a subtask of a gang belongs to.
    pub(super) fn rank_of_gang(&self, subtask: SubtaskId) -> Rank {
        let spec = self.job.spec();
        let lists = dcsched_core::job::lists(&spec.needs, spec.ranks);
        let found = (0..).zip(lists).find(|(_, list)| list.contains(&subtask));
        Rank(found.map_or(0, |(rank, _)| rank))
    }

    fn launch_gang(&mut self, attempt: Attempt, members: &[Member], before: Option<Restart>) {
        let Some(launcher) = &self.launcher else { return };
        let gang = dcsched_brief::gang(&self.front.record, launcher, attempt, members, before);
        self.send(&ToStarter::Gang(Box::new(gang)));
    }

    fn send(&mut self, message: &ToStarter) {
        if let Some(link) = &mut self.link {
            link.send(message);
        }
    }

    fn append(&mut self, seq: u64, record: Record) {
        self.front.tally.on_record(&record, self.job.spec());
        self.front.account.on_record(&record);
        self.front.tell_record(&record);
        if let Record::Stopping { reason } = &record {
            self.stop_reason = Some(*reason);
            self.stop_command(*reason);
        }
        if matches!(record, Record::Done { .. } | Record::AttemptFailed { .. } | Record::GivenUp { .. }) {
            let is_of_gang = matches!(record, Record::GivenUp { .. })
                && matches!(self.verdict, Some(Record::AttemptFailed { .. }));
            if !is_of_gang {
                self.verdict = Some(record.clone());
            }
        }
        if matches!(record, Record::Ended { status: exit::OK }) && !self.front.view.keep {
            // The directory goes now, and the journal with it: nobody could ever read what a sync would save.
            self.records.clear();
            self.discards = true;
            self.events.push_back(Event::Durable { seq });
            return;
        }
        self.records.push((seq, record));
    }

    /// A subtask whose input is not kept to its beginning is not started: it would be given another one.
    fn refuse_without_input(&self, subtask: SubtaskId, attempt: Attempt) -> bool {
        let Some(input) = self.input.as_ref().filter(|input| input.is_lost_for(subtask)) else {
            return false;
        };
        self.front.say(format!(
            "the standard input of subtask {subtask} was longer than the {} bytes that are kept, and cannot be given \
             again: DC_STDIN_KEEP keeps more, and a file (-i FILE or < FILE) needs no keeping",
            input.kept_bytes_max()
        ));
        let outcome = Outcome::NotLaunched { stage: LaunchStage::Input, errno: nix::libc::ENODATA };
        self.mailbox.push(Notice::Refused(Box::new(FromStarter::Ended {
            subtask,
            attempt,
            outcome,
            ran_ns: 0,
            stopped: false,
            checkpoint: None,
            progress_cells: 0,
            result: None,
            memory_short: false,
        })));
        true
    }

    /// Sends ranks what they take of standard input, until the way is full: then that wakes the loop.
    pub(super) fn serve_input(&mut self) {
        let (Some(input), Some(link)) = (&mut self.input, &mut self.link) else { return };
        loop {
            let is_cut = input.serve(|message| {
                link.send(message);
                link.unsent_bytes() < INPUT_UNSENT_BYTES_MAX
            });
            link.flush();
            if !is_cut || link.has_unsent() {
                return;
            }
        }
    }

    /// A rank has ended, or all have: they take no more input.
    pub(super) fn on_input_ended(&mut self, subtask: Option<SubtaskId>) {
        self.input.iter_mut().for_each(|input| input.on_ended(subtask));
    }

    fn start_starter(&mut self) {
        // Its forerunner may have opened any file.
        self.hello.streams.fresh = false;
        match Link::start(&self.exe, self.slots.as_fd(), self.front.record.uuid) {
            Ok((mut link, output)) => {
                link.greet(self.hello.clone());
                self.front.console.attach(output);
                self.outputs.0 += 1;
                self.link = Some(link);
            }
            Err(error) => {
                self.front.say(error.to_string());
                self.events.push_back(Event::Stop { reason: StopReason::Error });
            }
        }
    }

    fn start_merge(&mut self) {
        let merge = Merge {
            dir: self.dir.clone(),
            job: self.front.record.uuid,
            parts: parts(&self.front.record, &self.job.durable().entries),
            targets: self.front.record.options.merges.clone(),
            domain: self.domain.take(),
            around: self.around_command(),
            leash: self.leash.clone(),
        };
        let told = self.mailbox.clone();
        merge.start(move |result| told.push(Notice::Merged(result)));
    }

    /// What a command that merges is started with: the job's environment and directory, and the tag by which a resume
    /// finds what is left of it.
    fn around_command(&self) -> exec::Surroundings {
        let mut env = self.hello.env.clone();
        env.push(format!("{}={}", dcd::process::tag::JOB, self.front.record.uuid).into_bytes());
        exec::Surroundings { cwd: self.hello.cwd.clone(), env, spool: self.hello.spool.clone() }
    }

    /// Stops the command that results are given to, as ranks are stopped.
    fn stop_command(&mut self, reason: StopReason) {
        let signal = match reason {
            StopReason::Interrupted => Signal::SIGINT as u8,
            StopReason::Signal(signal) => signal,
            _ => Signal::SIGTERM as u8,
        };
        if self.leash.stop(signal) {
            let grace_ns = u64::try_from(self.front.view.grace().as_nanos()).unwrap_or(u64::MAX);
            self.command_dies_ns = Some(self.front.now_ns().saturating_add(grace_ns));
        }
    }
}
