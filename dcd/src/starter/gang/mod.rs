//! A gang: the ranks of an MPI job, started by their MPI's own launcher, each through a shim that comes back here. The
//! kernels start when all shims are there. What is told of a rank is what its shim says; the launcher's word proves
//! nothing. There is a deadline on everything that the launcher is to do.

mod command;
mod door;
mod list;

use super::Starter;
use super::attempt::{Event, State};
use super::env::Origin;
use super::job::not_a_string;
use super::streams::StreamKey;
use super::table::{AttemptKey, Process, Report};
use super::timers::Timer;
use crate::launch::{Launched, Plan, Refused};
use crate::process::calls::{End, Whose, reap, reap_blocking, signal_group, signal_process};
use crate::shim::words::{FromShim, GANG_VARIABLE, GO, Orders, REAP, SHIM_WORD};
use dc_model::wire::{self, FromStarter};
use dc_model::{Attempt, CpuSet, LaunchStage, Outcome};
use door::{Came, Door};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::SIGKILL;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{Pid, pipe2, read, write};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the launcher may take to end after its ranks, and ranks to end after their launcher.
const LINGER: Duration = Duration::from_secs(5);
const ORPHANED: Duration = Duration::from_secs(2);
/// So much of what the launcher says is kept.
const CHATTER_BYTES_MAX: usize = 16 << 10;

/// What is waited for until a deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Deadline {
    /// All shims.
    Assembled,
    /// The end of ranks whose launcher has ended.
    Orphaned,
    /// The launcher's end after its ranks.
    Lingering,
}

/// Where a gang stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Its set of checkpoints is being picked.
    Picking,
    /// Its shims are coming.
    Assembling,
    /// All are there, and their kernels were started.
    Running,
    /// No rank runs any more, or will.
    Over,
}

/// One rank.
#[derive(Debug)]
struct Seat {
    /// Its subtasks' attempts; the first has the process.
    keys: Vec<AttemptKey>,
    /// Its shim's connection.
    shim: Option<usize>,
    streams: [Option<StreamKey>; 2],
    /// The list of its subtasks, kept open while it runs.
    list: Option<OwnedFd>,
    /// Its kernel has ended, or will never start.
    is_over: bool,
}

/// A gang that is not over.
#[derive(Debug)]
pub struct Gang {
    what: wire::Gang,
    /// Counts gangs: a timer of another one is late.
    serial: u64,
    stage: Stage,
    seats: Vec<Seat>,
    door: Door,
    launcher: Option<Pid>,
    chatter_pipe: Option<OwnedFd>,
    chatter: Vec<u8>,
    /// The launcher did not do what it was to do.
    failed: bool,
    directory: Option<PathBuf>,
}

impl Gang {
    /// Readable when something has come.
    #[must_use]
    pub fn door(&self) -> &nix::sys::epoll::Epoll {
        self.door.epoll()
    }

    /// The launcher's process.
    #[must_use]
    pub fn launcher(&self) -> Option<Pid> {
        self.launcher
    }

    /// Its launcher is killed and reaped: the number is free.
    pub fn on_all_killed(&mut self) {
        self.launcher = None;
    }

    fn seat_of(&self, connection: usize) -> Option<usize> {
        self.seats.iter().position(|seat| seat.shim == Some(connection))
    }
}

fn refused(stage: LaunchStage, errno: Errno) -> Outcome {
    Outcome::NotLaunched { stage, errno: errno as i32 }
}

