//! A dcrun for tests: drives the real starter over its sockets. What it starts ends with it, by its own process.
//! Every wait has a deadline and says what it waited for.
#![allow(dead_code, missing_docs)]

pub mod proc;
pub mod served;

use dc_model::wire::{FrameBuffer, FromStarter, Hello, Launch, Output, ToStarter};
use dc_model::{Attempt, CpuSet, JobUuid, Outcome, Rank, SubtaskId};
use dcd::spawn::Starter;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than anything takes on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub const JOB: JobUuid = JobUuid([0xab; 16]);

static JOBS: AtomicU32 = AtomicU32::new(0);

pub struct Job {
    pub starter: Starter,
    pub dir: TempDir,
    pub progress: File,
    control: FrameBuffer,
    output: FrameBuffer,
    pending: VecDeque<FromStarter>,
    pub uuid: JobUuid,
}

/// What comes of a starter.
#[derive(Debug)]
pub enum Came {
    Message(FromStarter),
    Frame(Output),
    End,
}

impl Job {
    /// A starter with the shell as its kernel: arguments of a launch are `-c` and the script.
    pub fn shell() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Hello)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["ckpt", "result"] {
            std::fs::create_dir(dir.path().join(sub)).unwrap();
        }
        // A name of its own: tests run side by side, and look for processes by it.
        let mut uuid = JOB;
        uuid.0[..4].copy_from_slice(&std::process::id().to_le_bytes());
        uuid.0[4..8].copy_from_slice(&JOBS.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        let path = |p: &Path| p.as_os_str().as_encoded_bytes().to_vec();
        let mut hello = Hello {
            job: uuid,
            spool: path(dir.path()),
            cwd: path(dir.path()),
            program: b"/bin/sh".to_vec(),
            argv: vec![b"sh".to_vec()],
            env: vec![b"PATH=/usr/bin:/bin".to_vec()],
            ranks: 16,
            grace_ms: 30_000,
            openmp: dc_model::wire::OpenMp::Untold,
            streams: dc_model::wire::StreamPlan::default(),
            limits: None,
        };
        change(&mut hello);
        let progress: OwnedFd =
            memfd_create("progress", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
        let progress = File::from(progress);
        progress.set_len(u64::from(hello.ranks) * 64).unwrap();
        use nix::fcntl::{FcntlArg, SealFlag, fcntl};
        fcntl(&progress, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW)).unwrap();
        let starter =
            Starter::spawn(Path::new(env!("CARGO_BIN_EXE_dc-starter")), progress.as_fd(), hello.job).unwrap();
        starter.control.set_read_timeout(Some(DEADLINE)).unwrap();
        starter.output.set_read_timeout(Some(DEADLINE)).unwrap();
        let uuid = hello.job;
        let mut job = Self {
            starter,
            dir,
            progress,
            control: FrameBuffer::default(),
            output: FrameBuffer::default(),
            pending: VecDeque::new(),
            uuid,
        };
        job.send(&ToStarter::Hello(Box::new(hello)));
        match job.message() {
            FromStarter::Ready { pid } => assert_eq!(pid, job.starter.pid.as_raw() as u32),
            other => panic!("Ready was to come first, not {other:?}"),
        }
        job
    }

    pub fn send(&mut self, message: &ToStarter) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.starter.control.write_all(&bytes).unwrap();
    }

    /// Launches a shell script as attempt 1 of a subtask, in the lane of the same number, not bound.
    pub fn run(&mut self, subtask: u32, script: &str) {
        self.launch(shell(subtask, script));
    }

    pub fn launch(&mut self, launch: Launch) {
        self.send(&ToStarter::Launch(Box::new(launch)));
    }

    pub fn stop(&mut self, subtask: u32, attempt: u32, signal: i32) {
        let (subtask, attempt, signal) = (SubtaskId(subtask), Attempt(attempt), signal as u8);
        self.send(&ToStarter::Stop { subtask, attempt, signal });
    }

    /// The next message, of those put aside first.
    pub fn message(&mut self) -> FromStarter {
        match self.pending.pop_front() {
            Some(message) => message,
            None => self.fresh_message().expect("a message, not the end"),
        }
    }

    fn fresh_message(&mut self) -> Option<FromStarter> {
        loop {
            if let Some((kind, body)) = self.control.next_frame().unwrap() {
                return Some(FromStarter::decode(kind, body).unwrap());
            }
            let mut chunk = [0; 4096];
            match self.starter.control.read(&mut chunk).expect("a message before the deadline") {
                0 => return None,
                n => self.control.push(&chunk[..n]),
            }
        }
    }

    /// Whatever comes next by either socket within this time; not after the output's end.
    pub fn next(&mut self, limit: Duration) -> Option<Came> {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        loop {
            if let Some((kind, body)) = self.control.next_frame().unwrap() {
                return Some(Came::Message(FromStarter::decode(kind, body).unwrap()));
            }
            if let Some((kind, body)) = self.output.next_frame().unwrap() {
                return Some(Came::Frame(Output::decode(kind, body).unwrap()));
            }
            let sockets = [&self.starter.control, &self.starter.output];
            let mut fds = sockets.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
            poll(&mut fds, PollTimeout::try_from(limit).unwrap()).unwrap();
            let [control, output] = fds.map(|fd| fd.any().unwrap());
            let mut chunk = [0; 65536];
            // Output first: the control socket's end is the end of both.
            if output {
                let n = self.starter.output.read(&mut chunk).unwrap_or(0);
                self.output.push(&chunk[..n]);
                if n > 0 {
                    continue;
                }
            }
            if control {
                match self.starter.control.read(&mut chunk) {
                    Ok(n) if n > 0 => self.control.push(&chunk[..n]),
                    _ => return Some(Came::End),
                }
            } else {
                assert!(!output, "the output ended before the control socket");
                return None;
            }
        }
    }

    /// The first message that fits; others are put aside in order.
    pub fn wait_for<T>(&mut self, mut fits: impl FnMut(&FromStarter) -> Option<T>) -> T {
        if let Some((at, found)) = self.pending.iter().enumerate().find_map(|(i, m)| Some((i, fits(m)?))) {
            self.pending.remove(at);
            return found;
        }
        loop {
            let message = self.fresh_message().expect("a message, not the end");
            match fits(&message) {
                Some(found) => return found,
                None => self.pending.push_back(message),
            }
        }
    }

    pub fn started(&mut self, subtask: u32) -> u32 {
        self.wait_for(|m| match m {
            FromStarter::Started { subtask: s, pid, .. } if s.0 == subtask => Some(*pid),
            FromStarter::Ended { subtask: s, outcome, .. } if s.0 == subtask => {
                panic!("not started: {outcome}")
            }
            _ => None,
        })
    }

    pub fn ended(&mut self, subtask: u32) -> Outcome {
        self.ended_fully(subtask).0
    }

    /// Its outcome, and whether it was stopped.
    pub fn ended_fully(&mut self, subtask: u32) -> (Outcome, bool) {
        self.wait_for(|m| match m {
            FromStarter::Ended { subtask: s, outcome, stopped, .. } if s.0 == subtask => {
                Some((*outcome, *stopped))
            }
            _ => None,
        })
    }

    /// Waits for the control socket's end.
    pub fn control_ends(&mut self) {
        while self.fresh_message().is_some() {}
    }

    pub fn frame(&mut self) -> Option<Output> {
        loop {
            if let Some((kind, body)) = self.output.next_frame().unwrap() {
                return Some(Output::decode(kind, body).unwrap());
            }
            let mut chunk = [0; 65536];
            match self.starter.output.read(&mut chunk).expect("output before the deadline") {
                0 => return None,
                n => self.output.push(&chunk[..n]),
            }
        }
    }

    /// The next piece of anybody's standard output. A shell says on its standard error what became of its children.
    pub fn said(&mut self) -> String {
        loop {
            let frame = self.frame().expect("output, not its end");
            if !frame.stderr && !frame.bytes.is_empty() {
                return String::from_utf8_lossy(&frame.bytes).into_owned();
            }
        }
    }

    /// All of a subtask's standard output (or error) up to its last frame; others' frames are dropped.
    pub fn text(&mut self, subtask: u32, stderr: bool) -> String {
        let mut text = Vec::new();
        loop {
            let frame = self.frame().expect("output, not its end");
            if frame.subtask.0 == subtask && frame.stderr == stderr {
                text.extend_from_slice(&frame.bytes);
                if frame.last {
                    return String::from_utf8_lossy(&text).into_owned();
                }
            }
        }
    }

    /// Runs a script to its end and gives what it wrote.
    pub fn output_of(&mut self, script: &str) -> String {
        self.run(0, script);
        let text = self.text(0, false);
        assert_eq!(self.ended(0), Outcome::Exited(0), "{text}");
        text
    }

    /// Says Bye, and waits until the starter has ended by itself.
    pub fn bye(mut self) {
        self.send(&ToStarter::Bye);
        self.control_ends();
        assert!(self.frame().is_none(), "all output was read");
        // Both sockets are closed by its end alone.
        self.starter.wait().unwrap();
    }

    pub fn wait_end(&self) {
        proc::until("the starter's end", || self.starter.peek().is_some());
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // The end of the control socket is the end of all; where even that fails, the one process we started is killed.
        let _ = self.starter.control.shutdown(std::net::Shutdown::Both);
        let until = Instant::now() + DEADLINE;
        use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
        // A test may have reaped it itself.
        while matches!(waitpid(self.starter.pid, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive)) {
            if Instant::now() > until {
                let _ = self.starter.kill();
                let _ = self.starter.wait();
                break;
            }
            std::thread::yield_now();
        }
        // As dcrun does; a job that lasted has one.
        let _ = dcd::sweep::kill_groups(self.uuid);
    }
}

/// Attempt 1 of a subtask that runs a shell script, in the lane of the same number, not bound.
pub fn shell(subtask: u32, script: &str) -> Launch {
    Launch {
        subtask: SubtaskId(subtask),
        attempt: Attempt(1),
        rank: Rank(subtask),
        cpus: CpuSet::new(),
        cores: 1,
        numa: None,
        cells: 10,
        block: None,
        args: vec![b"-c".to_vec(), script.as_bytes().to_vec()],
        before: None,
        after: None,
    }
}
