//! A command that a test runs: asked for, running, finished. It ends in time, or is killed and the test fails with
//! all that it said; it never outlives the test.

use crate::process;
use crate::stream::Stream;
use crate::wait::{DEADLINE, within};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A command to be run.
pub struct Ask {
    /// With all that is not offered here.
    pub command: Command,
}

impl Ask {
    /// Nothing yet but the program. It gets a process group of its own.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command }
    }

    /// Adds the words of `line`.
    #[must_use]
    pub fn words(mut self, line: &str) -> Self {
        self.command.args(line.split_whitespace());
        self
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds a kernel that is a script: `-- sh -c SCRIPT sh`.
    #[must_use]
    pub fn script(self, script: &str) -> Self {
        self.words("-- sh -c").arg(script).arg("sh")
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it there.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Starts it.
    #[must_use]
    pub fn start(mut self) -> Running {
        let words = self.command.get_args().map(|arg| format!(" {arg:?}")).collect::<String>();
        let shown = format!("{}{words}", self.command.get_program().display());
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("{shown}: {e}"));
        let stdout = child.stdout.take().map_or_else(Stream::none, Stream::collect);
        let stderr = child.stderr.take().map_or_else(Stream::none, Stream::collect);
        Running { child, stdout, stderr, shown }
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(self) -> Finished {
        self.start().finish()
    }

    /// Runs it to its end with these bytes on its standard input.
    #[must_use]
    pub fn run_with(mut self, input: &[u8]) -> Finished {
        use std::io::Write;
        self.command.stdin(Stdio::piped());
        let mut running = self.start();
        let mut stdin = running.child.stdin.take().unwrap();
        let input = input.to_owned();
        std::thread::spawn(move || stdin.write_all(&input));
        running.finish()
    }
}

/// A command that runs.
pub struct Running {
    child: Child,
    /// Its standard output so far.
    pub stdout: Stream,
    /// Its standard error so far.
    pub stderr: Stream,
    shown: String,
}

impl Running {
    /// Its process id, which is its group's too.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        assert!(process::signal(self.pid(), signal), "{} has ended already\n{}", self.shown, self.said());
    }

    /// Waits for a whole line on its standard error that holds `part`.
    pub fn says(&self, part: &str) -> String {
        self.stderr
            .line(part)
            .unwrap_or_else(|| panic!("{} never said {part:?}\n{}", self.shown, self.said()))
    }

    /// Waits for a whole line on its standard output that holds `part`.
    pub fn prints(&self, part: &str) -> String {
        self.stdout
            .line(part)
            .unwrap_or_else(|| panic!("{} never printed {part:?}\n{}", self.shown, self.said()))
    }

    /// Its children called `name`; waits for one.
    #[must_use]
    pub fn child_called(&self, name: &str) -> process::Process {
        let found = within(DEADLINE, || process::children(self.pid()).into_iter().find(|p| p.name == name));
        found.unwrap_or_else(|| panic!("{} has no child {name}\n{}", self.shown, self.said()))
    }

    /// Waits for its end, and for the end of what it says.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let Some(status) = self.ended_within(DEADLINE) else {
            let kernel = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
            let family: Vec<_> =
                process::children(self.pid()).into_iter().map(|p| (kernel(p.pid), p)).collect();
            panic!("{} still runs after {DEADLINE:?}; its children: {family:?}\n{}", self.shown, self.said());
        };
        let all = self.stdout.ended() && self.stderr.ended();
        assert!(all, "{} has ended, but something still holds its output\n{}", self.shown, self.said());
        let (stdout, stderr) = (self.stdout.bytes(), self.stderr.bytes());
        Finished { status, stdout, stderr, shown: std::mem::take(&mut self.shown) }
    }

    /// Kills it, and it alone, with SIGKILL, and waits until it is gone.
    pub fn kill(mut self) -> String {
        process::signal(self.pid(), Signal::SIGKILL);
        assert!(self.ended_within(DEADLINE).is_some(), "{} does not die", self.shown);
        self.said()
    }

    /// Kills it as [`Running::kill`] does when `point` has returned.
    pub fn kill_when(self, point: impl FnOnce()) -> String {
        point();
        self.kill()
    }

    /// What it said so far, for messages.
    #[must_use]
    pub fn said(&self) -> String {
        format!(
            "--- stdout\n{}\n--- stderr\n{}\n---",
            shown(&self.stdout.bytes()),
            shown(&self.stderr.bytes())
        )
    }

    fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let pid = Pid::from_raw(self.pid());
        // Without reaping it: until this thread's owner does that, the id stays its own.
        std::thread::spawn(move || {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            while matches!(waitid(Id::Pid(pid), flags), Err(nix::Error::EINTR) | Ok(WaitStatus::StillAlive)) {
            }
            sender.send(()).ok();
        });
        receiver.recv_timeout(limit).ok()?;
        self.child.wait().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            process::signal_group(self.pid(), Signal::SIGKILL);
            self.child.wait().ok();
        }
    }
}

/// A command that has ended.
pub struct Finished {
    status: ExitStatus,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error.
    pub stderr: Vec<u8>,
    shown: String,
}

impl Finished {
    /// The status as a shell shows it: 128 + signal for one that was killed.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap())
    }

    /// It ended with this status.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert!(self.code() == code, "status {} and not {code}: {self}", self.code());
        self
    }

    /// Its standard error has this part; all of them, in any order.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.err().contains(part), "never said {part:?}: {self}");
        }
        self
    }

    /// Some line of its standard error has all of these parts.
    #[track_caller]
    pub fn says_in_a_line(self, parts: &[&str]) -> Self {
        let err = self.err();
        let found = err.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "no line with all of {parts:?}: {self}");
        self
    }

    /// Its standard output, as text.
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its standard error, as text.
    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The lines of its standard output, in order of the alphabet.
    #[must_use]
    pub fn sorted(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.out().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stdout, stderr) = (shown(&self.stdout), shown(&self.stderr));
        write!(f, "{}: {}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---", self.shown, self.status)
    }
}

/// Text for messages: both ends of it where it is long.
fn shown(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 6000;
    let text = String::from_utf8_lossy(bytes).into_owned();
    if text.len() <= SHOWN_MAX {
        return text;
    }
    let chars: Vec<char> = text.chars().collect();
    let part = |range: std::ops::Range<usize>| chars[range].iter().collect::<String>();
    let half = SHOWN_MAX / 2;
    format!("{}\n[… {} bytes …]\n{}", part(0..half), bytes.len(), part(chars.len() - half..chars.len()))
}
