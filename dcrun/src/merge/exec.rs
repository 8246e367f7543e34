//! A merge by a command of the user's: /bin/sh runs it once every result is verified. The results come on its standard
//! input, strung together, and it is told where each of them is.
//!
//! It is a child of this process, killed when that dies, and carries the job's tag: what a dead dcrun left of it is
//! swept before a resume runs it again. Its signals come from the run's loop, by the [`Leash`].

use super::Failed;
use dc_gather::{Part, StreamError};
use dc_model::{CpuSet, exit};
use dc_spool::result::Results;
use dcd::launch::{Launcher, Plan};
use dcd::process::calls::{End, PidFd, Whose, peek, reap, signal_group};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::SigSet;
use nix::unistd::Pid;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// How long one look at a command that runs may take, in ms; its end is seen at once.
const LOOK_MS: u16 = 60_000;

/// What a command is started with, but for what it is told of the results.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The job's working directory.
    pub cwd: Vec<u8>,
    /// The job's environment, `NAME=value` each.
    pub env: Vec<Vec<u8>>,
    /// The job's directory.
    pub spool: Vec<u8>,
}

/// The way from the run's loop to a command that may run.
#[derive(Clone, Debug, Default)]
pub struct Leash(Arc<Mutex<State>>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Idle,
    /// A process that is not reaped yet, and the leader of its group.
    Runs(Pid),
    /// Nothing starts any more.
    Stopped(u8),
}

impl Leash {
    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends a signal to the command that runs; none starts from here on. Whether one runs.
    pub fn stop(&self, signal: u8) -> bool {
        self.state(|state| match *state {
            State::Runs(pid) => {
                let _ = signal_group(pid, signal); // It has ended, perhaps.
                true
            }
            State::Idle | State::Stopped(_) => {
                *state = State::Stopped(signal);
                false
            }
        })
    }

    /// Whether nothing starts any more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.state(|state| matches!(state, State::Stopped(_)))
    }

    /// The process of the command that runs.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.state(|state| if let State::Runs(pid) = *state { Some(pid) } else { None })
    }

    /// Lets `launch` start a process, unless the job is being stopped: then gives the signal.
    fn start(&self, launch: impl FnOnce() -> Result<Pid, Failed>) -> Result<Pid, Failed> {
        self.state(|state| match *state {
            State::Stopped(signal) => Err(Failed {
                status: exit::SIGNAL_BASE.saturating_add(signal),
                text: "the job is stopped".to_owned(),
            }),
            _ => {
                let pid = launch()?;
                *state = State::Runs(pid);
                Ok(pid)
            }
        })
    }

    /// Reaps a process that has ended, with what is left of its group.
    fn end(&self, pid: Pid) -> Option<End> {
        self.state(|state| {
            let _ = signal_group(pid, libc::SIGKILL as u8);
            *state = State::Idle;
            reap(Whose::Pid(pid)).ok().flatten().map(|(_, end)| end)
        })
    }
}

/// Verifies the results, and runs the command on them.
///
/// # Errors
/// When a result is not right, the command cannot be run, or ends with a status of its own.
pub fn run(
    command: &Path,
    parts: &[Part],
    results: &Results,
    around: &Surroundings,
    leash: &Leash,
) -> Result<(), Failed> {
    let listing = dc_gather::list(parts, results).map_err(Failed::merge)?;
    let list = memory_file(&listing.text).map_err(|e| Failed::own("keep the list of results", &e))?;
    let told = [
        ("DC_MERGE_LIST", format!("/proc/{}/fd/{}", std::process::id(), list.as_raw_fd()).into_bytes()),
        ("DC_MERGE_DIR", around.spool.clone()),
        ("DC_MERGE_RESULTS", listing.results.to_string().into_bytes()),
        ("DC_MERGE_BYTES", listing.bytes.to_string().into_bytes()),
    ];
    let told = told.into_iter().map(|(name, value)| [name.as_bytes(), b"=", &value].concat());
    let env = strings(around.env.iter().cloned().chain(told))?;
    let argv = strings([b"sh".to_vec(), b"-c".to_vec(), command.as_os_str().as_bytes().to_vec()])?;
    let cwd = strings([around.cwd.clone()])?;
    let (input, mut feed) = io::pipe().map_err(|e| Failed::own("make a pipe", &e))?;
    let mut launcher = Launcher::new().map_err(|e| Failed::own("start a command", &e.into()))?;
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let pid = leash.start(|| {
        let plan = Plan {
            program: c"/bin/sh",
            argv: [&argv, &[]],
            env: [&env, &[]],
            cwd: cwd.first().map(CString::as_c_str),
            cpus: &CpuSet::new(),
            numa: None,
            stdin: Some(input.as_fd()),
            stdout: stdout.as_fd(),
            stderr: stderr.as_fd(),
            mask: &SigSet::empty(),
            files_max: None,
        };
        let launched = launcher.launch(&plan).map_err(|refused| {
            let error = io::Error::from_raw_os_error(refused.errno);
            Failed::own(&format!("start a command ({:?})", refused.stage), &error)
        })?;
        Ok(launched.pid)
    })?;
    drop(input);
    let fed = dc_gather::stream(parts, results, &mut feed);
    if matches!(&fed, Err(StreamError::Merge(_))) {
        // Before it sees an end of its input that is none.
        let _ = signal_group(pid, libc::SIGKILL as u8);
    }
    drop(feed);
    let end = wait(pid, leash);
    match fed {
        Err(StreamError::Merge(error)) => return Err(Failed::merge(error)),
        // A command need not read all of it.
        Err(StreamError::Output(error)) if error.kind() != ErrorKind::BrokenPipe => {
            return Err(Failed::own("write to the command", &error));
        }
        _ => {}
    }
    match end {
        Some(End::Exited(0)) => Ok(()),
        Some(End::Exited(status)) => {
            Err(Failed { status, text: format!("the command ended with status {status}") })
        }
        Some(End::Signalled(signal)) => Err(Failed {
            status: exit::SIGNAL_BASE.saturating_add(signal),
            text: format!("the command was killed by signal {signal}"),
        }),
        None => Err(Failed { status: exit::DC_ERROR, text: "the command's end was not seen".to_owned() }),
    }
}

fn wait(pid: Pid, leash: &Leash) -> Option<End> {
    // Without a descriptor of it, which only a system without room denies, it is looked at now and then.
    let fd = PidFd::open(pid).ok();
    while let Ok(None) = peek(Whose::Pid(pid)) {
        match &fd {
            Some(fd) => fd.wait_end(LOOK_MS),
            None => std::thread::park_timeout(std::time::Duration::from_millis(100)),
        }
    }
    leash.end(pid)
}

fn memory_file(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create("dc-merge", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    Ok(file)
}

fn strings(all: impl IntoIterator<Item = Vec<u8>>) -> Result<Vec<CString>, Failed> {
    let strings = all.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>();
    strings.map_err(|e| Failed::own("start a command", &e.into()))
}
