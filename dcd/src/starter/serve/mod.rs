//! A starter that outlives those who talk to it: it serves a job's directory on its node. Connections come and go, reports
//! are kept until they are acknowledged, and ranks run as long as the lease does, whoever is there.

mod admit;
mod begin;
mod door;
pub(super) mod lease;
pub(super) mod ledger;
pub(super) mod link;
mod watch;

pub use begin::main as serve;

use super::Starter;
use super::attempt::State;
use super::control::Gone;
use super::table::Entry;
use super::{Ending, Taken};
use crate::sweep::strike_descendants;
use dc_model::wire::{FromStarter, Hello, Known, KnownPhase, Launch, StarterState, ToStarter};
use dc_model::{Attempt, SubtaskId};
use dc_spool::progress::Slots;
use door::{Came, Door};
use lease::Lease;
use link::Link;
use nix::fcntl::OFlag;
use nix::libc::SIGKILL;
use nix::unistd::dup3;
use std::collections::{HashMap, VecDeque};
use std::os::fd::AsFd;

/// What one that serves has beside the others.
#[derive(Debug)]
pub(super) struct Serve {
    door: Door,
    lease: Lease,
    link: Link,
    /// This starter's number, random.
    pub(super) starter_inc: u64,
    /// What it was told of the job, as it came.
    hello: Option<Vec<u8>>,
    /// The highest attempt of each subtask that was ever to be launched here.
    fences: HashMap<SubtaskId, Attempt>,
    /// Launches that wait until reports are acknowledged.
    late: VecDeque<Box<Launch>>,
    /// Launches that wait for the end of an older attempt of the same subtask.
    behind: HashMap<SubtaskId, Box<Launch>>,
    /// A gang that waits for either.
    late_gang: Option<Box<dc_model::wire::Gang>>,
    /// Nobody came to hear the story.
    is_ended: bool,
}

impl Serve {
    fn new(door: Door, lease: Lease, starter_inc: u64) -> Self {
        Self {
            door,
            lease,
            link: Link::default(),
            starter_inc,
            hello: None,
            fences: HashMap::new(),
            late: VecDeque::new(),
            behind: HashMap::new(),
            late_gang: None,
            is_ended: false,
        }
    }

    /// The descriptor that is readable when connections come or speak, and when the lease is over.
    pub(super) fn bell(&self) -> &nix::sys::epoll::Epoll {
        self.door.epoll()
    }

    /// Notes the control group for those who find a dead starter.
    pub(super) fn note_group(&self, dir: &[u8]) {
        self.door.note(dir);
    }

    /// Whether launches wait.
    pub(super) fn holds_launches(&self) -> bool {
        !self.late.is_empty() || !self.behind.is_empty() || self.late_gang.is_some()
    }

    pub(super) fn close(self) {
        self.door.close();
    }
}

impl Starter {
    /// Whether it outlives those who talk to it.
    pub(super) fn is_serving(&self) -> bool {
        self.serve.is_some()
    }

    /// The door or the lease's timer has something.
    pub(super) fn on_serve_ready(&mut self) {
        let Some(serve) = &mut self.serve else { return };
        let came = serve.door.take();
        if serve.lease.has_run_out() {
            self.on_lease(lease::Event::RanOut);
        }
        for came in came {
            match came {
                Came::Control(socket, frames) => {
                    if let Some(serve) = &mut self.serve {
                        serve.link.came = Some((socket, frames));
                    }
                    self.on_link(link::Event::Opened);
                }
                Came::Output(socket, frames, have) => self.output.join(socket, frames, have),
            }
        }
    }

    /// Something happened to the control connection.
    pub(super) fn on_link(&mut self, event: link::Event) {
        let Some(serve) = &mut self.serve else { return };
        let (state, acts) = link::next(serve.link.state, event);
        serve.link.state = state;
        for act in acts {
            match act {
                link::Act::TellWhy => self.tell_why(),
                link::Act::Drop => self.control.leave(),
                link::Act::TellState => self.tell_state(),
                link::Act::Repeat => self.repeat(),
            }
        }
    }

    /// What came by the control connection is refused.
    pub(super) fn refuse(&mut self, why: impl Into<String>) -> Gone {
        if let Some(serve) = &mut self.serve {
            serve.link.why = why.into();
        }
        Gone
    }

    fn tell_why(&mut self) {
        let Some(serve) = &mut self.serve else { return };
        let text = std::mem::take(&mut serve.link.why);
        self.control.tell(&FromStarter::Refused { text });
        self.control.flush();
    }

    fn tell_state(&mut self) {
        let Some(serve) = &mut self.serve else { return };
        let Some((socket, frames)) = serve.link.came.take() else { return };
        let waiting = |launch: &Launch| known(launch, KnownPhase::Waiting, None);
        let late = serve.late.iter().chain(serve.behind.values()).map(|launch| waiting(launch));
        let gang = serve.late_gang.iter().flat_map(|gang| gang.ranks.iter().flatten()).map(waiting);
        let attempts = self.table.values().map(Entry::known).chain(late).chain(gang).collect();
        let state = StarterState {
            starter_inc: serve.starter_inc,
            pid: std::process::id(),
            job: self.job.as_ref().map(|job| job.uuid),
            lease_over: serve.lease.is_over(),
            attempts,
            acked_seq: 0,
            next_seq: 1,
        };
        self.control.join(socket, frames, state);
        if self.job.is_some() {
            self.owe_progress();
        }
    }

