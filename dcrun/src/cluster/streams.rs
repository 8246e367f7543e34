//! The thread of the streams: what the ranks of all nodes write, into the one socket that the console reads. Who does not
//! read it holds up this thread, then the nodes, then the ranks, and never the follower. What was handed over is
//! acknowledged; after a lost way it goes on from there, so that nothing is shown twice.

use super::reach::{Reach, Unreached};
use crate::mailbox::{Mailbox, look_again};
use dc_model::cluster::NodeRow;
use dc_model::wire::{FrameBuffer, FromStarter, Output, OutputAt, ToStarter};
use dc_model::{Attempt, JobUuid, SubtaskId};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

const READ_BYTES: usize = 256 << 10;
/// A frame's length and kind, in bytes.
const HEAD_BYTES: u64 = 5;
/// Between two tries to reach a node: at first, and at most.
const AGAIN_MIN: Duration = Duration::from_millis(20);
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// After the job's end a node that cannot be reached is given up after so long.
const LAST_TRY: Duration = Duration::from_secs(10);
/// After the job's end a node that sends nothing has nothing: a starter with output that was not taken waits for its
/// reader, and is found by the node in half of this.
const NOTHING_AFTER: Duration = Duration::from_secs(1);

/// What the thread is told.
enum Command {
    /// Ranks of the job run on this node, or may.
    Node(NodeRow),
    /// A node's way is there, or why it is not.
    Dialled(u32, Result<UnixStream, Unreached>),
    /// A piece of input for a node's rank.
    Send(u32, Vec<u8>),
    /// The job has ended: what is left is taken, then nothing more comes.
    JobEnded,
}

/// What the thread tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// A rank takes more input.
    Wants {
        /// On which node.
        node: u32,
        /// Its subtask.
        subtask: SubtaskId,
        /// Its attempt.
        attempt: Attempt,
        /// Bytes it was sent so far.
        at: u64,
        /// How many it takes now.
        room: u32,
    },
    /// A node whose output was not all had: its name, and why.
    Missed(String, String),
    /// Nodes are reached by the relay at this address, because they are not straight.
    Relayed(String),
}

/// A node's way.
#[derive(Debug, Default)]
enum Way {
    #[default]
    Down,
    /// A thread dials.
    Dialling,
    Up(UnixStream, FrameBuffer),
    /// All was had.
    Over,
}

#[derive(Debug)]
struct Node {
    row: NodeRow,
    way: Way,
    /// Up to where everything was handed over.
    have: Option<OutputAt>,
    /// All output of the starter that was there last was handed over.
    is_done: bool,
    /// When something came last.
    heard: Instant,
    again_at: Instant,
    pause: Duration,
    unsent: Vec<u8>,
    trouble: Option<String>,
}

/// The way to the thread.
#[derive(Clone)]
pub struct Streams(Mailbox<Command>);

impl Streams {
    /// Starts the thread: what ranks write goes into `console`, which is closed when the job has ended and all was had.
    ///
    /// # Errors
    /// When there is no thread or descriptor to be had.
    pub fn start(
        reach: Arc<dyn Reach>,
        job: JobUuid,
        console: UnixStream,
        told: impl Fn(Told) + Send + 'static,
    ) -> io::Result<Self> {
        let commands = Mailbox::new()?;
        let theirs = commands.clone();
        let thread = Thread {
            reach,
            job,
            console: Some(console),
            told,
            commands: theirs,
            nodes: BTreeMap::new(),
            ended: None,
        };
        std::thread::Builder::new().name("streams".to_owned()).spawn(move || thread.run())?;
        Ok(Self(commands))
    }

    /// Ranks may run on this node.
    pub fn node(&self, row: &NodeRow) {
        self.0.push(Command::Node(row.clone()));
    }

    /// A piece of input.
    pub fn send(&self, node: u32, message: &ToStarter) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.0.push(Command::Send(node, bytes));
    }

    /// Nothing runs any more.
    pub fn job_ended(&self) {
        self.0.push(Command::JobEnded);
    }
}

