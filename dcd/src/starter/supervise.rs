//! Where an attempt's events come from, and what its acts do. What follows on what is said in `attempt`.

use super::Starter;
use super::attempt::{Act, Event, State, next};
use super::connect::RankEnds;
use super::held::Settled;
use super::job::not_a_string;
use super::lookups::Answer;
use super::memory::{Evidence, Memory};
use super::streams::DRAIN_MAX;
use super::table::{AttemptKey, Process, Report};
use super::timers::Timer;
use crate::launch::{Launched, Launcher, Plan, Refused};
use crate::process::calls::{End, Whose, peek, reap, signal_group, signal_process};
use dc_model::wire::{FromStarter, Known, KnownPhase, Launch};
use dc_model::{Attempt, CpuSet, LaunchStage, Outcome};
use nix::libc::{SIGCONT, SIGINT, SIGKILL, SIGTERM};
use nix::unistd::Pid;
use std::ffi::CString;
use std::time::Instant;

/// A launch, as far as it is made.
#[derive(Debug)]
pub(super) struct Made<T> {
    /// The process.
    pub it: T,
    /// Its streams.
    pub ends: RankEnds,
    /// Its own environment and arguments.
    pub strings: [Vec<CString>; 2],
}

impl Starter {
    /// Something happened to an attempt: does all that follows.
    pub(super) fn on_event(&mut self, key: AttemptKey, event: Event) {
        let mut happened = Some(event);
        while let Some(event) = happened.take() {
            let Some(entry) = self.table.get_mut(key) else { return };
            let was = entry.state;
            let (state, acts) = next(was, event);
            entry.state = state;
            if event == Event::Exited
                && let Some(report) = &mut entry.report
            {
                report.stopped = was.is_stopped_by_dc();
            }
            for act in acts {
                happened = self.act(key, *act).or(happened);
            }
        }
    }

    /// Does one thing; what happens at once by it is returned.
    fn act(&mut self, key: AttemptKey, act: Act) -> Option<Event> {
        match act {
            Act::Pick => return self.pick(key),
            // A gang's is launched when all of it is there.
            Act::Launch => return (!self.is_of_gang(key)).then(|| self.launch(key)),
            Act::AwaitExec => return self.await_exec(key),
            Act::TellStarted => self.tell_started(key),
            Act::Signal => self.signal(key),
            Act::Insist => self.insist(key),
            Act::StartGrace => {
                if let Some(job) = &self.job {
                    let now = Instant::now();
                    self.timers.set(now + job.grace, Timer::Grace(key));
                    self.timers.set(now + job.grace / 2, Timer::HalfGrace(key));
                }
            }
            Act::KillGroup => self.kill_group(key),
            Act::Bury => self.bury(key),
            Act::LookUp => return self.look_up(key),
            Act::Revoke => self.revoke(key),
            Act::NoteUnlaunched => {
                if let Some(entry) = self.table.get_mut(key) {
                    let outcome = Outcome::Signalled(entry.signal);
                    entry.report = Some(Report { stopped: true, ..Report::bare(outcome) });
                }
            }
            Act::TellEnded => self.tell_ended(key),
        }
        None
    }

    /// The first attempt finds no checkpoint of another.
    fn pick(&mut self, key: AttemptKey) -> Option<Event> {
        let is_of_gang = self.is_of_gang(key);
        let (Some(entry), Some(job)) = (self.table.get(key), &mut self.job) else { return None };
        let Launch { subtask, attempt, before, .. } = *entry.launch;
        if is_of_gang {
            return None;
        }
        if attempt <= Attempt(1) {
            return Some(Event::Picked);
        }
        job.wake_keeper(self.lookups.way_back());
        self.lookups.pick(job.place(), key, (subtask, attempt), before);
        None
    }

    fn launch(&mut self, key: AttemptKey) -> Event {
        let mut tried = self.try_launch(key);
        if matches!(tried, Err(refused) if self.maybe_move(key, refused)) {
            tried = self.try_launch(key);
        }
        match tried {
            Ok(process) => {
                self.table.set_process(key, process);
                self.maybe_freeze(key);
                Event::Started
            }
            Err(Refused { stage, errno }) => {
                if let Some(entry) = self.table.get_mut(key) {
                    entry.report = Some(Report::bare(Outcome::NotLaunched { stage, errno }));
                }
                Event::Refused
            }
        }
    }

