//! A command that runs in a host: asked for, running, ended. Its output goes to files, which outlive the host.

use super::host::Host;
use super::look;
use super::reports::Reports;
use crate::wait::{DEADLINE, within};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A command to be run in a host.
#[must_use]
pub struct Order<'a> {
    host: &'a Host,
    words: Vec<String>,
    env: Vec<(String, String)>,
    dir: PathBuf,
    stdin: Option<PathBuf>,
}

impl<'a> Order<'a> {
    pub(super) fn new(host: &'a Host, program: &str, env: Vec<(String, String)>, dir: PathBuf) -> Self {
        Self { host, words: vec![program.to_owned()], env, dir, stdin: None }
    }

    /// Adds the words of `line`.
    pub fn words(mut self, line: &str) -> Self {
        self.words.extend(line.split_whitespace().map(str::to_owned));
        self
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<Path>) -> Self {
        self.words.push(arg.as_ref().to_str().expect("text").to_owned());
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.env.retain(|(other, _)| other != name);
        self.env.push((name.to_owned(), value.as_ref().to_str().expect("text").to_owned()));
        self
    }

    /// Runs it there.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        dir.as_ref().clone_into(&mut self.dir);
        self
    }

    /// Its standard input is this file, a path of the host.
    pub fn stdin(mut self, path: impl AsRef<Path>) -> Self {
        self.stdin = Some(path.as_ref().to_owned());
        self
    }

    /// Starts it; why not, if it cannot be.
    ///
    /// # Errors
    /// In words: no such program, no such directory, the host is off.
    pub fn try_start(self) -> Result<Inside, String> {
        let (number, stem) = self.host.next();
        let (stdout, stderr) = (stem.with_extension("out"), stem.with_extension("err"));
        let order = json!({
            "run": number, "words": self.words, "env": self.env, "dir": self.dir.to_str(),
            "stdin": self.stdin.as_ref().and_then(|path| path.to_str()),
            "stdout": stdout.to_str(), "stderr": stderr.to_str(),
        });
        let (reports, socket, init) = self.host.link();
        say(&socket, &order.to_string());
        let began = reports.until(|state| match state.began.get(&number) {
            Some(began) => Some(began.clone()),
            None => state.is_off.then(|| Err("the host is off".to_owned())),
        });
        let shown = format!("{}: {}", self.host.name(), self.words.join(" "));
        let pid_inside = began.unwrap_or_else(|| Err("init does not answer".to_owned()))?;
        Ok(Inside { number, pid_inside, init, stdout, stderr, shown, reports, socket })
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn start(self) -> Inside {
        let shown = self.words.join(" ");
        self.try_start().unwrap_or_else(|why| panic!("{shown}: {why}"))
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Ended {
        self.start().finish()
    }
}

/// A command that runs in a host, or ran. It ends with its host, not with this.
pub struct Inside {
    number: u64,
    pid_inside: i32,
    init: i32,
    stdout: PathBuf,
    stderr: PathBuf,
    shown: String,
    reports: Reports,
    socket: Arc<Mutex<UnixStream>>,
}

impl Inside {
    /// Its process id in the host.
    #[must_use]
    pub fn pid_inside(&self) -> i32 {
        self.pid_inside
    }

    /// Its process id as the machine has it; none when it is gone.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        if self.status().is_some() { None } else { look::outside(self.init, self.pid_inside) }
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn out(&self) -> String {
        text(&self.stdout)
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn err(&self) -> String {
        text(&self.stderr)
    }

    /// The file of its standard output.
    #[must_use]
    pub fn out_path(&self) -> &Path {
        &self.stdout
    }

    /// Waits for a whole line on its standard output that holds `part`.
    #[track_caller]
    pub fn prints(&self, part: &str) -> String {
        self.waits_for("printed", part, || self.out())
    }

    /// Waits for a whole line on its standard error that holds `part`.
    #[track_caller]
    pub fn says(&self, part: &str) -> String {
        self.waits_for("said", part, || self.err())
    }

    #[track_caller]
    fn waits_for(&self, how: &str, part: &str, text: impl Fn() -> String) -> String {
        let line = || {
            let text = text();
            let mut whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            whole.find(|line| line.contains(part)).map(|line| line.trim_end().to_owned())
        };
        let mut has_ended = false;
        let found = within(DEADLINE, || match line() {
            Some(line) => Some(Some(line)),
            None if has_ended => Some(None),
            None => {
                has_ended = self.status().is_some();
                None
            }
        });
        found.flatten().unwrap_or_else(|| panic!("{} never {how} {part:?}\n{}", self.shown, self.said()))
    }

    /// Its status as a shell has it, if it has ended; 137 where its host was switched off.
    #[must_use]
    pub fn status(&self) -> Option<i32> {
        self.reports
            .look(|state| state.ended.get(&self.number).copied().or_else(|| state.is_off.then_some(128 + 9)))
    }

    /// Sends it a signal, if it has not ended.
    pub fn signal(&self, signal: Signal) {
        say(&self.socket, &json!({"signal": self.number, "number": signal as i32}).to_string());
    }

    /// Kills it, and it alone, with SIGKILL, and waits until it is gone.
    #[track_caller]
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        assert!(self.ends_within(DEADLINE).is_some(), "{} does not die", self.shown);
    }

    /// Waits for its end; none when it does not come in time.
    #[must_use]
    pub fn ends_within(&self, limit: Duration) -> Option<i32> {
        self.reports.within(limit, |state| {
            state.ended.get(&self.number).copied().or_else(|| state.is_off.then_some(128 + 9))
        })
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(self) -> Ended {
        self.finish_within(DEADLINE)
    }

    /// As [`Inside::finish`], with a limit of its own.
    #[track_caller]
    pub fn finish_within(self, limit: Duration) -> Ended {
        let Some(code) = self.ends_within(limit) else {
            panic!("{} still runs after {limit:?}\n{}", self.shown, self.said())
        };
        Ended { code, out: self.out(), err: self.err(), shown: self.shown }
    }

    /// What it wrote so far, for messages.
    #[must_use]
    pub fn said(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}\n---", tail(&self.out()), tail(&self.err()))
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The status as a shell has it.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
    shown: String,
}

impl Ended {
    /// It ended with this status.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        let (out, err) = (tail(&self.out), tail(&self.err));
        assert!(
            self.code == code,
            "{}: status {} and not {code}\n--- stdout\n{out}\n--- stderr\n{err}\n---",
            self.shown,
            self.code
        );
        self
    }
}

fn say(socket: &Mutex<UnixStream>, line: &str) {
    socket.lock().unwrap().write_all(format!("{line}\n").as_bytes()).ok();
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

fn tail(text: &str) -> String {
    const SHOWN_MAX: usize = 6000;
    let chars: Vec<char> = text.chars().collect();
    chars[chars.len().saturating_sub(SHOWN_MAX)..].iter().collect()
}
