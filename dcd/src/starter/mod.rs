//! The starter: one process per job, parent of the ranks, owner of their pipes and groups. One thread and one loop;
//! what may block (the spool) is done by threads beside it. When dcrun's end of the control socket closes,
//! everything that was ever launched is killed, and the starter ends. One that serves (`serve`) has no such end: its
//! lease is.

mod attempt;
mod bindings;
pub mod compat;
mod connect;
mod control;
mod drains;
mod end;
mod env;
mod feeds;
mod files;
mod gang;
mod grouping;
mod haste;
mod held;
mod inherited;
mod job;
mod keeper;
mod lines;
mod lookups;
mod memory;
mod messages;
mod orphans;
mod output;
mod passing;
mod serve;
mod streams;
mod supervise;
mod table;
mod timers;
mod words;

use crate::cgroup::group::Group;
use crate::launch::Launcher;
use attempt::Event;
use control::{Control, Gone};
use drains::Drains;
use feeds::Feeds;
use haste::Haste;
use inherited::Inherited;
pub use inherited::{CONTROL, OUTPUT, PROGRESS};
use job::Job;
use lookups::Lookups;
use memory::Memory;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use orphans::Orphans;
use output::OutputSocket;
pub use serve::serve;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use streams::Streams;
use table::{AttemptKey, Table};
use timers::Timers;

/// Launches a turn: each stops the loop for the time of an exec.
const LAUNCHES_A_TURN_MAX: usize = 4;

/// How long an exec is left alone before it is looked at again.
const EXEC_LOOK: Duration = Duration::from_millis(5);

/// How the serving ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// dcrun said Bye, and all is delivered.
    Served,
    /// dcrun said that all is to be killed.
    KillAll,
    /// dcrun is gone.
    Gone,
    /// Nobody wants to know any more.
    Closed,
}

/// The whole of it.
#[derive(Debug)]
struct Starter {
    control: Control,
    output: OutputSocket,
    /// Kept open: ranks find it under this process's /proc entry.
    progress: OwnedFd,
    signals: SignalFd,
    rank_mask: SigSet,
    launcher: Launcher,
    streams: Streams,
    drains: Drains,
    feeds: Feeds,
    table: Table,
    timers: Timers,
    lookups: Lookups,
    orphans: Orphans,
    job: Option<Job>,
    /// Once the first rank is launched.
    memory: Option<Memory>,
    /// What all that it starts is in, once it is.
    group: Option<Group>,
    /// The ranks of an MPI job, and what launches them.
    gang: Option<gang::Gang>,
    gangs: u64,
    bye: bool,
    /// Ranks are bound to their CPUs; else they are only told them.
    binds: bool,
    /// Ranks are held by SIGSTOP: dcrun is stopped by its terminal.
    is_frozen: bool,
    /// Whose forerunner has ended: they are launched when what that left behind is killed.
    freed: Vec<AttemptKey>,
    /// Those that were held and go on to their exec.
    executing: Vec<AttemptKey>,
    /// Where it outlives those who talk to it.
    serve: Option<Box<serve::Serve>>,
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    match Starter::begin() {
        Ok(starter) => {
            starter.serve();
            ExitCode::SUCCESS
        }
        Err(e) => {
            let mut stderr = io::stderr();
            let _ =
                writeln!(stderr, "dcrun: the starter cannot start: {e}; it is meant to be started by dcrun");
            ExitCode::from(dc_model::exit::DC_ERROR)
        }
    }
}

impl Starter {
    fn begin() -> io::Result<Self> {
        let Inherited { control, output, progress } = Inherited::take()?;
        Self::new(Control::new(control), OutputSocket::new(output), progress)
    }