impl Starter {
    /// dcrun wants a gang: its checkpoints are picked first, all from one set.
    pub(super) fn on_gang(&mut self, mut what: wire::Gang) {
        self.drop_gang();
        let lists = std::mem::take(&mut what.ranks);
        if let Some(job) = &mut self.job {
            job.make_room_for_gang(u32::try_from(lists.len()).unwrap_or(u32::MAX));
        }
        let door = match Door::open(lists.len()) {
            Ok(door) => door,
            Err(errno) => return self.refuse_gang(&lists, errno),
        };
        let subtasks: Vec<_> = lists.iter().flatten().map(|launch| launch.subtask).collect();
        let first = lists.iter().flatten().next().map(|launch| (launch.attempt, launch.before));
        let (Some(job), Some((attempt, before))) = (&mut self.job, first) else { return };
        job.gang = subtasks.clone();
        let mut seats = Vec::with_capacity(lists.len());
        for list in lists {
            let keys: Vec<_> =
                list.into_iter().filter_map(|launch| self.table.add(Box::new(launch))).collect();
            seats.push(Seat { keys, shim: None, streams: [None; 2], list: None, is_over: false });
        }
        self.gangs += 1;
        self.gang = Some(Gang {
            what,
            serial: self.gangs,
            stage: Stage::Picking,
            seats,
            door,
            launcher: None,
            chatter_pipe: None,
            chatter: Vec::new(),
            failed: false,
            directory: None,
        });
        let keys = self.gang_keys();
        for key in &keys {
            self.on_event(*key, Event::Freed);
        }
        if attempt <= Attempt(1) {
            return self.on_set_picked(Vec::new());
        }
        if let Some(job) = &mut self.job {
            job.wake_keeper(self.lookups.way_back());
            self.lookups.pick_set(job.place(), keys.into_iter().zip(subtasks).collect(), attempt, before);
        }
    }

    fn refuse_gang(&mut self, lists: &[Vec<wire::Launch>], errno: Errno) {
        for launch in lists.iter().flatten() {
            if let Some(key) = self.table.add(Box::new(launch.clone())) {
                self.end_unstarted(key, refused(LaunchStage::Launcher, errno), false);
            }
        }
    }

    fn gang_keys(&self) -> Vec<AttemptKey> {
        self.gang.iter().flat_map(|gang| &gang.seats).flat_map(|seat| seat.keys.clone()).collect()
    }

    /// Whether this attempt is a gang's: its checkpoint and its process come in other ways.
    pub(super) fn is_of_gang(&self, key: AttemptKey) -> bool {
        self.gang.iter().flat_map(|gang| &gang.seats).any(|seat| seat.keys.contains(&key))
    }

    /// The set is known: the launcher is started.
    pub(super) fn on_set_picked(&mut self, origins: Vec<(AttemptKey, Origin)>) {
        if !self.gang.as_ref().is_some_and(|gang| gang.stage == Stage::Picking) {
            return;
        }
        for (key, origin) in origins {
            if let Some(entry) = self.table.get_mut(key) {
                entry.origin = Some(origin);
            }
        }
        for key in self.gang_keys() {
            self.on_event(key, Event::Picked);
        }
        if let Err(outcome) = self.try_assemble() {
            self.fail_gang(outcome, false);
        }
    }

    fn try_assemble(&mut self) -> Result<(), Outcome> {
        let no_launcher = |errno| refused(LaunchStage::Launcher, errno);
        let no_file = |e: std::io::Error| no_launcher(e.raw_os_error().map_or(Errno::EIO, Errno::from_raw));
        let (Some(gang), Some(job)) = (&mut self.gang, &self.job) else { return Ok(()) };
        gang.stage = Stage::Assembling;
        if gang.what.family == dc_model::MpiFamily::OpenMpi {
            gang.directory = Some(command::private_directory(job.uuid).map_err(no_file)?);
        }
        let shim = std::env::current_exe().map_err(no_file)?;
        let words = [shim.as_os_str().as_bytes(), SHIM_WORD.as_bytes()];
        let of_string = |e| {
            let Refused { stage, errno } = not_a_string(e);
            Outcome::NotLaunched { stage, errno }
        };
        let argv = command::arguments(gang.what.family, gang.seats.len(), gang.directory.as_deref(), &words)
            .map_err(of_string)?;
        let shared = job.env.shared();
        let has = |name: &str| {
            shared
                .iter()
                .any(|var| var.to_bytes().strip_prefix(name.as_bytes()).is_some_and(|v| v.starts_with(b"=")))
        };
        let mut env = command::variables(gang.what.family, has);
        env.push(format!("{GANG_VARIABLE}={}", gang.door.address()));
        let env: Vec<CString> =
            env.into_iter().map(CString::new).collect::<Result<_, _>>().map_err(of_string)?;
        let program = CString::new(&gang.what.launcher[..]).map_err(of_string)?;
        let (pipe, said) = pipe2(OFlag::O_CLOEXEC).map_err(no_launcher)?;
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(no_launcher)?;
        gang.door.add_chatter(&pipe).map_err(no_launcher)?;
        let plan = Plan {
            program: &program,
            argv: [&argv, &[]],
            env: [shared, &env],
            cwd: job.cwd.as_deref(),
            cpus: &CpuSet::new(),
            numa: None,
            stdin: None,
            stdout: said.as_fd(),
            stderr: said.as_fd(),
            mask: &self.rank_mask,
            files_max: job.files_max,
        };
        let launched = self.launcher.launch(&plan).map_err(|e| no_launcher(Errno::from_raw(e.errno)))?;
        gang.launcher = Some(launched.pid);
        gang.chatter_pipe = Some(pipe);
        let deadline = Instant::now() + Duration::from_millis(gang.what.timeout_ms);
        self.timers.set(deadline, Timer::Gang(gang.serial, Deadline::Assembled));
        Ok(())
    }

