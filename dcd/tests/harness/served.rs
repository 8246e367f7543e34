//! A job whose starter serves, led from this process as dcd would. What a test starts ends with it: by Close, or by the
//! starter's own number where that fails.

use super::{DEADLINE, JOB, proc};
use dc_model::wire::{
    FromStarter, Hello, KnownPhase, Launch, OpenMp, Opening, Output, StarterState, StreamPlan, ToStarter,
};
use dc_model::{Attempt, JobUuid, Outcome, SubtaskId};
use dcd::process::calls::{PidFd, signal_process};
use dcd::starters::{self, Control, Event, Life, Lost, OutputEvent, OutputReader, Told};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

static JOBS: AtomicU32 = AtomicU32::new(0);

pub const EXE: &str = env!("CARGO_BIN_EXE_dc-starter");

/// A lease that no test outlives.
pub const LONG: Duration = Duration::from_secs(600);

pub struct Served {
    pub top: TempDir,
    pub dir: PathBuf,
    pub uuid: JobUuid,
    pub hello: Hello,
    pub control: Option<Control>,
    pub told: Option<Told>,
    pub state: Option<StarterState>,
    pub pid: i32,
    pending: VecDeque<Event>,
}

/// A job's directory below `top`, and what a starter is told of it: a shell is its kernel.
pub fn job_dir(top: &Path) -> (PathBuf, JobUuid, Hello) {
    let mut uuid = JOB;
    uuid.0[..4].copy_from_slice(&std::process::id().to_le_bytes());
    uuid.0[4..8].copy_from_slice(&JOBS.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    uuid.0[8] = 0x5e;
    let dir = top.join("jobs").join(uuid.to_string());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).unwrap();
    for sub in ["ckpt", "result"] {
        std::fs::create_dir(dir.join(sub)).unwrap();
    }
    let hello = hello(uuid, &dir);
    (dir, uuid, hello)
}

pub fn hello(uuid: JobUuid, dir: &Path) -> Hello {
    let path = dir.as_os_str().as_encoded_bytes().to_vec();
    Hello {
        job: uuid,
        spool: path.clone(),
        cwd: path,
        program: b"/bin/sh".to_vec(),
        argv: vec![b"sh".to_vec()],
        env: vec![b"PATH=/usr/bin:/bin".to_vec()],
        ranks: 64,
        grace_ms: 30_000,
        openmp: OpenMp::Untold,
        streams: StreamPlan::default(),
        limits: None,
    }
}

impl Served {
    pub fn start() -> Self {
        Self::with(LONG, |_| {})
    }

    pub fn with(first_lease: Duration, change: impl FnOnce(&mut Hello)) -> Self {
        let top = tempfile::tempdir().unwrap();
        let (dir, uuid, mut hello) = job_dir(top.path());
        change(&mut hello);
        starters::start(Path::new(EXE), uuid, &dir, first_lease).unwrap().wait().unwrap();
        let mut it = Self {
            top,
            dir,
            uuid,
            hello,
            control: None,
            told: None,
            state: None,
            pid: 0,
            pending: VecDeque::new(),
        };
        it.join();
        it.greet();
        it
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Connects, and takes the state.
    pub fn join(&mut self) -> StarterState {
        self.pending.clear();
        self.control = Some(Control::connect(&self.dir, self.told).unwrap());
        let Event::State(state) = self.fresh().unwrap() else { panic!("the state comes first") };
        self.pid = state.pid as i32;
        self.state = Some((*state).clone());
        *state
    }

    pub fn leave(&mut self) {
        self.control = None;
        self.pending.clear();
    }

    pub fn greet(&mut self) {
        self.send(&ToStarter::Hello(Box::new(self.hello.clone())));
        self.wait_for(|event| matches!(event, Event::Said(FromStarter::Ready { .. })).then_some(()));
    }

    pub fn send(&mut self, message: &ToStarter) {
        let control = self.control.as_mut().unwrap();
        control.send(message);
        while control.want_write() {
            let mut fds = [PollFd::new(control.as_fd(), PollFlags::POLLOUT)];
            poll(&mut fds, PollTimeout::try_from(DEADLINE).unwrap()).unwrap();
            control.on_writable();
        }
    }

    pub fn lease(&mut self, length: Duration) {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).unwrap();
        let now_ns = now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64;
        self.send(&ToStarter::Lease { until_boottime_ns: now_ns + length.as_nanos() as u64 });
    }

    pub fn launch(&mut self, launch: Launch) {
        self.send(&ToStarter::Launch(Box::new(launch)));
    }

    pub fn run(&mut self, subtask: u32, script: &str) {
        self.launch(super::shell(subtask, script));
    }

