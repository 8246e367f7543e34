//! Runs a command from start to exit under a deadline, and measures that.

use crate::error::BenchError;
use crate::usage::{Watch, Watched};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Between two looks at what a run's processes use.
const LOOK: Duration = Duration::from_millis(20);

/// How a run went.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Run {
    /// It ended well after this long.
    Took(Duration),
    /// It was killed at the deadline.
    Late,
}

/// Runs it; standard output goes nowhere, and standard error is shown only where it fails.
///
/// # Errors
/// When it cannot be started, or ends with another status than 0.
pub fn run(command: &mut Command, deadline: Duration) -> Result<Run, BenchError> {
    Running::start(command.stdout(Stdio::null()))?.wait(deadline)
}

/// As [`run`] for a command that has to end in time.
///
/// # Errors
/// Also when it is killed at the deadline.
pub fn took(command: &mut Command, deadline: Duration) -> Result<Duration, BenchError> {
    Running::start(command.stdout(Stdio::null()))?.took(deadline)
}

/// As [`took`], and what dcrun and its starter have used meanwhile.
///
/// # Errors
/// As [`took`].
pub fn watched(command: &mut Command, deadline: Duration) -> Result<(Duration, Watched), BenchError> {
    Running::start(command.stdout(Stdio::null()))?.watched(deadline)
}

/// A command that runs, in a process group of its own.
pub struct Running {
    program: String,
    child: Child,
    words: File,
    start: Instant,
}

impl Running {
    /// Starts it with the standard output that the command has; its standard error is kept.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self, BenchError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let failed = |what: &'static str| BenchError::io(what, program.as_ref());
        let words = tempfile::tempfile().map_err(failed("keep the words of"))?;
        let stderr = words.try_clone().map_err(failed("keep the words of"))?;
        let start = Instant::now();
        let child = command.stderr(stderr).process_group(0).spawn().map_err(failed("start"))?;
        Ok(Self { program, child, words, start })
    }

    /// Its standard output, where that is a pipe.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it ends with another status than 0.
    pub fn wait(self, deadline: Duration) -> Result<Run, BenchError> {
        self.wait_looking(deadline, Duration::MAX, &mut |_| {})
    }

    /// Waits for its end, which has to come in time.
    ///
    /// # Errors
    /// Also when it is killed at the deadline.
    pub fn took(self, deadline: Duration) -> Result<Duration, BenchError> {
        let program = self.program.clone();
        in_time(self.wait(deadline)?, program, deadline)
    }

    /// As [`Running::took`], and what dcrun and its starter have used.
    ///
    /// # Errors
    /// As [`Running::took`].
    pub fn watched(self, deadline: Duration) -> Result<(Duration, Watched), BenchError> {
        let program = self.program.clone();
        let mut watch = Watch::default();
        let run = self.wait_looking(deadline, LOOK, &mut |pid| watch.look(pid))?;
        Ok((in_time(run, program, deadline)?, watch.watched()))
    }

    /// Kills it and all in its group; what it says of that is not wanted.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn stop(self, deadline: Duration) -> Result<(), BenchError> {
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        match self.wait(deadline) {
            Ok(_) | Err(BenchError::Failed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn wait_looking(
        mut self,
        deadline: Duration,
        pause: Duration,
        look: &mut (dyn FnMut(i32) + Send),
    ) -> Result<Run, BenchError> {
        let pid = Pid::from_raw(self.child.id() as i32);
        let start = self.start;
        // The child is waited for without being reaped, so that its number is its own while the watch may still look
        // and kill.
        let (took, late) = std::thread::scope(|scope| {
            let (ended, watch) = mpsc::channel::<()>();
            let watch = scope.spawn(move || {
                loop {
                    let left = deadline.saturating_sub(start.elapsed());
                    if watch.recv_timeout(left.min(pause)) != Err(RecvTimeoutError::Timeout) {
                        look(pid.as_raw());
                        return false;
                    }
                    if start.elapsed() >= deadline {
                        return killpg(pid, Signal::SIGKILL).is_ok();
                    }
                    look(pid.as_raw());
                }
            });
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            while waitid(Id::Pid(pid), flags) == Err(nix::errno::Errno::EINTR) {}
            let took = start.elapsed();
            drop(ended);
            (took, watch.join().unwrap_or(false))
        });
        let status = self.child.wait().map_err(BenchError::io("wait for", self.program.as_ref()))?;
        if late {
            return Ok(Run::Late);
        }
        if status.success() {
            return Ok(Run::Took(took));
        }
        let words = last_words(&mut self.words).unwrap_or_default();
        Err(BenchError::Failed { program: self.program, how: format!("ended with {status}"), words })
    }
}

fn in_time(run: Run, program: String, deadline: Duration) -> Result<Duration, BenchError> {
    match run {
        Run::Took(took) => Ok(took),
        Run::Late => {
            let how = format!("took more than {} s", deadline.as_secs());
            Err(BenchError::Failed { program, how, words: "none".to_owned() })
        }
    }
}

fn last_words(file: &mut File) -> std::io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(1 << 20).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("none").escape_debug().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn ends_are_told_apart() {
        assert!(matches!(run(&mut Command::new("/bin/true"), LONG), Ok(Run::Took(_))));
        let mut sleep = Command::new("sleep");
        assert_eq!(run(sleep.arg("60"), Duration::from_millis(20)).unwrap(), Run::Late);
        let error = took(&mut sleep, Duration::from_millis(20)).unwrap_err();
        assert!(error.to_string().starts_with("sleep took more than 0 s"), "{error}");
        let mut fails = Command::new("sh");
        let error = run(fails.args(["-c", "echo first >&2; echo last >&2; exit 3"]), LONG).unwrap_err();
        assert!(error.to_string().ends_with("its last words: last"), "{error}");
    }
}