    fn new(control: Control, output: OutputSocket, progress: OwnedFd) -> io::Result<Self> {
        // Signals from a terminal, or for the whole job, are dcrun's to answer; here none but SIGKILL has an effect.
        let rank_mask = SigSet::thread_get_mask()?;
        let all = SigSet::all();
        all.thread_block()?;
        let signals = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        // Fails where dcrun has done it already.
        let _ = nix::unistd::setsid();
        nix::sys::prctl::set_child_subreaper(true)?;
        Ok(Self {
            control,
            output,
            progress,
            signals,
            rank_mask,
            launcher: Launcher::new()?,
            streams: Streams::new()?,
            drains: Drains::default(),
            feeds: Feeds::default(),
            table: Table::default(),
            timers: Timers::default(),
            lookups: Lookups::new()?,
            orphans: Orphans::new(),
            job: None,
            memory: None,
            group: None,
            gang: None,
            gangs: 0,
            bye: false,
            binds: true,
            is_frozen: false,
            freed: Vec::new(),
            executing: Vec::new(),
            serve: None,
        })
    }

    fn serve(mut self) {
        let ending = loop {
            match self.turn() {
                Ok(None) => {}
                Ok(Some(ending)) => break ending,
                Err(Gone) => break Ending::Gone,
            }
        };
        match ending {
            Ending::Served => {
                self.kill_all();
                if let Some(job) = self.job.take() {
                    job.keeper.finish();
                }
                if self.is_serving() {
                    self.leave_group();
                }
            }
            Ending::Gone | Ending::Closed => {
                self.kill_all();
                self.finish_files();
                self.leave_group();
            }
            Ending::KillAll => {
                self.kill_all();
                self.tell_all_killed();
            }
        }
        if let Some(serve) = self.serve.take() {
            serve.close();
        }
    }

    /// One turn of the loop: waits for something to happen, and does what follows.
    fn turn(&mut self) -> Result<Option<Ending>, Gone> {
        let more = match self.on_messages() {
            Ok(Taken::Ending(ending)) => return Ok(Some(ending)),
            Ok(Taken::All) => false,
            Ok(Taken::Some) => true,
            Err(Gone) if self.is_serving() => {
                self.on_link(serve::link::Event::Refused);
                false
            }
            Err(Gone) => return Err(Gone),
        };
        self.launch_late();
        // Before dcrun is told of an attempt's end, what it left behind is killed.
        let launcher = self.gang.as_ref().and_then(gang::Gang::launcher);
        self.orphans.maybe_kill(&self.table, self.job.as_ref().map(|job| job.uuid), launcher);
        while let Some(key) = self.freed.pop() {
            self.on_event(key, Event::Freed);
        }
        self.look_at_executing();
        let now = Instant::now();
        let (control, output) = (self.control.haste(), self.output.haste());
        if self.control.is_waiting() && (control.is_due(now) || self.bye) {
            self.control.flush();
        }
        if self.output.is_waiting() && (output.is_due(now) || self.bye) {
            self.output.flush();
        }
        let all_over =
            self.table.is_empty() && self.streams.is_empty() && self.drains.is_empty() && self.gang.is_none();
        if self.bye && all_over && self.output.is_empty() && self.control.is_all_taken() && !self.has_late() {
            return Ok(Some(Ending::Served));
        }
        if let Some(ending) = self.serve_ending() {
            return Ok(Some(ending));
        }
        if self.memory.is_none() && !self.table.is_empty() {
            self.memory = Some(Memory::watch());
        }
        let waits = [
            self.timers.wait(now),
            self.control.haste().wait(now),
            self.output.haste().wait(now),
            (!self.executing.is_empty() && !self.is_frozen).then_some(EXEC_LOOK),
        ];
        let timeout = if more { Some(Duration::ZERO) } else { waits.into_iter().flatten().min() };
        let ready = self.wait(timeout)?;
        if ready.output {
            self.output.receive();
        } else if ready.reader_gone {
            self.output.on_reader_gone();
        }
        if ready.signals {
            // One a turn: what came of it is asked for, however many there were.
            let _ = self.signals.read_signal();
            self.on_children();
        }
        if ready.answers {
            self.on_answers();
        }
        let now = Instant::now();
        while let Some(timer) = self.timers.due(now) {
            self.on_timer(timer, now);
        }
        if ready.gang {
            self.on_gang_ready();
        }
        if ready.pipes {
            self.streams.on_readable(&mut self.output);
        }
        // What is here already comes first.
        if ready.control && !more && self.control.receive().is_err() {
            if !self.is_serving() {
                return Err(Gone);
            }
            self.on_link(serve::link::Event::Lost);
        }
        if ready.serve {
            self.on_serve_ready();
        }
        Ok(None)
    }