struct Thread<F> {
    reach: Arc<dyn Reach>,
    job: JobUuid,
    /// Closed when nobody reads it.
    console: Option<UnixStream>,
    told: F,
    commands: Mailbox<Command>,
    nodes: BTreeMap<u32, Node>,
    /// When the job ended.
    ended: Option<Instant>,
}

impl<F: Fn(Told)> Thread<F> {
    fn run(mut self) {
        let (mut commands, mut buffer) = (Vec::new(), vec![0; READ_BYTES]);
        loop {
            self.commands.drain(&mut commands);
            commands.drain(..).for_each(|command| self.on_command(command));
            self.dial();
            if self.is_over() {
                return;
            }
            self.wait();
            let up: Vec<u32> =
                self.nodes.iter().filter(|(_, n)| matches!(n.way, Way::Up(..))).map(|(id, _)| *id).collect();
            for id in up {
                self.serve(id, &mut buffer);
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Node(row) => {
                let now = Instant::now();
                let node = self.nodes.entry(row.number).or_insert_with(|| Node {
                    row: row.clone(),
                    way: Way::Down,
                    have: None,
                    is_done: false,
                    heard: now,
                    again_at: now,
                    pause: AGAIN_MIN,
                    unsent: Vec::new(),
                    trouble: None,
                });
                node.row = row;
                // More may come from a node that had nothing more.
                if matches!(node.way, Way::Over) {
                    (node.way, node.again_at, node.pause) = (Way::Down, now, AGAIN_MIN);
                }
            }
            Command::Dialled(id, result) => {
                let Some(node) = self.nodes.get_mut(&id) else { return };
                match result.and_then(prepared) {
                    Ok(stream) => {
                        (node.way, node.pause, node.trouble) =
                            (Way::Up(stream, FrameBuffer::default()), AGAIN_MIN, None);
                    }
                    // Before the job's end there may be something of it a moment later.
                    Err(Unreached::Gone) if self.ended.is_some() => {
                        (node.way, node.trouble) = (Way::Over, None)
                    }
                    Err(why) => node.lose(&why.to_string()),
                }
            }
            Command::Send(id, bytes) => {
                if let Some(node) = self.nodes.get_mut(&id).filter(|node| matches!(node.way, Way::Up(..))) {
                    node.unsent.extend_from_slice(&bytes);
                    node.flush();
                }
            }
            Command::JobEnded => {
                let now = Instant::now();
                self.ended.get_or_insert(now);
                // What was waited with is asked for at once.
                self.nodes.values_mut().for_each(|node| node.again_at = now);
            }
        }
    }

    /// Begins to reach those that are due.
    fn dial(&mut self) {
        let now = Instant::now();
        for (id, node) in &mut self.nodes {
            if !matches!(node.way, Way::Down) || node.again_at > now {
                continue;
            }
            let (reach, job, row, have) = (Arc::clone(&self.reach), self.job, node.row.clone(), node.have);
            let (id, commands) = (*id, self.commands.clone());
            let thread = std::thread::Builder::new().name("dial".to_owned());
            let dial = move || commands.push(Command::Dialled(id, reach.streams(&row, job, have)));
            match thread.spawn(dial) {
                Ok(_) => node.way = Way::Dialling,
                Err(error) => node.lose(&error.to_string()),
            }
        }
    }

    /// Whether all was had; then the console is told by the end of its socket.
    fn is_over(&mut self) -> bool {
        let Some(ended) = self.ended else { return false };
        let is_late = ended.elapsed() >= LAST_TRY;
        let has_nothing = ended.elapsed() >= NOTHING_AFTER;
        let is_over = |node: &Node| match node.way {
            Way::Over => true,
            Way::Down | Way::Dialling => node.is_done || is_late,
            Way::Up(..) => {
                let is_silent = is_late && node.heard.elapsed() >= LAST_TRY;
                node.is_done || is_silent || (has_nothing && node.have.is_none())
            }
        };
        if !self.nodes.values().all(is_over) {
            return false;
        }
        for node in
            self.nodes.values().filter(|node| matches!(node.way, Way::Down | Way::Dialling) && !node.is_done)
        {
            let why = node.trouble.clone().unwrap_or_else(|| "it does not answer".to_owned());
            (self.told)(Told::Missed(node.row.name.clone(), why));
        }
        true
    }

    fn wait(&self) {
        let mut fds = vec![PollFd::new(self.commands.as_fd(), PollFlags::POLLIN)];
        for node in self.nodes.values() {
            if let Way::Up(stream, _) = &node.way {
                let out = if node.unsent.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
                fds.push(PollFd::new(stream.as_fd(), PollFlags::POLLIN | out));
            }
        }
        let now = Instant::now();
        let down = self.nodes.values().filter(|node| matches!(node.way, Way::Down));
        let last = self.ended.map(|ended| ended + NOTHING_AFTER).filter(|last| *last > now);
        let due = down.map(|node| node.again_at).chain(last).min();
        let due = due
            .map(|due| PollTimeout::try_from(due.saturating_duration_since(now) + Duration::from_millis(1)));
        let timeout = due.and_then(Result::ok).map_or(look_again(), |due| due.min(look_again()));
        // Interrupted or not: what has come is looked for next.
        let _ = poll(&mut fds, timeout);
    }

    fn serve(&mut self, id: u32, buffer: &mut [u8]) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.flush();
        let Way::Up(stream, frames) = &mut node.way else { return };
        match stream.read(buffer) {
            Ok(0) => {
                // Its end, or the way's: asking again tells which.
                node.lose("the connection was lost");
                node.again_at = Instant::now();
                return;
            }
            Ok(n) => {
                frames.push(&buffer[..n]);
                node.heard = Instant::now();
            }
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => return,
            Err(error) => return node.lose(&error.to_string()),
        }
        let mut pieces = Vec::new();
        let taken =
            take(frames, (&mut node.have, &mut node.is_done), &mut pieces, |subtask, attempt, at, room| {
                (self.told)(Told::Wants { node: id, subtask, attempt, at, room });
            });
        if !pieces.is_empty() {
            if self.console.as_mut().is_some_and(|console| console.write_all(&pieces).is_err()) {
                self.console = None;
            }
            if let Some(have) = node.have {
                ToStarter::AckOutput { offset: have.offset }.encode(&mut node.unsent);
                node.flush();
            }
        }
        if let Err(why) = taken {
            node.lose(why);
        }
    }
}

