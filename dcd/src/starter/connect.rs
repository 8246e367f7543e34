//! A rank's three streams, made before its launch: pipes, files, or nothing.

use super::Starter;
use super::attempt::State;
use super::drains::{Failed, Into};
use super::files::{FileTrouble, Opened, OwnFile};
use super::job::Job;
use super::streams::DRAIN_MAX;
use super::streams::StreamKey;
use super::table::{AttemptKey, Entry};
use super::timers::Timer;
use crate::launch::Refused;
use dc_model::LaunchStage;
use dc_model::wire::{FromStarter, INPUT_BYTES_MAX, InputThen, Launch, Sink};
use dc_spool::result::{Dtype, Layout};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

/// A rank's own ends.
#[derive(Debug)]
pub struct RankEnds {
    /// Its standard input; none: the starter's, which is /dev/null.
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    /// None: the same as standard output.
    stderr: Option<OwnedFd>,
    /// Its pipes to dcrun.
    pub streams: [Option<StreamKey>; 2],
    /// The files that it writes by itself.
    pub own: Vec<Arc<OwnFile>>,
}

impl RankEnds {
    /// Its standard input.
    #[must_use]
    pub fn stdin(&self) -> Option<BorrowedFd<'_>> {
        self.stdin.as_ref().map(AsFd::as_fd)
    }

    /// Its standard output.
    #[must_use]
    pub fn stdout(&self) -> BorrowedFd<'_> {
        self.stdout.as_fd()
    }

    /// Its standard error.
    #[must_use]
    pub fn stderr(&self) -> BorrowedFd<'_> {
        self.stderr.as_ref().unwrap_or(&self.stdout).as_fd()
    }
}

/// What goes wrong while streams are made.
enum Trouble {
    Pipes(Errno),
    File(FileTrouble),
    Result(String),
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::Pipes(errno)
    }
}

impl From<FileTrouble> for Trouble {
    fn from(trouble: FileTrouble) -> Self {
        Self::File(trouble)
    }
}

impl Starter {
    /// Makes the streams of an attempt. What was made is undone when another cannot be.
    pub(super) fn connect(&mut self, key: AttemptKey) -> Result<RankEnds, Refused> {
        let mut streams = [None; 2];
        match self.try_connect(key, &mut streams) {
            Ok(ends) => Ok(ends),
            Err(trouble) => {
                self.disconnect(key, streams);
                let (stage, errno) = match trouble {
                    Trouble::Pipes(errno) => (LaunchStage::Pipes, errno),
                    Trouble::File(FileTrouble { text, errno }) => {
                        self.control.notice(text);
                        (LaunchStage::Files, errno)
                    }
                    Trouble::Result(text) => {
                        self.control.notice(text);
                        (LaunchStage::Result, Errno::EIO)
                    }
                };
                Err(Refused { stage, errno: errno as i32 })
            }
        }
    }

    /// Forgets the streams of a rank that never ran. Pipes that are drained end by themselves.
    pub(super) fn disconnect(&mut self, key: AttemptKey, streams: [Option<StreamKey>; 2]) {
        self.streams.discard(streams);
        self.feeds.end(key);
        self.drains.on_rank_ended(key, false);
    }

