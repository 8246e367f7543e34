//! A job's streams on this node, for one who has attached: frames of output from the starter's own output connection, wishes
//! for standard input by way of the daemon's loop, which has the control connection. What is on its way is bounded by
//! the starter, which keeps what is not taken and holds up its ranks when that is too much.

use super::serve::{Over, Serving, may_have, next, wait};
use super::{ALIVE_NS, clock};
use crate::daemon::{Mailbox, PeerAsk};
use crate::privileged::Privileged;
use crate::starters::{ConnectError, Life, OutputEvent, OutputReader, Site};
use dc_link::{Conn, Identity};
use dc_model::cluster::peer::{FromPeer, ToPeer};
use dc_model::wire::{FromStarter, OutputAt, ToStarter};
use dc_model::{Attempt, JobUuid, SubtaskId};
use nix::poll::PollFlags;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// How soon a starter that is not there is looked for again at first, and at last, in ns.
const LOOK_NS: [u64; 2] = [20_000_000, 500_000_000];

/// Wishes for input that are remembered: more than ranks run on a node.
const WANTED_MAX: usize = 1 << 16;

/// Who has attached to what.
#[derive(Debug)]
pub(crate) struct Attached {
    pub job: JobUuid,
    pub dir: PathBuf,
    pub have: Option<OutputAt>,
    pub who: Identity,
}

/// From the daemon's loop.
#[derive(Debug)]
pub(crate) enum ToStream {
    /// A rank wants input.
    Want(FromStarter),
    /// Another has attached to the job.
    Replaced,
}

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Tells the loop that nobody is attached any more, however the thread ends.
struct Registered<'a> {
    serving: &'a Serving,
    job: JobUuid,
    number: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.serving.asks.send(PeerAsk::Detach { job: self.job, number: self.number });
    }
}

struct Stream<'a> {
    conn: &'a mut Conn,
    at: Attached,
    exec: Option<Privileged>,
    output: Option<OutputReader>,
    /// Which starter's output comes.
    starter_inc: Option<u64>,
    look_at_ns: u64,
    look_ns: u64,
    said_ns: u64,
    /// Input that was asked for and has not come: nothing else is passed on.
    wanted: BTreeMap<(SubtaskId, Attempt), u64>,
}

pub(super) fn serve(conn: &mut Conn, at: Attached, serving: &Serving) -> Result<(), Over> {
    let mailbox = Mailbox::new().map_err(|error| Over::Refused(format!("no descriptor is left: {error}")))?;
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let registered = Registered { serving, job: at.job, number };
    serving.asks.send(PeerAsk::Attach { job: at.job, number, to: mailbox.clone() });
    let now = clock::boottime_ns();
    let (look_ns, job) = (LOOK_NS[0], registered.job);
    let mut stream = Stream {
        conn,
        at,
        exec: serving.exec.clone(),
        output: None,
        starter_inc: None,
        look_at_ns: now,
        look_ns,
        said_ns: now,
        wanted: BTreeMap::new(),
    };
    loop {
        stream.look(clock::boottime_ns())?;
        stream.pass_output()?;
        for came in mailbox.take() {
            match came {
                ToStream::Want(want) => stream.want(want)?,
                ToStream::Replaced => {
                    return Err(Over::Refused("another command has attached to the job".to_owned()));
                }
            }
        }
        while let Some(message) = next(stream.conn)? {
            match message {
                FromPeer::Taken { at } => stream.on_taken(at),
                FromPeer::Input(input) => {
                    if stream.is_wanted(&input) {
                        serving.asks.send(PeerAsk::Input { job, input });
                    }
                }
                FromPeer::Alive => {}
                FromPeer::Attach { .. } => return Err(Over::Refused("it is attached already".to_owned())),
            }
        }
        stream.wait(&mailbox)?;
    }
}

