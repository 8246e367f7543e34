//! What dcrun says, one message at a time.

use super::attempt::{Event, State};
use super::control::Gone;
use super::job::Job;
use super::table::{AttemptKey, Entry};
use super::{Ending, LAUNCHES_A_TURN_MAX, Starter, Taken};
use dc_model::wire::{FromStarter, Hello, Launch, ToStarter};
use dc_model::{Attempt, SubtaskId};
use nix::libc::SIGKILL;

impl Starter {
    /// Takes the messages that have come, as many as fit into a turn.
    pub(super) fn on_messages(&mut self) -> Result<Taken, Gone> {
        let mut launches = 0;
        while launches < LAUNCHES_A_TURN_MAX {
            let message = match self.control.next() {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(Taken::All),
                // Nothing that follows can be read: as if dcrun were gone.
                Err(e) => return Err(self.turn_away(format!("the starter was sent a message that {e}"))),
            };
            match message {
                ToStarter::Hello(hello) => self.on_hello(&hello)?,
                ToStarter::Launch(launch) => {
                    launches += 1;
                    self.on_launch(launch)?;
                }
                ToStarter::Gang(gang) => {
                    if let Some(gang) = self.admit_gang(gang)? {
                        self.on_gang(*gang);
                    }
                }
                ToStarter::Stop { subtask, attempt, signal } => self.on_stop(subtask, attempt, signal),
                ToStarter::Input { subtask, attempt, at, bytes, then } => {
                    if let Some(key) = self.table.of_subtask(subtask, attempt) {
                        self.on_input(key, at, bytes, then);
                    }
                }
                ToStarter::Signal { signal, leaders_only, wants_checkpoint } => {
                    self.pass_on(signal, leaders_only, wants_checkpoint);
                }
                ToStarter::KillAll if self.is_serving() => self.strike(),
                ToStarter::KillAll => return Ok(Taken::Ending(Ending::KillAll)),
                ToStarter::Bye => self.bye = true,
                message => {
                    if let Some(taken) = self.on_serve_message(&message)? {
                        return Ok(taken);
                    }
                }
            }
        }
        Ok(Taken::Some)
    }

    /// What came is not to be borne with: of one that serves its connection ends, of another all does.
    fn turn_away(&mut self, why: String) -> Gone {
        if self.is_serving() {
            return self.refuse(why);
        }
        self.control.notice(format!("{why}, and ends"));
        self.control.flush();
        Gone
    }

    fn on_stop(&mut self, subtask: SubtaskId, attempt: Attempt, signal: u8) {
        // Whoever ended before the word came was not stopped by it.
        self.on_children();
        if self.stop_late(subtask, attempt, signal) {
            return;
        }
        let Some(key) = self.table.of_subtask(subtask, attempt) else { return };
        let was = self.table.get(key).map(|entry| (entry.state, entry.signal));
        // The same word again, by another way.
        if self.is_serving() && was == Some((State::Stopping, signal)) {
            return;
        }
        self.stop_by(key, signal);
    }

    /// dc wants it stopped by this signal.
    pub(super) fn stop_by(&mut self, key: AttemptKey, signal: u8) {
        self.keep_from_exec(key);
        if let Some(entry) = self.table.get_mut(key) {
            entry.signal = signal;
        }
        let kill = i32::from(signal) == SIGKILL;
        self.on_gang_stopped(key, signal);
        self.on_event(key, if kill { Event::Kill } else { Event::Stop });
        self.on_stop_while_drained(key);
    }
    fn on_hello(&mut self, hello: &Hello) -> Result<(), Gone> {
        if self.on_serve_hello(hello)? {
            return Ok(());
        }
        if self.job.is_some() {
            self.control.notice("the starter was told of a second job, and keeps to its first");
            return Ok(());
        }
        let mut missing = Vec::new();
        let Ok(job) = self.progress.try_clone().map(|progress| Job::new(hello, progress, &mut missing))
        else {
            self.forget_hello();
            return Err(self.turn_away("the starter has no descriptors left".to_owned()));
        };
        let Ok(job) = job else {
            self.forget_hello();
            return Err(
                self.turn_away("the starter was given a path or a variable with a zero byte".to_owned())
            );
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

    fn on_launch(&mut self, launch: Box<Launch>) -> Result<(), Gone> {
        if self.job.is_none() {
            let why = "the starter was told to launch before it knew the job";
            if self.is_serving() {
                return Err(self.refuse(why));
            }
            self.control.notice(why);
            return Ok(());
        }
        if let Some(launch) = self.admit(launch)? {
            self.begin_attempt(launch);
        }
        Ok(())
    }

    /// Launches that have waited.
    pub(super) fn launch_late(&mut self) {
        let mut launches = 0;
        while launches < LAUNCHES_A_TURN_MAX
            && let Some(launch) = self.next_late()
        {
            launches += 1;
            self.begin_attempt(launch);
        }
        if let Some(gang) = self.next_late_gang() {
            self.on_gang(*gang);
        }
    }

    fn begin_attempt(&mut self, launch: Box<Launch>) {
        let (subtask, attempt) = (launch.subtask, launch.attempt);
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