    /// Something has come from shims or the launcher.
    pub(super) fn on_gang_ready(&mut self) {
        let Some(gang) = &mut self.gang else { return };
        for came in gang.door.take() {
            match came {
                Came::Chatter => self.on_chatter(),
                Came::Word(connection, Some(word)) => self.on_shim(connection, word),
                Came::Word(connection, None) => self.on_shim_gone(connection),
            }
        }
        self.maybe_gang_over();
    }

    fn on_shim(&mut self, connection: usize, word: FromShim) {
        let Some(gang) = &mut self.gang else { return };
        match (word, gang.seat_of(connection)) {
            (FromShim::Hello { token, rank, size }, None) => {
                let count = gang.seats.len();
                let is_ours = token == gang.door.token && gang.stage == Stage::Assembling;
                let free = gang.seats.get_mut(rank as usize).filter(|seat| seat.shim.is_none());
                match free.filter(|_| is_ours && (size == 0 || size as usize == count)) {
                    Some(seat) => seat.shim = Some(connection),
                    None => return gang.door.close(connection),
                }
                if gang.seats.iter().all(|seat| seat.shim.is_some()) {
                    gang.stage = Stage::Running;
                    self.start_kernels();
                }
            }
            (FromShim::Started(launched), Some(seat)) => self.on_kernel_started(seat, &launched),
            (FromShim::Refused(Refused { stage, errno }), Some(seat)) => {
                self.end_seat(seat, Outcome::NotLaunched { stage, errno }, false);
                self.close_shim(connection);
            }
            (FromShim::Ended(end), Some(seat)) => {
                self.on_kernel_ended(seat, end);
                if let Some(gang) = &self.gang {
                    let _ = gang.door.send(connection, REAP, &[]);
                }
            }
            _ => self.on_shim_gone(connection),
        }
    }

    fn close_shim(&mut self, connection: usize) {
        if let Some(gang) = &mut self.gang {
            gang.door.close(connection);
        }
    }

    /// All shims are there: each is told what to run.
    fn start_kernels(&mut self) {
        for seat in 0..self.gang.as_ref().map_or(0, |gang| gang.seats.len()) {
            if let Err(Refused { stage, errno }) = self.try_start_kernel(seat) {
                self.end_seat(seat, Outcome::NotLaunched { stage, errno }, false);
            }
        }
    }