impl Stream<'_> {
    fn say(&mut self, message: &ToPeer) -> Result<(), Over> {
        let now = clock::boottime_ns();
        self.said_ns = now;
        self.conn.send(message.kind(), &message.body()).map_err(|error| Over::Refused(error.to_string()))?;
        Ok(self.conn.on_writable(now)?)
    }

    fn want(&mut self, want: FromStarter) -> Result<(), Over> {
        if let FromStarter::WantInput { subtask, attempt, at, .. } = &want {
            if self.wanted.len() == WANTED_MAX {
                self.wanted.pop_first();
            }
            self.wanted.insert((*subtask, *attempt), *at);
        }
        self.say(&ToPeer::WantInput(want))
    }

    /// Whether this input was asked for; once.
    fn is_wanted(&mut self, input: &ToStarter) -> bool {
        let ToStarter::Input { subtask, attempt, at, .. } = input else { return false };
        let key = (*subtask, *attempt);
        let is_wanted = self.wanted.get(&key) == Some(at);
        if is_wanted {
            self.wanted.remove(&key);
        }
        is_wanted
    }

    /// Looks for the starter, where it is time to.
    fn look(&mut self, now: u64) -> Result<(), Over> {
        if now.saturating_sub(self.said_ns) >= ALIVE_NS {
            self.say(&ToPeer::Alive)?;
        }
        if self.output.is_some() || now < self.look_at_ns {
            return Ok(());
        }
        self.look_at_ns = now.saturating_add(self.look_ns);
        self.look_ns = (self.look_ns * 2).min(LOOK_NS[1]);
        if !self.at.dir.exists() {
            return self.maybe_ended();
        }
        if !may_have(&self.at.who, &self.at.dir) {
            return Err(Over::Refused("the job is another user's".to_owned()));
        }
        let Some(site) = self.site() else { return Ok(()) };
        match site.connect() {
            Ok(socket) => {
                self.output = Some(OutputReader::over(socket, self.at.have));
                self.look_ns = LOOK_NS[0];
                Ok(())
            }
            Err(ConnectError::Dead { .. } | ConnectError::NotYet { .. }) => self.maybe_ended(),
            Err(error) => Err(Over::Refused(error.to_string())),
        }
    }

    fn site(&self) -> Option<Site> {
        Site::of(self.at.job, self.at.dir.clone(), self.exec.as_ref()).ok()
    }

    /// Tells that the starter whose output was sent has ended, once that is so: its connection ends a moment before it does.
    fn maybe_ended(&mut self) -> Result<(), Over> {
        let Some(starter_inc) = self.starter_inc.filter(|_| self.output.is_none()) else { return Ok(()) };
        let life = self.site().map(|site| site.life());
        match Some(starter_inc).filter(|_| !matches!(life, Some(Ok(Life::Alive | Life::Dead)))) {
            Some(starter_inc) => {
                self.starter_inc = None;
                self.say(&ToPeer::Ended { starter_inc })
            }
            None => Ok(()),
        }
    }

    /// Passes on what has come of the starter, as long as the other side takes it.
    fn pass_output(&mut self) -> Result<(), Over> {
        while !self.conn.session().is_congested() {
            let Some(output) = &mut self.output else { return Ok(()) };
            match output.next_event() {
                Ok(None) => return Ok(()),
                Ok(Some(OutputEvent::From(at))) => {
                    self.starter_inc = Some(at.starter_inc);
                    self.say(&ToPeer::From(at))?;
                }
                Ok(Some(OutputEvent::Frame { frame, end })) => self.say(&ToPeer::Output { end, frame })?,
                Err(_) => {
                    self.output = None;
                    (self.look_at_ns, self.look_ns) = (clock::boottime_ns(), LOOK_NS[0]);
                    self.maybe_ended()?;
                }
            }
        }
        Ok(())
    }

    fn on_taken(&mut self, at: OutputAt) {
        self.at.have = Some(at);
        if let Some(output) = self.output.as_mut().filter(|_| self.starter_inc == Some(at.starter_inc)) {
            output.ack(at.offset);
        }
    }

    fn wait(&mut self, mailbox: &Mailbox<ToStream>) -> Result<(), Over> {
        let is_congested = self.conn.session().is_congested();
        let mut until = self.said_ns.saturating_add(ALIVE_NS);
        let mut others = vec![(mailbox.as_fd(), PollFlags::POLLIN)];
        match &self.output {
            None => until = until.min(self.look_at_ns),
            Some(output) => {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::POLLIN, output.want_read() && !is_congested);
                flags.set(PollFlags::POLLOUT, output.want_write());
                others.push((output.as_fd(), flags));
            }
        }
        wait(self.conn, &mut others, Some(until))?;
        let flags = others.get(1).map_or(PollFlags::empty(), |(_, flags)| *flags);
        if let Some(output) = &mut self.output {
            if flags.contains(PollFlags::POLLOUT) {
                output.on_writable();
            }
            if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
                output.on_readable();
            }
        }
        Ok(())
    }
}