    /// Waits until something can be done. Where it is not to wait at all, messages are here that are not taken yet,
    /// and others are left in the socket.
    fn wait<'a>(&'a self, timeout: Option<Duration>) -> Result<Ready, Gone> {
        let readable = PollFlags::POLLIN;
        let mut control = PollFlags::empty();
        // That the other end is gone is told whatever is asked for.
        control.set(PollFlags::POLLIN, timeout != Some(Duration::ZERO));
        let is_stuck = |waits: bool, haste: Haste| waits && haste.wait(Instant::now()).is_none();
        control.set(PollFlags::POLLOUT, is_stuck(self.control.is_waiting(), self.control.haste()));
        let mut output = PollFlags::empty();
        output.set(PollFlags::POLLOUT, is_stuck(self.output.is_waiting(), self.output.haste()));
        output.set(PollFlags::POLLIN, self.output.is_serving());
        let mut pipes = PollFlags::empty();
        pipes.set(PollFlags::POLLIN, !self.output.is_full());
        // What is not there has another's place and is asked for nothing, which is cheaper than another list.
        let bell = self.lookups.bell().as_fd();
        let maybe = |fd: Option<BorrowedFd<'a>>, flags| match fd {
            Some(fd) => PollFd::new(fd, flags),
            None => PollFd::new(bell, PollFlags::empty()),
        };
        let mut fds = [
            maybe(self.control.socket().map(AsFd::as_fd), control),
            PollFd::new(self.signals.as_fd(), readable),
            PollFd::new(bell, readable),
            PollFd::new(self.streams.epoll().0.as_fd(), pipes),
            maybe(self.gang.as_ref().map(|gang| gang.door().0.as_fd()), readable),
            maybe(self.output.socket().map(AsFd::as_fd), output),
            maybe(self.serve.as_ref().map(|serve| serve.bell().0.as_fd()), readable),
        ];
        match poll(&mut fds, rounded_up(timeout)) {
            Ok(_) | Err(Errno::EINTR | Errno::EAGAIN | Errno::ENOMEM) => {}
            Err(_) => return Err(Gone),
        }
        let events = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
        // One that serves still takes what was sent before.
        if events[0].intersects(gone) && !self.is_serving() {
            return Err(Gone);
        }
        Ok(Ready {
            control: events[0].intersects(readable | gone),
            signals: events[1].contains(readable),
            answers: events[2].contains(readable),
            pipes: events[3].contains(readable),
            gang: events[4].contains(readable),
            output: self.output.is_serving() && events[5].contains(readable),
            reader_gone: events[5].intersects(gone),
            serve: events[6].contains(readable),
        })
    }
}

/// What was taken of the messages that have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Taken {
    /// All of them.
    All,
    /// As many as fit into a turn.
    Some,
    /// One that ends everything.
    Ending(Ending),
}

/// What a wait has found.
struct Ready {
    control: bool,
    signals: bool,
    answers: bool,
    pipes: bool,
    gang: bool,
    output: bool,
    reader_gone: bool,
    serve: bool,
}

/// poll(2) counts in ms: a timer is waited for until it is due, not until just before.
fn rounded_up(wait: Option<Duration>) -> PollTimeout {
    match wait {
        None => PollTimeout::NONE,
        Some(Duration::ZERO) => PollTimeout::ZERO,
        Some(wait) => PollTimeout::try_from(wait + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
    }
}
