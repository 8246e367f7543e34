//! All that dcrun shows: one thread owns standard output, standard error, the bar and the event file. Others only
//! put commands into its mailbox, so that a reader who does not read never delays a decision.

mod bar;
mod screen;
mod streams;

use crate::mailbox::Mailbox;
use crate::show::progress::Progress;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// What the console is asked to do, in order.
#[derive(Debug)]
enum Command {
    Say(String),
    Event(Vec<u8>),
    Attach(UnixStream),
    Show(Progress),
    Finish,
}

/// What the console tells its owner.
#[derive(Debug)]
pub enum Told {
    /// Standard output cannot be written; nothing more is written there.
    StdoutFailed(io::Error),
    /// All output of one starter is written.
    OutputEnded,
}

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Not at all.
    None,
    /// A line now and then.
    Lines,
    /// A bar.
    Bar,
}

/// Where events go.
#[derive(Debug)]
pub enum Events {
    /// Nowhere.
    None,
    /// To standard error.
    Stderr,
    /// To this file, whose name is for messages.
    File(File, String),
}

/// How a console is set up.
#[derive(Debug)]
pub struct Setup {
    /// Put the rank before each line: the number of ranks.
    pub label: Option<u32>,
    /// How progress is shown.
    pub style: Style,
    /// Where events go.
    pub events: Events,
}

/// The way to the console's thread.
#[derive(Debug)]
pub struct Console {
    commands: Mailbox<Command>,
    thread: JoinHandle<()>,
    has_events: bool,
    /// Whether anything but ranks' output was ever asked for.
    is_used: AtomicBool,
}

impl Console {
    /// Starts the thread; `told` is called from it.
    ///
    /// # Errors
    /// When there is no thread or descriptor to be had.
    pub fn start(setup: Setup, told: impl Fn(Told) + Send + 'static) -> io::Result<Self> {
        let commands = Mailbox::new()?;
        let has_events = !matches!(setup.events, Events::None);
        let theirs = commands.clone();
        let screen = screen::Screen::new(setup, theirs, told);
        let thread = std::thread::Builder::new().name("console".to_owned()).spawn(move || screen.run())?;
        Ok(Self { commands, thread, has_events, is_used: AtomicBool::new(false) })
    }

    fn ask(&self, command: Command) {
        self.is_used.store(true, Ordering::Relaxed);
        self.commands.push(command);
    }

    /// Writes lines of dcrun's own.
    pub fn say(&self, text: impl Into<String>) {
        self.ask(Command::Say(text.into()));
    }

    /// Whether events go anywhere.
    #[must_use]
    pub fn has_events(&self) -> bool {
        self.has_events
    }

    /// Writes one event: a whole line.
    pub fn event(&self, line: Vec<u8>) {
        self.ask(Command::Event(line));
    }

    /// Shows a starter's output from now on; that of one before it is shown to its end first.
    pub fn attach(&self, output: UnixStream) {
        self.commands.push(Command::Attach(output));
    }

    /// Shows how far the job is.
    pub fn show(&self, progress: Progress) {
        self.ask(Command::Show(progress));
    }

    /// Writes what is left, takes the bar away, and ends the thread. To be called when all output is told to be written:
    /// where there was nothing else, nothing is waited for.
    pub fn finish(self) {
        if !self.is_used.load(Ordering::Relaxed) {
            return;
        }
        self.commands.push(Command::Finish);
        // A panic there has been told on standard error already.
        let _ = self.thread.join();
    }
}

/// Whether standard error is a terminal that a bar can be drawn on.
#[must_use]
pub fn can_draw() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    !dumb && nix::unistd::isatty(std::io::stderr()).unwrap_or(false)
}

/// Writes to standard output at once: where no console is started.
///
/// # Errors
/// When it cannot be written.
pub fn write_stdout(bytes: &[u8]) -> io::Result<()> {
    use std::os::fd::AsFd;
    streams::write_all(io::stdout().as_fd(), bytes)
}
