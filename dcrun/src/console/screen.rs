//! The console's thread: commands and output in, bytes out.

use super::bar::Bar;
use super::streams::{Streams, write_all};
use super::{Command, Events, Setup, Style, Told};
use crate::mailbox::Mailbox;
use crate::show::progress::Progress;
use crate::words;
use dc_model::wire::{FrameBuffer, Output};
use dcd::label;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

const READ_BYTES: usize = 256 << 10;

/// The thread's state.
pub struct Screen<F> {
    commands: Mailbox<Command>,
    told: F,
    streams: Streams,
    style: Style,
    bar: Option<Bar>,
    events: Events,
    event_bytes: Vec<u8>,
    /// Starters' output, the oldest first; only that one is read.
    sources: VecDeque<Source>,
}

struct Source {
    socket: UnixStream,
    frames: FrameBuffer,
}

impl<F: Fn(Told)> Screen<F> {
    pub(super) fn new(setup: Setup, commands: Mailbox<Command>, told: F) -> Self {
        let (out, err): (BorrowedFd<'static>, BorrowedFd<'static>) = stdio();
        Self {
            commands,
            told,
            streams: Streams::new(out, err, setup.label.map(label::width)),
            style: setup.style,
            bar: None,
            events: setup.events,
            event_bytes: Vec::new(),
            sources: VecDeque::new(),
        }
    }

    pub(super) fn run(mut self) {
        let mut commands = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            self.wait();
            self.commands.drain(&mut commands);
            let mut finish = false;
            for command in commands.drain(..) {
                finish |= self.on_command(command);
            }
            let ended = self.read(&mut buffer);
            if finish {
                self.bar.take().iter().for_each(Bar::clear);
            }
            self.flush();
            if ended {
                (self.told)(Told::OutputEnded);
            }
            if finish {
                return;
            }
        }
    }

    fn wait(&self) {
        let mut fds = vec![PollFd::new(self.commands.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.sources.front().map(|source| PollFd::new(source.socket.as_fd(), PollFlags::POLLIN)));
        // Interrupted or not: what is ready is found out below.
        let _ = poll(&mut fds, crate::mailbox::look_again());
    }

    /// Whether it was the last.
    fn on_command(&mut self, command: Command) -> bool {
        match command {
            Command::Say(text) => self.streams.lines(|out| words::append(out, &text)),
            Command::Event(line) => match self.events {
                Events::Stderr => self.streams.lines(|out| out.extend_from_slice(&line)),
                Events::File(..) => self.event_bytes.extend_from_slice(&line),
                Events::None => {}
            },
            Command::Attach(socket) => {
                self.sources.push_back(Source { socket, frames: FrameBuffer::default() });
            }
            Command::Show(progress) => self.on_show(&progress),
            Command::Finish => return true,
        }
        false
    }

    fn on_show(&mut self, progress: &Progress) {
        match (self.style, &self.bar) {
            (Style::None, _) => {}
            (Style::Lines, _) => self.streams.lines(|out| words::append(out, &progress.line())),
            (Style::Bar, Some(bar)) => bar.show(progress),
            (Style::Bar, None) => {
                // What stands on the terminal must end its line before the bar comes below it.
                self.streams.lines(|_| {});
                self.streams.flush(false);
                self.bar = Some(Bar::new(progress));
            }
        }
    }

    /// Reads what the oldest starter has written; whether it was its end.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        let Some(source) = self.sources.front_mut() else { return false };
        let mut fds = [PollFd::new(source.socket.as_fd(), PollFlags::POLLIN)];
        if !matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1)) {
            return false;
        }
        match source.socket.read(buffer) {
            Ok(0) => {}
            Ok(n) => {
                source.frames.push(&buffer[..n]);
                if drain(&mut source.frames, &mut self.streams) {
                    return false;
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => return false,
            Err(_) => {}
        }
        self.sources.pop_front();
        true
    }

    fn flush(&mut self) {
        match &self.bar {
            Some(bar) if self.streams.touches_terminal() => {
                let streams = &mut self.streams;
                bar.aside(|| streams.flush(true));
            }
            bar => self.streams.flush(bar.is_some()),
        }
        if let Some(error) = self.streams.take_failure() {
            (self.told)(Told::StdoutFailed(error));
        }
        self.flush_events();
    }

    fn flush_events(&mut self) {
        let Events::File(file, name) = &self.events else { return };
        if self.event_bytes.is_empty() {
            return;
        }
        let result = write_all(file.as_fd(), &self.event_bytes);
        self.event_bytes.clear();
        if let Err(error) = result {
            let text = format!("cannot write {name}: {error}; no more events are written");
            self.events = Events::None;
            self.streams.lines(|out| words::append(out, &text));
            self.streams.flush(self.bar.is_some());
        }
    }
}

/// Takes all whole frames; false when the stream is not a starter's.
fn drain(frames: &mut FrameBuffer, streams: &mut Streams) -> bool {
    loop {
        match frames.next_frame() {
            Ok(None) => return true,
            Ok(Some((kind, body))) => match Output::decode(kind, body) {
                Ok(piece) => streams.piece(&piece),
                Err(_) => return false,
            },
            Err(_) => return false,
        }
    }
}

fn stdio() -> (BorrowedFd<'static>, BorrowedFd<'static>) {
    use std::sync::OnceLock;
    static STDIO: OnceLock<(std::io::Stdout, std::io::Stderr)> = OnceLock::new();
    let (out, err) = STDIO.get_or_init(|| (std::io::stdout(), std::io::stderr()));
    (out.as_fd(), err.as_fd())
}
