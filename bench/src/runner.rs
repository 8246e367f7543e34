//! Runs a command from start to exit under a deadline, and measures that.

use crate::error::BenchError;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

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
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |what: &'static str| BenchError::io(what, program.as_ref());
    let mut words = tempfile::tempfile().map_err(failed("keep the words of"))?;
    let stderr = words.try_clone().map_err(failed("keep the words of"))?;
    let start = Instant::now();
    let mut child =
        command.stdout(Stdio::null()).stderr(stderr).process_group(0).spawn().map_err(failed("start"))?;
    let pid = Pid::from_raw(child.id() as i32);

    // The child is waited for without being reaped, so that its number is its own while the watch may still kill.
    let (ended, watch) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let late = watch.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout);
        late && killpg(pid, Signal::SIGKILL).is_ok()
    });
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(nix::errno::Errno::EINTR) {
    }
    let took = start.elapsed();
    drop(ended);
    let late = watch.join().unwrap_or(false);
    let status = child.wait().map_err(failed("wait for"))?;
    if late {
        return Ok(Run::Late);
    }
    if status.success() {
        return Ok(Run::Took(took));
    }
    let words = last_words(&mut words).unwrap_or_default();
    Err(BenchError::Failed { program, how: format!("ended with {status}"), words })
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
        let mut fails = Command::new("sh");
        let error = run(fails.args(["-c", "echo first >&2; echo last >&2; exit 3"]), LONG).unwrap_err();
        assert!(error.to_string().ends_with("its last words: last"), "{error}");
    }
}