    fn try_launch(&mut self, key: AttemptKey) -> Result<Process, Refused> {
        let made = self.make(key, |launcher, plan| launcher.launch(plan))?;
        let process = Process { pid: made.it.pid, since: Instant::now(), streams: made.ends.streams };
        if let Some(entry) = self.table.get_mut(key) {
            entry.own_files = made.ends.own;
        }
        self.want_first_input(key);
        self.on_launched(key, &made.it);
        Ok(process)
    }

    /// Makes pipes and all that a launch needs, and gives it to `how`.
    pub(super) fn make<T>(
        &mut self,
        key: AttemptKey,
        how: impl FnOnce(&mut Launcher, &Plan<'_>) -> Result<T, Refused>,
    ) -> Result<Made<T>, Refused> {
        let gone = Refused { stage: LaunchStage::Clone, errno: nix::errno::Errno::EINVAL as i32 };
        let (Some(entry), Some(job)) = (self.table.get(key), &self.job) else { return Err(gone) };
        let launch = &entry.launch;
        let own = job.env.own(launch, entry.origin.as_ref()).map_err(not_a_string)?;
        let args: Vec<CString> = launch
            .args
            .iter()
            .map(|arg| CString::new(&arg[..]))
            .collect::<Result<_, _>>()
            .map_err(not_a_string)?;
        let ends = self.connect(key)?;
        let (Some(entry), Some(job)) = (self.table.get(key), &self.job) else { return Err(gone) };
        let launch = &entry.launch;
        let unbound = CpuSet::new();
        let plan = Plan {
            program: &job.program,
            argv: [&job.argv, &args],
            env: [job.env.shared(), &own],
            cwd: job.cwd.as_deref(),
            cpus: if self.binds { &launch.cpus } else { &unbound },
            numa: launch.numa.filter(|_| job.prefers_memory && self.binds),
            stdin: ends.stdin(),
            stdout: ends.stdout(),
            stderr: ends.stderr(),
            mask: &self.rank_mask,
            files_max: job.files_max,
        };
        match how(&mut self.launcher, &plan) {
            Ok(it) => Ok(Made { it, ends, strings: [own, args] }),
            Err(refused) => {
                self.disconnect(key, ends.streams);
                Err(refused)
            }
        }
    }

    /// What the launch itself has to tell.
    pub(super) fn on_launched(&mut self, key: AttemptKey, launched: &Launched) {
        let Some(entry) = self.table.get_mut(key) else { return };
        let launch = &mut entry.launch;
        if let (Some(errno), Some(job)) = (launched.memory_refused, &mut self.job) {
            // The system's answer is the same for all ranks: it is told once, and not asked for again.
            job.prefers_memory = false;
            let why = std::io::Error::from_raw_os_error(errno);
            self.control.notice(format!("the system does not let ranks prefer near memory: {why}"));
        }
        if let Some(found) = &launched.bound
            && *found != launch.cpus
        {
            // From now on it is held to what it could get: this is told once.
            let wanted = std::mem::replace(&mut launch.cpus, found.clone());
            let (subtask, rank, found) = (launch.subtask, launch.rank, found.clone());
            self.control.tell(&FromStarter::Rebound { subtask, rank, wanted, found });
        }
    }

    pub(super) fn tell_started(&mut self, key: AttemptKey) {
        self.want_first_look(key);
        let Some(entry) = self.table.get_mut(key) else { return };
        let Some(process) = entry.process else { return };
        entry.told_started = true;
        self.control.tell(&FromStarter::Started {
            subtask: entry.launch.subtask,
            attempt: entry.launch.attempt,
            pid: process.pid.as_raw().unsigned_abs(),
            from: entry.origin.as_ref().map(|origin| origin.from),
        });
    }

    pub(super) fn signal(&mut self, key: AttemptKey) {
        let Some((pid, signal)) = self.table.get(key).and_then(|e| Some((e.process?.pid, e.signal))) else {
            return;
        };
        if let (Some(entry), Some(slots)) =
            (self.table.get(key), self.job.as_ref().and_then(|j| j.slots.as_ref()))
        {
            // Its library then says that a checkpoint is due.
            slots.want_checkpoint(entry.launch.rank, entry.launch.subtask, entry.launch.attempt);
        }
        // A rank that has left its group is still ours to reach: it is not reaped.
        if signal_group(pid, signal).is_err() {
            let _ = signal_process(pid, signal);
        }
        let _ = signal_group(pid, SIGCONT as u8);
    }

    /// Who has ignored SIGINT, as shells have it done for what they start in the background, gets SIGTERM.
    fn insist(&mut self, key: AttemptKey) {
        let Some(entry) = self.table.get_mut(key).filter(|entry| i32::from(entry.signal) == SIGINT) else {
            return;
        };
        entry.signal = SIGTERM as u8;
        self.signal(key);
    }

    pub(super) fn kill_group(&mut self, key: AttemptKey) {
        let Some(entry) = self.table.get(key) else { return };
        // Of one that is reaped the number may be another's.
        let is_its_own = |process: &Process| self.table.of_pid(process.pid) == Some(key);
        let Some(Process { pid, .. }) = entry.process.filter(is_its_own) else { return };
        let _ = signal_group(pid, SIGKILL as u8);
        if entry.report.is_none() {
            // It may have left its group.
            let _ = signal_process(pid, SIGKILL as u8);
        }
    }

    fn bury(&mut self, key: AttemptKey) {
        let Some(process) = self.table.get(key).and_then(|entry| entry.process) else { return };
        let _ = reap(Whose::Pid(process.pid));
        self.table.forget_pid(process.pid);
        self.launcher.forget(process.pid);
        self.free_follower(key);
        self.orphans.want_look();
        let now = Instant::now();
        for stream in process.streams.into_iter().flatten() {
            self.streams.on_rank_ended(stream, now, &mut self.output, &mut self.timers);
        }
        self.feeds.end(key);
        if self.drains.holds(key) {
            let entry = self.table.get(key);
            let counts = entry.is_some_and(|entry| {
                entry.verdict.is_none() && entry.report.is_some_and(|r| r.outcome.success() && !r.stopped)
            });
            self.drains.on_rank_ended(key, counts);
            self.timers.set(now + DRAIN_MAX, Timer::DrainOver(key));
        }
    }

    /// The progress is in memory, and a result that is not there is one call: the rest is looked up off the loop.
    pub(super) fn look_up(&mut self, key: AttemptKey) -> Option<Event> {
        if self.drains.holds(key) {
            // What it wrote is not all in its place yet: looked up when it is.
            return None;
        }
        let (Some(entry), Some(job)) = (self.table.get_mut(key), &mut self.job) else { return None };
        let Launch { subtask, attempt, rank, .. } = *entry.launch;
        let own_files = std::mem::take(&mut entry.own_files);
        let report = entry.report.as_mut()?;
        if let Some(trouble) = own_files.iter().find_map(|file| file.check_room().err()) {
            // One that failed by itself has failed, perhaps for this reason.
            if report.outcome.success() {
                entry.verdict.get_or_insert((LaunchStage::Output, trouble.errno as i32));
            }
            self.control.notice(trouble.text);
        }
        if let (Some((stage, errno)), false) = (entry.verdict, report.stopped) {
            report.outcome = Outcome::NotLaunched { stage, errno };
        }
        let progress = job.slots.as_ref().and_then(|slots| slots.read(rank));
        if let Some(progress) = progress.filter(|p| (p.subtask, p.attempt) == (subtask, attempt)) {
            report.progress_cells = progress.cells;
            if progress.checkpoints > 0 {
                job.wake_keeper(self.lookups.way_back());
            }
        }
        if !report.outcome.success() {
            self.lookups.left(job.place(), key, (subtask, attempt));
            return None;
        }
        match job.results.as_ref().map_or(Ok(None), |results| results.meta(subtask, attempt)) {
            Ok(result) => report.result = result,
            Err(e) => self.control.notice(format!("subtask {subtask}: its result cannot be used: {e}")),
        }
        job.keeper.on_at_rest(subtask);
        Some(Event::Found)
    }

    /// Its cores are free: whoever waits for them comes next.
    fn free_follower(&mut self, key: AttemptKey) {
        self.freed.extend(self.table.take_follower(key));
    }

    fn tell_ended(&mut self, key: AttemptKey) {
        self.free_follower(key);
        let Some(entry) = self.table.remove(key) else { return };
        let ended = || Known { phase: KnownPhase::Ended, ..entry.known() };
        entry.ended().iter().for_each(|message| self.control.tell_end(message, ended));
        self.on_subtask_free(entry.launch.subtask);
    }

    /// Children have ended: ranks, or orphans that came to us.
    pub(super) fn on_children(&mut self) {
        while let Ok(Some((pid, end))) = peek(Whose::Any) {
            match self.table.of_pid(pid) {
                Some(key) => self.on_rank_exited(key, end),
                None if self.on_launcher_exited(pid, end) => {}
                None => self.on_orphan_exited(pid),
            }
        }
    }

    pub(super) fn on_rank_exited(&mut self, key: AttemptKey, end: End) {
        if self.settle_held(key) == Settled::Over {
            return;
        }
        if let Some(entry) = self.table.get_mut(key) {
            let is_free = !entry.state.is_stopped_by_dc();
            let memory = self.memory.as_mut().filter(|_| is_free);
            let (outcome, memory_short) = outcome(end, entry.process, memory);
            let ran = entry.process.map(|process| process.since.elapsed()).unwrap_or_default();
            let ran_ns = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX);
            entry.report = Some(Report { ran_ns, memory_short, ..Report::bare(outcome) });
        }
        let report = self.table.get(key).and_then(|entry| entry.report);
        self.on_event(key, Event::Exited);
        if let Some(report) = report.filter(|_| self.gang.is_some()) {
            self.on_gang_rank_exited(key, report);
            self.maybe_gang_over();
        }
    }