/// Takes all whole frames: output is appended to `pieces`, `have` is where it ends, and `is_done` whether that was all.
fn take(
    frames: &mut FrameBuffer,
    (have, is_done): (&mut Option<OutputAt>, &mut bool),
    pieces: &mut Vec<u8>,
    wants: impl Fn(SubtaskId, Attempt, u64, u32),
) -> Result<(), &'static str> {
    const FOREIGN: &str = "it said what no starter says";
    while let Some((kind, body)) = frames.next_frame().map_err(|_| FOREIGN)? {
        if kind == Output::KIND {
            let at = have.as_mut().ok_or(FOREIGN)?;
            at.offset = at.offset.saturating_add(HEAD_BYTES + body.len() as u64);
            let piece = Output::decode(kind, body).map_err(|_| FOREIGN)?;
            piece.encode(pieces);
            continue;
        }
        match FromStarter::decode(kind, body).map_err(|_| FOREIGN)? {
            FromStarter::OutputFrom(from) => (*have, *is_done) = (Some(from), false),
            FromStarter::Refused { .. } => *is_done = true,
            FromStarter::WantInput { subtask, attempt, at, room } => wants(subtask, attempt, at, room),
            _ => return Err(FOREIGN),
        }
    }
    Ok(())
}

fn prepared(stream: UnixStream) -> Result<UnixStream, Unreached> {
    stream.set_nonblocking(true).map_err(|error| Unreached::Failed(error.to_string()))?;
    Ok(stream)
}

impl Node {
    /// Its way is gone, and tried again later.
    fn lose(&mut self, why: &str) {
        self.way = Way::Down;
        self.unsent.clear();
        self.trouble = Some(why.to_owned());
        self.again_at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(AGAIN_MAX);
    }

    fn flush(&mut self) {
        let Way::Up(stream, _) = &mut self.way else { return };
        while !self.unsent.is_empty() {
            match stream.write(&self.unsent) {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // Full; or gone, which reading tells.
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
#[path = "streams_tests.rs"]
mod tests;
