//! A directory for one test, with a home and a state directory of its own. What was started in it carries its name
//! in XDG_STATE_HOME, is found by that, and is ended with it.

use crate::commands::{built, directory};
use crate::process::{self, Process};
use crate::run::Ask;
use crate::wait::{DEADLINE, until, within};
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A test's own place.
pub struct Scratch {
    dir: TempDir,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// Makes it.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("dc-test-").tempdir().unwrap();
        for name in ["home", "state", "work"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    /// A path in the directory where commands run.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join("work").join(name)
    }

    /// Writes a file there.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes an executable script there.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.write(name, format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// XDG_STATE_HOME.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Where kernels note what they do, a line each.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// What kernels noted so far: words of whole lines.
    #[must_use]
    pub fn log(&self) -> Vec<Vec<String>> {
        let text = fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }

    /// The noted lines that begin with `word`.
    #[must_use]
    pub fn noted(&self, word: &str) -> Vec<Vec<String>> {
        self.log().into_iter().filter(|line| line.first().is_some_and(|first| first == word)).collect()
    }

    /// Waits until `count` lines that begin with `word` are noted, and gives them.
    #[must_use]
    pub fn notes(&self, word: &str, count: usize) -> Vec<Vec<String>> {
        let enough = || Some(self.noted(word)).filter(|lines| lines.len() >= count);
        match within(DEADLINE, enough) {
            Some(lines) => lines,
            None => panic!("waited for {count} notes of {word:?}; there are {:?}", self.log()),
        }
    }

    /// A command that runs here, and sees this place's home, state, log and the built commands only.
    #[must_use]
    pub fn ask(&self, program: impl AsRef<std::ffi::OsStr>) -> Ask {
        let mut ask = Ask::new(program).dir(self.path(""));
        let strange = ["DC_", "SLURM", "PMI", "OMPI_", "OMP_", "XDG_", "RUST_", "CARGO"];
        for (name, _) in std::env::vars_os() {
            if strange.iter().any(|begin| name.to_string_lossy().starts_with(begin)) {
                ask.command.env_remove(name);
            }
        }
        let mut path = directory().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let home = self.dir.path().join("home");
        ask.env("PATH", path)
            .env("HOME", home)
            .env("XDG_STATE_HOME", self.state())
            .env("DC_CLAIMS", "/nonexistent") // Tests that run side by side share CPUs, and do not say so.
            .env("NOTES", self.log_path())
    }

    /// `dcrun` with the words of `line`.
    #[must_use]
    pub fn dcrun(&self, line: &str) -> Ask {
        self.ask(built("dcrun")).words(line)
    }

    /// `dcspool` with the words of `line`.
    #[must_use]
    pub fn dcspool(&self, line: &str) -> Ask {
        self.ask(built("dcspool")).words(line)
    }

    /// What runs that was started here.
    #[must_use]
    pub fn alive(&self) -> Vec<Process> {
        process::tagged("XDG_STATE_HOME", self.state())
    }

    /// Nothing runs any more that was started here: waits for that.
    #[track_caller]
    pub fn nothing_runs(&self) {
        let found = within(DEADLINE, || self.alive().is_empty().then_some(()));
        assert!(found.is_some(), "still running: {:?}", self.alive());
    }

    /// Jobs that are kept in the state directory.
    #[must_use]
    pub fn jobs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.state().join("dc")).into_iter().flatten().map(|e| e.unwrap().path());
        // What runs have taught is no job, and stays.
        let mut jobs: Vec<_> =
            entries.filter(|path| path.file_name().is_some_and(|name| name != "cost")).collect();
        jobs.sort();
        jobs
    }

    /// Waits for the one job in the state directory.
    #[must_use]
    pub fn job(&self) -> PathBuf {
        until("a job in the state directory", || self.jobs().into_iter().find(|job| job.join("job").exists()))
    }

    /// Nothing was left in the state directory, nor in the home.
    #[track_caller]
    pub fn nothing_is_left(&self) {
        let left = self.jobs();
        assert!(left.is_empty(), "left behind: {left:?}");
        let home: Vec<_> = fs::read_dir(self.dir.path().join("home")).unwrap().flatten().collect();
        assert!(home.is_empty(), "left behind: {home:?}");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Those that fork while they are killed need more than one look.
        for _ in 0..100 {
            let left = self.alive();
            if left.is_empty() {
                return;
            }
            left.iter().for_each(|process| {
                process::signal(process.pid, Signal::SIGKILL);
            });
        }
    }
}