    fn on_orphan_exited(&mut self, pid: Pid) {
        let _ = reap(Whose::Pid(pid));
        self.launcher.forget(pid);
        self.orphans.forget(pid);
    }

    /// A timer is due.
    pub(super) fn on_timer(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::Grace(key) => self.on_event(key, Event::GraceOver),
            Timer::HalfGrace(key) => self.on_event(key, Event::HalfGraceOver),
            Timer::Group => self.enter_group(),
            Timer::Gang(serial, deadline) => self.on_gang_deadline(serial, deadline),
            Timer::Look(key) => self.on_look(key, now),
            Timer::Drain(key) => self.streams.on_drain_over(key, &mut self.output),
            Timer::DrainOver(key) => self.on_drains_over(key, now),
        }
    }

    /// Threads beside the loop have found something.
    pub(super) fn on_answers(&mut self) {
        for answer in self.lookups.take() {
            self.on_answer(answer);
        }
    }

    pub(super) fn on_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Picked { key, origin } => {
                if let Some(entry) = self.table.get_mut(key) {
                    entry.origin = origin;
                }
                self.on_event(key, Event::Picked);
            }
            Answer::PickedSet { origins } => self.on_set_picked(origins),
            Answer::Left { key, checkpoint } => {
                if let Some(report) = self.table.get_mut(key).and_then(|entry| entry.report.as_mut()) {
                    report.checkpoint = checkpoint;
                }
                self.on_event(key, Event::Found);
            }
            Answer::Drained { key, failed } => {
                let is_last = self.drains.on_drained(key);
                failed.into_iter().for_each(|failed| self.on_stream_failed(key, failed));
                let is_over = self.table.get(key).is_some_and(|entry| entry.state == State::Looking);
                if is_last
                    && is_over
                    && let Some(event) = self.look_up(key)
                {
                    self.on_event(key, event);
                }
            }
            Answer::Hungry { key, at } => self.on_hungry(key, at),
            Answer::Notice(text) => self.control.notice(text),
        }
    }
}

/// How an attempt ended, and whether something was killed for want of memory meanwhile. A shell whose command was killed
/// ends with 128 + 9, and so do those that were written after it.
fn outcome(end: End, process: Option<Process>, memory: Option<&mut Memory>) -> (Outcome, bool) {
    const KILLED: u8 = SIGKILL as u8;
    const COMMAND_KILLED: u8 = dc_model::exit::SIGNAL_BASE + KILLED;
    let plain = match end {
        End::Exited(status) => Outcome::Exited(status),
        End::Signalled(signal) => Outcome::Signalled(signal),
    };
    let (Some(memory), Some(process)) = (memory, process) else { return (plain, false) };
    let evidence = match end {
        End::Signalled(KILLED) => memory.explain(Some(process.pid), process.since),
        End::Exited(COMMAND_KILLED) => memory.explain(None, process.since),
        _ => return (plain, false),
    };
    match evidence {
        Evidence::Nothing => (plain, false),
        Evidence::Somebody => (plain, true),
        Evidence::This => (Outcome::OutOfMemory, false),
    }
}