    /// The next event that nobody has seen.
    pub fn fresh(&mut self) -> Result<Event, Lost> {
        let control = self.control.as_mut().unwrap();
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(event) = control.next_event()? {
                self.told = control.told();
                return Ok(event);
            }
            let left = until.checked_duration_since(Instant::now()).expect("an event before the deadline");
            let mut fds = [PollFd::new(control.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap();
            control.on_readable();
        }
    }

    /// The first event that fits; others are put aside in order.
    pub fn wait_for<T>(&mut self, mut fits: impl FnMut(&Event) -> Option<T>) -> T {
        if let Some((at, found)) = self.pending.iter().enumerate().find_map(|(i, e)| Some((i, fits(e)?))) {
            self.pending.remove(at);
            return found;
        }
        loop {
            let event = self.fresh().unwrap();
            match fits(&event) {
                Some(found) => return found,
                None => self.pending.push_back(event),
            }
        }
    }

    /// Why the connection ends.
    pub fn lost(&mut self) -> Lost {
        loop {
            if let Err(lost) = self.fresh() {
                return lost;
            }
        }
    }

    pub fn started(&mut self, subtask: u32) -> i32 {
        self.wait_for(|event| match event {
            Event::Report { report: FromStarter::Started { subtask: s, pid, .. }, .. } if s.0 == subtask => {
                Some(*pid as i32)
            }
            _ => None,
        })
    }

    /// The end of an attempt: its number as a report, its outcome, whether it was stopped.
    pub fn ended(&mut self, subtask: u32, attempt: u32) -> (u64, Outcome, bool) {
        let key = (SubtaskId(subtask), Attempt(attempt));
        self.wait_for(|event| match event {
            Event::Report { seq, report: FromStarter::Ended { subtask, attempt, outcome, stopped, .. } }
                if (*subtask, *attempt) == key =>
            {
                Some((*seq, *outcome, *stopped))
            }
            _ => None,
        })
    }

    pub fn notice(&mut self, part: &str) -> String {
        self.wait_for(|event| match event {
            Event::Report { report: FromStarter::Notice { text }, .. } if text.contains(part) => {
                Some(text.clone())
            }
            _ => None,
        })
    }

    pub fn ack(&mut self, seq: u64) {
        self.send(&ToStarter::Ack { seq });
    }

    pub fn phase(&self, subtask: u32) -> Option<KnownPhase> {
        let state = self.state.as_ref().unwrap();
        state.attempts.iter().find(|known| known.subtask.0 == subtask).map(|known| known.phase)
    }

    /// Whether the starter is gone, names and all.
    pub fn wait_gone(&self) {
        proc::until("the starter's end", || !proc::runs(self.pid));
        assert_eq!(starters::life(&self.dir).unwrap(), Life::Absent);
    }

    pub fn kill_starter(&self) {
        let pid = Pid::from_raw(self.pid);
        let fd = PidFd::open(pid).unwrap();
        fd.kill().unwrap();
        fd.wait_end(u16::MAX);
    }
}

/// Ends the starter of a directory, if there is one, whatever became of the test.
pub struct Ends(pub PathBuf);

impl Drop for Ends {
    fn drop(&mut self) {
        if let Ok(mut control) = Control::connect(&self.0, None) {
            control.send(&ToStarter::Close);
            let until = Instant::now() + DEADLINE;
            while starters::life(&self.0).ok() == Some(Life::Alive) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if starters::life(&self.dir).ok() == Some(Life::Alive) {
            if let Ok(mut control) = Control::connect(&self.dir, None) {
                control.send(&ToStarter::Close);
            }
            let until = Instant::now() + DEADLINE;
            while proc::runs(self.pid) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
            if proc::runs(self.pid) {
                let _ = signal_process(Pid::from_raw(self.pid), 9);
            }
        }
        let _ = starters::bury(self.uuid, &self.dir);
    }
}

/// What comes of an output connection within this time; none when nothing does.
pub fn output_event(reader: &mut OutputReader, limit: Duration) -> Result<Option<OutputEvent>, Lost> {
    let until = Instant::now() + limit;
    loop {
        if let Some(event) = reader.next_event()? {
            return Ok(Some(event));
        }
        let Some(left) = until.checked_duration_since(Instant::now()) else { return Ok(None) };
        let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap();
        reader.on_readable();
    }
}

pub fn output_frame(reader: &mut OutputReader) -> (Output, u64) {
    loop {
        match output_event(reader, DEADLINE).unwrap().expect("output before the deadline") {
            OutputEvent::Frame { frame, end } => return (frame, end),
            OutputEvent::From(_) => {}
        }
    }
}

/// The opening of a control connection, for those who speak by hand.
pub const CONTROL: ToStarter = ToStarter::Open(Opening::Control);
