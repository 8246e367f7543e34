//! The loop. A turn takes in what is ready, lets the core decide, has it written, and tells whoever waits for what is
//! on disk.

use super::doors::{LOCAL, PORTS};
use super::links::{LINKS_FROM, LinkId};
use super::poller::{Interest, Ready};
use super::signals::Wish;
use super::{Daemon, Failed, clock};
use dc_link::{Event as LinkEvent, Identity, JoinRequest};
use dc_model::cluster::{FromClient, FromNode};
use dcsched_core::cluster::Event;
use tracing::{debug, info};

const JOURNAL: u64 = 0;
const SIGNALS: u64 = 1;

/// Messages that are taken from one connection in a turn.
const MESSAGES_MAX: usize = 512;
/// How often it is looked whether keys have expired.
const RECHECK_NS: u64 = 3600 * 1_000_000_000;
/// Kinds of nodes' messages are below this, commands' are not.
const CLIENT_KINDS_FROM: u8 = 0x40;

/// What came from a connection.
enum Came {
    Up(Identity),
    Node(FromNode),
    Client(FromClient),
    Join(JoinRequest),
    Ended(String),
}

/// Whether the loop goes on.
enum Flow {
    GoOn,
    End,
}

impl Daemon {
    /// Runs until somebody ends it.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub fn run(mut self) -> Result<(), Failed> {
        let mut ready = Vec::new();
        loop {
            let wait = if self.again.is_empty() { self.wait_ns() } else { Some(0) };
            self.poller
                .wait(wait, &mut ready)
                .map_err(|errno| Failed::System(format!("epoll: {}", errno.desc())))?;
            if matches!(self.turn(&ready)?, Flow::End) {
                return self.end();
            }
        }
    }

    /// How long nothing has to be done if nothing comes.
    fn wait_ns(&self) -> Option<u64> {
        let now = clock::now();
        let life = self.followers.links().next().map(|_| self.life_due);
        let due = [
            self.core.due(),
            self.links.due(),
            self.doors.due(),
            life,
            Some(self.recheck_due),
            self.peers_due,
        ];
        let due = due.into_iter().flatten().min()?;
        Some(due.saturating_sub(now))
    }

    fn turn(&mut self, ready: &[Ready]) -> Result<Flow, Failed> {
        let mut flow = Flow::GoOn;
        for it in ready {
            match it.token {
                JOURNAL => self.on_journal()?,
                SIGNALS => {
                    while let Some(wish) = self.signals.next_wish() {
                        match wish {
                            Wish::End => flow = Flow::End,
                            Wish::Reload => drop(self.reload()),
                        }
                    }
                }
                LOCAL => self.accept_local(),
                port if port < LINKS_FROM => self.accept_tls((port - PORTS) as usize),
                link => self.on_ready(link, *it)?,
            }
        }
        for link in std::mem::take(&mut self.again) {
            self.take_messages(link)?;
        }
        let now = clock::now();
        while let Some(link) = self.links.take_due(now) {
            let ticked = self.links.get_mut(link).map(|it| it.conn.on_tick(now));
            if let Some(Err(error)) = ticked {
                self.doom(link, error.to_string());
            }
        }
        if self.core.due().is_some_and(|due| due <= now) {
            self.step(Event::Due)?;
        }
        self.take_parked()?;
        self.close_turn()?;
        Ok(flow)
    }

    /// The end of a turn: all of it goes to disk together, and what can be told is told.
    fn close_turn(&mut self) -> Result<(), Failed> {
        self.journal.sync();
        self.close_doomed()?;
        self.send_all_orders();
        self.tell_followers();
        self.tell_mergers();
        self.tell_life();
        self.maybe_tell_peers();
        let now = clock::now();
        let holds = self.journal.holds();
        let settled = self.links.settle(&self.poller, holds, now);
        self.doomed.extend(settled.ended);
        self.again.extend(settled.again);
        self.close_doomed()?;
        self.journal.sync();
        self.doors.open_paused(&self.poller, now);
        if now >= self.recheck_due {
            // Keys expire.
            self.recheck_due = now.saturating_add(RECHECK_NS);
            self.recheck_links();
        }
        if self.journal.wants_snapshot() {
            let state = self.core.state_to_bytes();
            debug!(bytes = state.len(), "a snapshot begins");
            self.journal.snapshot(state)?;
        }
        Ok(())
    }

    fn close_doomed(&mut self) -> Result<(), Failed> {
        while !self.doomed.is_empty() {
            for (link, why) in std::mem::take(&mut self.doomed) {
                self.close(link, why)?;
            }
        }
        Ok(())
    }

    pub(super) fn on_journal(&mut self) -> Result<(), Failed> {
        let held = self.journal.holds();
        let news = self.journal.on_progress()?;
        if let Some(there_is) = news.space {
            self.step(Event::Space { there_is })?;
        }
        if let Some(seq) = news.durable {
            self.durable = seq;
            self.step(Event::Durable { seq })?;
            self.send_answers();
        }
        if self.journal.holds() < held {
            // What they wait for is looked at again.
            for link in self.links.ids() {
                self.links.get_mut(link);
                self.again.insert(link);
            }
        }
        Ok(())
    }

    /// Submissions that waited for room.
    fn take_parked(&mut self) -> Result<(), Failed> {
        while self.journal.has_room()
            && let Some(link) = self.parked.pop_front()
        {
            let Some(message) = self.links.get_mut(link).and_then(|it| it.parked.take()) else { continue };
            if let Err(why) = self.on_client(link, *message)? {
                self.doom(link, why);
            }
            self.again.insert(link);
        }
        Ok(())
    }

    fn on_ready(&mut self, link: LinkId, ready: Ready) -> Result<(), Failed> {
        let now = clock::now();
        let Some(it) = self.links.get_mut(link) else { return Ok(()) };
        let mut failed = None;
        if ready.write
            && let Err(error) = it.conn.on_writable(now)
        {
            failed = Some(error);
        }
        if ready.read && failed.is_none() {
            if it.parked.is_some() || it.owes_reading || it.is_held(self.journal.holds()) {
                if ready.ended {
                    // What it said and nobody has answered was not acknowledged.
                    self.doom(link, "the connection was lost");
                }
                return Ok(());
            }
            // Else it has brought more than was taken so far; that comes first.
            if it.conn.want_read() {
                failed = it.conn.on_readable(now).err();
            }
        }
        if let Some(error) = failed {
            self.doom(link, error.to_string());
            return Ok(());
        }
        if ready.read { self.take_messages(link) } else { Ok(()) }
    }

    /// Takes what a connection has brought, up to a bound.
    fn take_messages(&mut self, link: LinkId) -> Result<(), Failed> {
        for _ in 0..MESSAGES_MAX {
            let holds = self.journal.holds();
            let Some(it) = self.links.get_mut(link).filter(|it| !it.is_held(holds)) else { return Ok(()) };
            if it.has_unread_answers() {
                it.owes_reading = true;
                return Ok(());
            }
            match self.next_message(link) {
                Ok(None) => return Ok(()),
                Err(why) => {
                    self.doom(link, why);
                    return Ok(());
                }
                Ok(Some(came)) => {
                    if let Err(why) = self.on_came(link, came)? {
                        self.doom(link, why);
                        return Ok(());
                    }
                }
            }
        }
        self.again.insert(link);
        Ok(())
    }

    /// The next message of a connection, decoded: kind, sender and length are checked by the link's rules before.
    fn next_message(&mut self, link: LinkId) -> Result<Option<Came>, String> {
        let Some(it) = self.links.get_mut(link) else { return Ok(None) };
        if it.parked.is_some() {
            return Ok(None);
        }
        let came = match it.conn.next_event().map_err(|error| error.to_string())? {
            None => return Ok(None),
            Some(LinkEvent::Up(identity)) => Came::Up(identity.clone()),
            Some(LinkEvent::Frame { kind, body }) if kind < CLIENT_KINDS_FROM => {
                Came::Node(FromNode::decode(kind, body).map_err(|error| malformed(kind, &error.to_string()))?)
            }
            Some(LinkEvent::Frame { kind, body }) => Came::Client(
                FromClient::decode(kind, body).map_err(|error| malformed(kind, &error.to_string()))?,
            ),
            Some(LinkEvent::Join(request)) => Came::Join(request),
            Some(LinkEvent::Joined(_)) => return Err("it answers what was not asked".to_owned()),
            Some(LinkEvent::Ended { text }) => Came::Ended(text),
        };
        Ok(Some(came))
    }

    fn on_came(&mut self, link: LinkId, came: Came) -> Result<Result<(), String>, Failed> {
        match came {
            Came::Up(identity) => Ok(self.on_up(link, &identity)),
            Came::Node(message) => self.on_node(link, message),
            Came::Client(message) => self.on_client(link, message),
            Came::Join(request) => {
                self.on_join(link, &request);
                Ok(Ok(()))
            }
            Came::Ended(text) => {
                debug!(link, "it has ended the connection: {text}");
                self.doomed.push((link, None));
                Ok(Ok(()))
            }
        }
    }

    /// Has the poller wait for all that it waits for from the beginning.
    pub(super) fn begin_waiting(&mut self) -> Result<(), Failed> {
        let system = |errno: nix::errno::Errno| Failed::System(format!("epoll: {}", errno.desc()));
        self.poller.add(self.journal.ready_fd(), JOURNAL, Interest::READ).map_err(system)?;
        self.poller.add(&self.signals, SIGNALS, Interest::READ).map_err(system)?;
        self.doors.wait_for(&self.poller).map_err(system)
    }

    /// Says where it can be reached.
    pub(super) fn tell_doors(&self) {
        info!("listens at {}", self.doors.local.path().display());
        if let Some(tls) = &self.doors.tls {
            let ports = tls.acceptors.iter().filter_map(|acceptor| acceptor.local_addr().ok());
            ports.for_each(|address| info!(key = %tls.fingerprint(), "listens at {address}"));
        }
    }

    /// Ends cleanly: all that was decided goes to disk; ranks go on, and nodes come back to the next scheduler.
    fn end(mut self) -> Result<(), Failed> {
        info!("ends: ranks go on, nodes wait for the next dcsched");
        for link in self.links.ids() {
            if let Some(mut it) = self.links.remove(link) {
                it.conn.session().close("the scheduler ends; it may come back");
                let _ = it.conn.on_writable(clock::now());
            }
        }
        self.journal.close()?;
        Ok(())
    }
}

fn malformed(kind: u8, why: &str) -> String {
    format!("its message of kind {kind:#04x} cannot be read: {why}")
}
