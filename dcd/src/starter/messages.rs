//! What dcrun says, one message at a time.

use super::attempt::{Event, State};
use super::control::Gone;
use super::job::Job;
use super::table::Entry;
use super::{Ending, LAUNCHES_A_TURN_MAX, Starter, Taken};
use dc_model::wire::{FromStarter, Hello, Launch, ToStarter};
use nix::libc::SIGKILL;

impl Starter {
    /// Takes the messages that have come, as many as fit into a turn.
    pub(super) fn on_messages(&mut self) -> Result<Taken, Gone> {
        let mut launches = 0;
        while launches < LAUNCHES_A_TURN_MAX {
            let message = match self.control.next() {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(Taken::All),
                Err(e) => {
                    // Nothing that follows can be read: as if dcrun were gone.
                    self.control.notice(format!("the starter was sent a message that {e}, and ends"));
                    self.control.flush();
                    return Err(Gone);
                }
            };
            match message {
                ToStarter::Hello(hello) => self.on_hello(&hello)?,
                ToStarter::Launch(launch) => {
                    launches += 1;
                    self.on_launch(launch);
                }
                ToStarter::Gang(gang) => self.on_gang(*gang),
                ToStarter::Stop { subtask, attempt, signal } => {
                    // Whoever ended before dcrun's word came was not stopped by it.
                    self.on_children();
                    if let Some(key) = self.table.of_subtask(subtask, attempt) {
                        self.keep_from_exec(key);
                        if let Some(entry) = self.table.get_mut(key) {
                            entry.signal = signal;
                        }
                        let kill = i32::from(signal) == SIGKILL;
                        self.on_gang_stopped(key, signal);
                        self.on_event(key, if kill { Event::Kill } else { Event::Stop });
                        self.on_stop_while_drained(key);
                    }
                }
                ToStarter::Input { subtask, attempt, at, bytes, then } => {
                    if let Some(key) = self.table.of_subtask(subtask, attempt) {
                        self.on_input(key, at, bytes, then);
                    }
                }
                ToStarter::Signal { signal, leaders_only, wants_checkpoint } => {
                    self.pass_on(signal, leaders_only, wants_checkpoint);
                }
                ToStarter::KillAll => return Ok(Taken::Ending(Ending::KillAll)),
                ToStarter::Bye => self.bye = true,
                ToStarter::Open(_)
                | ToStarter::Ack { .. }
                | ToStarter::Lease { .. }
                | ToStarter::AckOutput { .. }
                | ToStarter::Close => {
                    self.control.notice("the starter was told what is for one that serves");
                }
            }
        }
        Ok(Taken::Some)
    }

    fn on_hello(&mut self, hello: &Hello) -> Result<(), Gone> {
        if self.job.is_some() {
            self.control.notice("the starter was told of a second job, and keeps to its first");
            return Ok(());
        }
        let mut missing = Vec::new();
        let Ok(job) = self.progress.try_clone().map(|progress| Job::new(hello, progress, &mut missing))
        else {
            self.control.notice("the starter has no descriptors left, and ends");
            self.control.flush();
            return Err(Gone);
        };
        let Ok(job) = job else {
            self.control.notice("the starter was given a path or a variable with a zero byte, and ends");
            self.control.flush();
            return Err(Gone);
        };
        self.job = Some(job);
        if hello.streams.unbuffered {
            self.streams.pass_on_at_once();
        }
        self.control.tell(&FromStarter::Ready { pid: std::process::id() });
        missing.into_iter().for_each(|line| self.control.notice(line));
        self.want_group();
        Ok(())
    }

    fn on_launch(&mut self, launch: Box<Launch>) {
        let (subtask, attempt) = (launch.subtask, launch.attempt);
        if self.job.is_none() {
            self.control.notice("the starter was told to launch before it knew the job");
            return;
        }
        let after = launch.after.and_then(|(subtask, attempt)| self.table.of_subtask(subtask, attempt));
        let Some(key) = self.table.add(launch) else {
            self.control
                .notice(format!("subtask {subtask} runs already; attempt {attempt} was not launched"));
            return;
        };
        // One that has ended, and of which only the reports are still to come, has nothing to wait for.
        match after.filter(|ahead| self.table.get(*ahead).is_some_and(|entry| entry.state.holds_cores())) {
            Some(ahead) => {
                let ahead = self.table.last_behind(ahead);
                self.table.follow(ahead, key);
                // Behind one that waits itself nobody is held: that may be stopped, and this one is not to go on then.
                let is_launched = |entry: &&Entry| !matches!(entry.state, State::Following | State::Held);
                let forerunner = self.table.get(ahead).filter(is_launched).and_then(|entry| entry.process);
                if forerunner.is_some_and(|forerunner| self.try_hold(key, forerunner.pid)) {
                    self.on_event(key, Event::Made);
                }
            }
            None => self.on_event(key, Event::Freed),
        }
    }
}
