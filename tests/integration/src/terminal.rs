//! A pseudo-terminal, and a command that has it as its controlling terminal: what is typed reaches it as keys do, and
//! closing it is closing the window.

use crate::process;
use crate::run::Ask;
use crate::stream::Stream;
use crate::wait::{DEADLINE, until, within};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::openpty;
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A command on a terminal of its own.
pub struct Terminal {
    child: Child,
    keys: Option<File>,
    closed: Arc<AtomicBool>,
    /// What the terminal shows: both of the command's streams, and what was typed.
    pub screen: Stream,
}

/// The command with `setsid` and these words before it: in a session of its own, of which it is the first process.
#[must_use]
pub fn in_own_session(ask: &Ask, words: &str) -> Ask {
    let mut command = Command::new("setsid");
    command.args(words.split_whitespace()).arg(ask.command.get_program()).args(ask.command.get_args());
    for (name, value) in ask.command.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(dir) = ask.command.get_current_dir() {
        command.current_dir(dir);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ask { command }
}

impl Terminal {
    /// Starts it as the first process of a session that has the terminal.
    ///
    /// # Panics
    /// When there are no pseudo-terminals, or no `setsid`.
    #[must_use]
    pub fn start(ask: &Ask) -> Self {
        let size = nix::pty::Winsize { ws_row: 40, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        // Else the command would hold its own window open.
        for fd in [&pair.master, &pair.slave] {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        }
        let mut command = in_own_session(ask, "-c").command;
        let slave = || Stdio::from(pair.slave.try_clone().unwrap());
        command.stdin(slave()).stdout(slave()).stderr(slave()).env("TERM", "xterm");
        let child = command.spawn().unwrap();
        drop(pair.slave);
        let closed = Arc::new(AtomicBool::new(false));
        let keys = File::from(pair.master);
        let shown = Shown { master: keys.try_clone().unwrap(), closed: closed.clone() };
        // The command keeps a copy of the slave until it is dropped.
        drop(command);
        Self { child, keys: Some(keys), closed, screen: Stream::collect(shown) }
    }

    /// The first process of its session.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Types this: `\x03` is Ctrl-C.
    pub fn types(&mut self, keys: &str) {
        self.keys.as_mut().expect("an open window").write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen has shown this.
    #[track_caller]
    pub fn shows(&self, part: &str) {
        let found = self.screen.until(|bytes| String::from_utf8_lossy(bytes).contains(part).then_some(()));
        assert!(found.is_some(), "the terminal never showed {part:?}:\n{}", self.screen.text());
    }

    /// Closes the window.
    pub fn close(&mut self) {
        self.keys = None;
        self.closed.store(true, Ordering::Release);
    }

    /// Waits for its end; the status as a shell has it.
    #[track_caller]
    pub fn status(&mut self) -> i32 {
        let ended = within(DEADLINE, || self.child.try_wait().unwrap());
        let status = ended.unwrap_or_else(|| panic!("it does not end:\n{}", self.screen.text()));
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }

    /// Waits until this process is in this state.
    pub fn until_state(pid: i32, state: char) {
        until("a process to change its state", || (process::Process::of(pid)?.state == state).then_some(()));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.close();
        if let Ok(None) = self.child.try_wait() {
            process::signal(self.pid(), Signal::SIGKILL);
            self.child.wait().ok();
        }
    }
}

/// The terminal's other side, until the window is closed.
struct Shown {
    master: File,
    closed: Arc<AtomicBool>,
}

impl Read for Shown {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            if self.closed.load(Ordering::Acquire) {
                return Ok(0);
            }
            let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            if matches!(poll(&mut fds, 20u16), Ok(1)) {
                return self.master.read(buffer);
            }
        }
    }
}