    /// The file in which ranks say how far they are goes to whoever is there.
    fn owe_progress(&mut self) {
        if let Ok(progress) = self.progress.try_clone() {
            self.control.owe(progress);
        }
    }

    fn repeat(&mut self) {
        self.control.repeat();
        let hungry: Vec<_> = self
            .table
            .values()
            .filter_map(|entry| Some((entry.launch.subtask, entry.launch.attempt, entry.wants_input_at?)))
            .collect();
        for (subtask, attempt, at) in hungry {
            let room = dc_model::wire::INPUT_BYTES_MAX;
            self.control.tell(&FromStarter::WantInput { subtask, attempt, at, room });
        }
    }

    /// Something happened to the lease.
    fn on_lease(&mut self, event: lease::Event) {
        let Some(serve) = &mut self.serve else { return };
        let acts = serve.lease.on(event);
        for act in acts {
            let Some(serve) = &mut self.serve else { return };
            match act {
                lease::Act::SetTimer => serve.lease.set_to_end(),
                lease::Act::KillAll => {
                    self.strike();
                    self.control.notice("the lease of this node is over: everything it ran was killed");
                }
                lease::Act::Stay => serve.lease.set_to_story(),
                lease::Act::End => serve.is_ended = true,
            }
        }
    }

    /// Kills whatever runs at once, and goes on: the ends are told as they come.
    pub(super) fn strike(&mut self) {
        // Whoever has ended by itself by now was not killed.
        self.on_children();
        // Those first that are held: they would go on when whom they follow is killed.
        let (held, others): (Vec<_>, Vec<_>) = self
            .table
            .keys()
            .into_iter()
            .partition(|key| self.table.get(*key).is_some_and(|e| e.state == State::Held));
        for key in held.into_iter().chain(others) {
            self.stop_by(key, SIGKILL as u8);
        }
        // What has left its group is below all the same.
        strike_descendants();
        self.orphans.want_look();
        self.end_late();
    }

    /// What only one that serves is told.
    pub(super) fn on_serve_message(&mut self, message: &ToStarter) -> Result<Option<Taken>, Gone> {
        let Some(serve) = &mut self.serve else {
            self.control.notice("the starter was told what is for one that serves");
            return Ok(None);
        };
        match message {
            ToStarter::Ack { seq } => {
                if self.control.on_ack(*seq).is_err() {
                    return Err(self.refuse("a report was acknowledged that there was not"));
                }
            }
            ToStarter::Lease { until_boottime_ns } => {
                if serve.lease.takes(*until_boottime_ns) {
                    self.on_lease(lease::Event::Renewed);
                }
            }
            ToStarter::Close => return Ok(Some(Taken::Ending(Ending::Closed))),
            _ => return Err(self.refuse("a control connection does not take that message")),
        }
        Ok(None)
    }

    /// Whether it was told of the job before, and of the same one; else its progress file is made.
    pub(super) fn on_serve_hello(&mut self, hello: &Hello) -> Result<bool, Gone> {
        let mut bytes = Vec::new();
        ToStarter::Hello(Box::new(hello.clone())).encode(&mut bytes);
        let Some(serve) = &mut self.serve else { return Ok(false) };
        match &serve.hello {
            Some(known) if *known == bytes => {
                self.control.tell(&FromStarter::Ready { pid: std::process::id() });
                return Ok(true);
            }
            Some(_) => {
                return Err(self.refuse("this starter has another job, or was told of it in other words"));
            }
            None => {}
        }
        let made = Slots::create(hello.ranks);
        let placed = made.and_then(|slots| Ok(dup3(slots.as_fd(), &mut self.progress, OFlag::O_CLOEXEC)?));
        if let Err(e) = placed {
            return Err(self.refuse(format!("the ranks' progress file cannot be made: {e}")));
        }
        serve.hello = Some(bytes);
        self.owe_progress();
        Ok(false)
    }

    /// The job is not what it was told to be after all.
    pub(super) fn forget_hello(&mut self) {
        if let Some(serve) = &mut self.serve {
            serve.hello = None;
        }
    }

    /// The end, if nobody came for its story.
    pub(super) fn serve_ending(&self) -> Option<Ending> {
        self.serve.as_ref().filter(|serve| serve.is_ended).map(|_| Ending::Closed)
    }

    /// Whether launches wait.
    pub(super) fn has_late(&self) -> bool {
        self.serve.as_ref().is_some_and(|serve| serve.holds_launches())
    }
}

/// How an attempt is shown to who asks what is here.
pub(super) fn known(launch: &Launch, phase: KnownPhase, from: Option<dc_model::Restart>) -> Known {
    Known {
        subtask: launch.subtask,
        attempt: launch.attempt,
        rank: launch.rank,
        cpus: launch.cpus.clone(),
        phase,
        from,
    }
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