    fn try_start_kernel(&mut self, seat: usize) -> Result<(), Refused> {
        let gone = |errno: Errno| Refused { stage: LaunchStage::Launcher, errno: errno as i32 };
        let Some(gang) = &mut self.gang else { return Err(gone(Errno::ECHILD)) };
        let keys = gang.seats[seat].keys.clone();
        let (Some(lead), Some(connection)) = (keys.first().copied(), gang.seats[seat].shim) else {
            return Err(gone(Errno::ENOTCONN));
        };
        let mut extra = Vec::new();
        if keys.len() > 1 {
            let entries = keys.iter().filter_map(|key| self.table.get(*key));
            let text: Vec<u8> =
                entries.flat_map(|entry| list::line(&entry.launch, entry.origin.as_ref())).collect();
            let file = memory_file(&text).map_err(gone)?;
            extra =
                format!("DC_SUBTASK_FILE=/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into_bytes();
            gang.seats[seat].list = Some(file);
            // They stand in the list: one subtask's would be taken for all.
            if let Some(entry) = self.table.get_mut(lead) {
                entry.launch.args.clear();
            }
        }
        let mut orders = None;
        let mut files: Vec<OwnedFd> = Vec::new();
        let made = self.make(lead, |_, plan| {
            let bytes = |list: &[&[CString]; 2]| -> Vec<Vec<u8>> {
                list.iter().flat_map(|part| part.iter()).map(|item| item.to_bytes().to_vec()).collect()
            };
            let mut env = bytes(&[&[], plan.env[1]]);
            if !extra.is_empty() {
                env.push(extra);
            }
            orders = Some(Orders {
                program: plan.program.to_bytes().to_vec(),
                argv: bytes(&plan.argv),
                env,
                cwd: plan.cwd.map(|cwd| cwd.to_bytes().to_vec()),
                cpus: plan.cpus.clone(),
                numa: plan.numa,
                files_max: plan.files_max,
            });
            for stream in [Some(plan.stdout), Some(plan.stderr), plan.stdin].into_iter().flatten() {
                let copy = stream.try_clone_to_owned();
                files.push(copy.map_err(|e| gone(e.raw_os_error().map_or(Errno::EMFILE, Errno::from_raw)))?);
            }
            Ok(())
        })?;
        if let Some(entry) = self.table.get_mut(lead) {
            entry.own_files = made.ends.own;
        }
        let streams = made.ends.streams;
        let sent = memory_file(&orders.unwrap_or_default().encode()).and_then(|file| {
            let mut fds = vec![file.as_fd()];
            fds.extend(files.iter().map(AsFd::as_fd));
            self.gang.as_ref().ok_or(Errno::ECHILD)?.door.send(connection, GO, &fds)
        });
        match sent {
            Ok(()) => {
                if let Some(gang) = &mut self.gang {
                    gang.seats[seat].streams = streams;
                }
                self.want_first_input(lead);
                Ok(())
            }
            Err(errno) => {
                self.disconnect(lead, streams);
                Err(gone(errno))
            }
        }
    }

    fn on_kernel_started(&mut self, seat: usize, launched: &Launched) {
        let Some(gang) = &self.gang else { return };
        let (keys, streams) = (gang.seats[seat].keys.clone(), gang.seats[seat].streams);
        let Some((lead, riders)) = keys.split_first() else { return };
        let Some(state) =
            self.table.get(*lead).filter(|entry| entry.process.is_none()).map(|entry| entry.state)
        else {
            return;
        };
        self.table.set_process(*lead, Process { pid: launched.pid, since: Instant::now(), streams });
        self.on_launched(*lead, launched);
        self.maybe_freeze(*lead);
        self.on_event(*lead, Event::Started);
        for rider in riders {
            self.on_event(*rider, Event::Started);
            if let Some(entry) = self.table.get_mut(*rider) {
                entry.told_started = true;
                self.control.tell(&FromStarter::Started {
                    subtask: entry.launch.subtask,
                    attempt: entry.launch.attempt,
                    pid: launched.pid.as_raw().unsigned_abs(),
                    from: entry.origin.as_ref().map(|origin| origin.from),
                });
            }
        }
        // It was to be stopped before it was there.
        match state {
            State::Stopping => self.signal(*lead),
            State::Killing => self.kill_group(*lead),
            _ => {}
        }
    }

    /// By its shim's word, or as a child that came to us when its shim was killed.
    fn on_kernel_ended(&mut self, seat: usize, end: End) {
        let Some(gang) = &self.gang else { return };
        let keys = gang.seats[seat].keys.clone();
        if let Some(lead) = keys.first()
            && self.table.get(*lead).is_some_and(|entry| entry.process.is_some() && entry.report.is_none())
        {
            self.on_rank_exited(*lead, end);
        }
    }

    /// A rank of a gang has ended: all of its subtasks have.
    pub(super) fn on_gang_rank_exited(&mut self, lead: AttemptKey, report: Report) {
        let Some(gang) = &mut self.gang else { return };
        let Some(seat) = gang.seats.iter_mut().find(|seat| seat.keys.first() == Some(&lead)) else { return };
        seat.is_over = true;
        seat.list = None;
        for rider in seat.keys.clone().into_iter().skip(1) {
            if let Some(entry) = self.table.get_mut(rider) {
                entry.report = Some(Report { ran_ns: report.ran_ns, ..Report::bare(report.outcome) });
            }
            self.on_event(rider, Event::Exited);
        }
    }

    /// A shim is gone without having told of an end: somebody has killed it, and by that its kernel.
    fn on_shim_gone(&mut self, connection: usize) {
        let Some(gang) = &mut self.gang else { return };
        gang.door.close(connection);
        let Some(seat) = gang.seat_of(connection) else { return };
        if gang.seats[seat].is_over {
            return;
        }
        match gang.stage {
            Stage::Assembling => {
                gang.failed = true;
                self.fail_gang(refused(LaunchStage::Launcher, Errno::ECONNRESET), false);
            }
            Stage::Running => {
                let keys = gang.seats[seat].keys.clone();
                let has_process =
                    keys.first().and_then(|lead| self.table.get(*lead)).is_some_and(|e| e.process.is_some());
                if has_process {
                    // Not by itself: it counts as stopped. The end comes as a child's.
                    keys.iter().rev().for_each(|key| self.on_event(*key, Event::Kill));
                    self.on_children();
                } else {
                    self.end_seat(seat, refused(LaunchStage::Launcher, Errno::ECONNRESET), false);
                }
            }
            Stage::Picking | Stage::Over => {}
        }
    }

    /// None of a rank's subtasks will start.
    fn end_seat(&mut self, seat: usize, outcome: Outcome, stopped: bool) {
        let Some(gang) = &mut self.gang else { return };
        gang.seats[seat].is_over = true;
        for key in gang.seats[seat].keys.clone() {
            self.end_unstarted(key, outcome, stopped);
        }
    }

    fn end_unstarted(&mut self, key: AttemptKey, outcome: Outcome, stopped: bool) {
        let Some(entry) = self.table.get_mut(key).filter(|entry| entry.process.is_none()) else { return };
        if matches!(entry.state, State::Following | State::Picking) {
            entry.state = State::Launching;
        }
        entry.report = Some(Report { stopped, ..Report::bare(outcome) });
        self.on_event(key, Event::Refused);
    }

    /// The gang will not come together: nothing of it is left.
    fn fail_gang(&mut self, outcome: Outcome, stopped: bool) {
        let Some(gang) = &mut self.gang else { return };
        gang.stage = Stage::Over;
        gang.failed |= !stopped;
        for seat in 0..gang.seats.len() {
            self.end_seat(seat, outcome, stopped);
        }
        self.kill_launcher();
    }

    /// dcrun has stopped one of a gang that is not there yet: it never will be.
    pub(super) fn on_gang_stopped(&mut self, key: AttemptKey, signal: u8) {
        let Some(gang) = &self.gang else { return };
        if matches!(gang.stage, Stage::Picking | Stage::Assembling) && self.is_of_gang(key) {
            self.fail_gang(Outcome::Signalled(signal), true);
        }
    }

    fn kill_launcher(&mut self) {
        if let Some(pid) = self.gang.as_ref().and_then(|gang| gang.launcher) {
            let _ = signal_group(pid, SIGKILL as u8);
            let _ = signal_process(pid, SIGKILL as u8);
        }
    }

    /// A child has ended that may be the launcher; whether it was.
    pub(super) fn on_launcher_exited(&mut self, pid: Pid, end: End) -> bool {
        let Some(gang) = self.gang.as_mut().filter(|gang| gang.launcher == Some(pid)) else { return false };
        let _ = signal_group(pid, SIGKILL as u8);
        let _ = reap(Whose::Pid(pid));
        self.launcher.forget(pid);
        self.orphans.want_look();
        gang.launcher = None;
        match gang.stage {
            Stage::Picking | Stage::Assembling => {
                let how = match end {
                    End::Exited(status) => format!("ended with status {status}"),
                    End::Signalled(signal) => format!("was killed by signal {signal}"),
                };
                let came = gang.seats.iter().filter(|seat| seat.shim.is_some()).count();
                let count = gang.seats.len();
                self.control
                    .notice(format!("the MPI launcher {how} when {came} of {count} ranks were there"));
                self.fail_gang(refused(LaunchStage::Launcher, Errno::ECHILD), false);
            }
            Stage::Running if gang.seats.iter().any(|seat| !seat.is_over) => {
                // What they say may still be on its way.
                self.timers.set(Instant::now() + ORPHANED, Timer::Gang(gang.serial, Deadline::Orphaned));
            }
            Stage::Running | Stage::Over => {}
        }
        self.maybe_gang_over();
        true
    }

    pub(super) fn on_gang_deadline(&mut self, serial: u64, deadline: Deadline) {
        let Some(gang) = self.gang.as_mut().filter(|gang| gang.serial == serial) else { return };
        match deadline {
            Deadline::Assembled if gang.stage == Stage::Assembling => {
                let came = gang.seats.iter().filter(|seat| seat.shim.is_some()).count();
                let (count, seconds) = (gang.seats.len(), gang.what.timeout_ms.div_ceil(1000));
                self.control.notice(format!(
                    "the MPI launcher has brought {came} of {count} ranks in {seconds} s, and is killed (DC_MPI_TIMEOUT)"
                ));
                self.fail_gang(refused(LaunchStage::Launcher, Errno::ETIMEDOUT), false);
            }
            Deadline::Orphaned => {
                let left: Vec<_> =
                    gang.seats.iter().filter(|seat| !seat.is_over).map(|s| s.keys.clone()).collect();
                for key in left.into_iter().flatten() {
                    self.on_event(key, Event::Kill);
                }
            }
            Deadline::Lingering => self.kill_launcher(),
            Deadline::Assembled => {}
        }
        self.maybe_gang_over();
    }

    fn on_chatter(&mut self) {
        let Some(gang) = &mut self.gang else { return };
        let Some(pipe) = &gang.chatter_pipe else { return };
        let mut bytes = [0; 4096];
        loop {
            match read(pipe, &mut bytes) {
                Ok(len) if len > 0 => {
                    let room = CHATTER_BYTES_MAX.saturating_sub(gang.chatter.len());
                    gang.chatter.extend_from_slice(&bytes[..len.min(room)]);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                _ => break,
            }
        }
        gang.door.remove_chatter(pipe);
        gang.chatter_pipe = None;
    }

    /// Forgets a gang of which nothing is left; waits for a launcher that may take a moment more.
    pub(super) fn maybe_gang_over(&mut self) {
        let Some(gang) = &mut self.gang else { return };
        if gang.stage == Stage::Picking || gang.seats.iter().any(|seat| !seat.is_over) {
            return;
        }
        if gang.stage == Stage::Running {
            gang.stage = Stage::Over;
            self.timers.set(Instant::now() + LINGER, Timer::Gang(gang.serial, Deadline::Lingering));
        }
        if gang.launcher.is_none() {
            self.forget_gang();
        }
    }

    fn forget_gang(&mut self) {
        self.on_chatter();
        let Some(gang) = self.gang.take() else { return };
        if gang.failed || gang.what.verbose {
            for line in String::from_utf8_lossy(&gang.chatter).lines().filter(|line| !line.trim().is_empty())
            {
                self.control.notice(format!("MPI launcher: {}", line.escape_debug()));
            }
        }
        if let Some(directory) = gang.directory {
            let _ = std::fs::remove_dir_all(directory); // A later gang of the job tries again.
        }
        self.orphans.want_look();
    }

    /// Another gang comes, or the end of everything: the launcher of the last one is not waited for.
    pub(super) fn drop_gang(&mut self) {
        self.kill_launcher();
        if let Some(pid) = self.gang.as_ref().and_then(|gang| gang.launcher) {
            let _ = reap_blocking(pid);
            self.launcher.forget(pid);
        }
        self.forget_gang();
    }
}

/// A file in memory with this content.
fn memory_file(content: &[u8]) -> nix::Result<OwnedFd> {
    let file = memfd_create(c"dc-rank", MFdFlags::MFD_CLOEXEC)?;
    let mut rest = content;
    while !rest.is_empty() {
        match write(&file, rest) {
            Ok(len) => rest = &rest[len..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(file)
}