    fn try_connect(
        &mut self,
        key: AttemptKey,
        streams: &mut [Option<StreamKey>; 2],
    ) -> Result<RankEnds, Trouble> {
        let (Some(entry), Some(job)) = (self.table.get(key), &mut self.job) else {
            return Err(Errno::EINVAL.into());
        };
        let launch = &*entry.launch;
        let mut own = Vec::new();
        let relays = job.files.plan().stdin.relays(launch.subtask);
        let stdin = match relays {
            true => Some(self.feeds.start(key, self.lookups.way_back())?),
            false => job.files.open_input(launch)?,
        };
        let is_one = job.files.is_one(launch)?;
        let mut ends = [None, None];
        for (i, end) in ends.iter_mut().enumerate() {
            let stderr = i == 1;
            if stderr && is_one {
                continue;
            }
            let plan = job.files.plan();
            let unbuffered = plan.unbuffered;
            let sink = if stderr { &plan.stderr } else { &plan.stdout };
            *end = Some(match sink {
                Sink::Dcrun => {
                    let (theirs, stream) = self.streams.open(launch, stderr)?;
                    streams[i] = Some(stream);
                    theirs
                }
                Sink::Null => open("/dev/null", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?,
                Sink::File(_) => match job.files.open(stderr, launch)? {
                    Opened::Own(file) => {
                        let theirs = file.share()?;
                        own.push(file);
                        theirs
                    }
                    Opened::Shared(file, mark) => {
                        let (pipe, theirs) = pipe2(OFlag::O_CLOEXEC)?;
                        let answers = self.lookups.way_back();
                        let into = Into::File(file, mark);
                        self.drains.start(key, (launch, stderr), pipe, into, unbuffered, answers)?;
                        theirs
                    }
                },
                Sink::Result => {
                    let into = result(job, launch)?;
                    let (pipe, theirs) = pipe2(OFlag::O_CLOEXEC)?;
                    let answers = self.lookups.way_back();
                    self.drains.start(key, (launch, stderr), pipe, into, unbuffered, answers)?;
                    theirs
                }
            });
        }
        let [Some(stdout), stderr] = ends else { return Err(Errno::EINVAL.into()) };
        Ok(RankEnds { stdin, stdout, stderr, streams: *streams, own })
    }

    /// The rank runs: it is asked for what it reads.
    pub(super) fn want_first_input(&mut self, key: AttemptKey) {
        if self.feeds.holds(key) {
            self.on_hungry(key, 0);
        }
    }

    /// A rank has taken what it was given.
    pub(super) fn on_hungry(&mut self, key: AttemptKey, at: u64) {
        let is_fed = self.feeds.holds(key);
        let Some(entry) = self.table.get_mut(key).filter(|_| is_fed) else { return };
        entry.wants_input_at = Some(at);
        let (subtask, attempt) = (entry.launch.subtask, entry.launch.attempt);
        self.control.tell(&FromStarter::WantInput { subtask, attempt, at, room: INPUT_BYTES_MAX });
    }

    /// A piece of an attempt's standard input has come.
    pub(super) fn on_input(&mut self, key: AttemptKey, at: u64, bytes: Vec<u8>, then: InputThen) {
        // Another's answer, or the same one again.
        let is_wanted = |entry: &mut Entry| entry.wants_input_at.take_if(|wanted| *wanted == at).is_some();
        if !self.table.get_mut(key).is_some_and(is_wanted) {
            return;
        }
        if self.table.get(key).is_none_or(|entry| entry.report.is_some()) {
            // It has ended while this was on its way.
            return;
        }
        self.feeds.give(key, bytes);
        match then {
            InputThen::More => {}
            InputThen::End => self.feeds.end(key),
            InputThen::Lost => {
                let (stage, errno) = (LaunchStage::Input, Errno::ENODATA as i32);
                if let Some(entry) = self.table.get_mut(key) {
                    entry.verdict.get_or_insert((stage, errno));
                }
                self.kill_group(key);
            }
        }
    }

    /// Its rank has ended a while ago, and what it wrote is not all in its place. A disk that hangs is waited for, unless
    /// the attempt is to be stopped.
    pub(super) fn on_drains_over(&mut self, key: AttemptKey, now: Instant) {
        let is_news = self.drains.on_time_over(key);
        let Some(entry) = self.table.get(key) else { return };
        let is_stopped = entry.signal != 0 || entry.report.is_some_and(|report| report.stopped);
        if !is_stopped || !self.drains.holds(key) {
            return;
        }
        if is_news {
            self.timers.set(now + DRAIN_MAX, Timer::DrainOver(key));
            return;
        }
        let subtask = entry.launch.subtask;
        if self.drains.abandon(key) {
            self.control.notice(format!(
                "the last words of subtask {subtask} are lost: nobody takes what is written into its file"
            ));
            if let Some(entry) = self.table.get_mut(key) {
                entry.verdict.get_or_insert((LaunchStage::Output, Errno::ETIMEDOUT as i32));
            }
            if let Some(event) = self.look_up(key) {
                self.on_event(key, event);
            }
        }
    }

    /// Dcrun wants an attempt stopped that has ended, and waits for a disk.
    pub(super) fn on_stop_while_drained(&mut self, key: AttemptKey) {
        let waits = self.table.get(key).is_some_and(|entry| entry.state == State::Looking);
        if waits && self.drains.holds(key) {
            self.timers.set(Instant::now() + DRAIN_MAX, Timer::DrainOver(key));
        }
    }

    /// Its streams failed: it can only be ended, and that it failed.
    pub(super) fn on_stream_failed(&mut self, key: AttemptKey, failed: Failed) {
        self.control.notice(failed.text);
        let Some(entry) = self.table.get_mut(key) else { return };
        entry.verdict.get_or_insert((failed.stage, failed.errno));
        if entry.report.is_none() {
            self.kill_group(key);
        }
    }
}

fn result(job: &Job, launch: &Launch) -> Result<Into, Trouble> {
    let no_place = || Trouble::Result("there is no place for results in the job's directory".to_owned());
    let results = job.results.clone().ok_or_else(no_place)?;
    let writer = results.writer(launch.subtask, launch.attempt, Dtype::U1, Layout::Bytes, 1);
    let writer = writer.map_err(|error| Trouble::Result(error.to_string()))?;
    Ok(Into::Result(writer, results))
}
