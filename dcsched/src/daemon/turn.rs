//! The loop. A turn takes in what is ready, lets the core decide, has it written, and tells whoever waits for what is
//! on disk.

use super::authority::Party;
use super::links::{LINKS_FROM, LinkId};
use super::poller::{Interest, Ready};
use super::signals::Wish;
use super::{Daemon, Failed, clock};
use dc_link::{AcceptError, Conn, Event as LinkEvent, Identity, JoinRequest, LocalError, Session, Socket};
use dc_model::cluster::{FromClient, FromNode};
use dc_spool::files::shown;
use dcsched_core::cluster::Event;
use nix::sys::socket::{setsockopt, sockopt};
use std::time::Duration;
use tracing::{debug, info, warn};

const JOURNAL: u64 = 0;
const SIGNALS: u64 = 1;
const LOCAL: u64 = 2;
/// The first TLS port; the others follow.
const PORTS: u64 = 3;

/// Connections that are taken from one door in a turn.
const ACCEPTS_MAX: usize = 64;
/// Messages that are taken from one connection in a turn.
const MESSAGES_MAX: usize = 512;
/// After descriptors ran out nothing is accepted for so long.
const ACCEPT_PAUSE_NS: u64 = 100_000_000;
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
        let pause = (!self.doors_open).then_some(self.accept_after);
        let life = self.followers.links().next().map(|_| self.life_due);
        let due = [self.core.due(), self.links.due(), pause, life].into_iter().flatten().min()?;
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
        let now = clock::now();
        let holds = self.journal.is_backed_up();
        for (link, why) in self.links.settle(&self.poller, holds, now) {
            self.doomed.push((link, why));
        }
        self.close_doomed()?;
        self.journal.sync();
        if !self.doors_open && now >= self.accept_after {
            self.open_doors()?;
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

    fn on_journal(&mut self) -> Result<(), Failed> {
        let was_backed_up = self.journal.is_backed_up();
        let news = self.journal.on_progress()?;
        if let Some(there_is) = news.space {
            self.step(Event::Space { there_is })?;
        }
        if let Some(seq) = news.durable {
            self.durable = seq;
            self.step(Event::Durable { seq })?;
            self.send_answers();
        }
        if was_backed_up && !self.journal.is_backed_up() {
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
            if it.parked.is_some() || !it.conn.want_read() {
                // It is not waited for: it has ended.
                self.doom(link, "the connection was lost");
                return Ok(());
            }
            failed = it.conn.on_readable(now).err();
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
            if self.journal.is_backed_up() {
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
        if it.parked.is_some() || it.is_ending {
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

    /// It is proved who is there.
    fn on_up(&mut self, link: LinkId, identity: &Identity) -> Result<(), String> {
        let party = match identity {
            Identity::Local(credentials) => Some(Party::Local(credentials.uid)),
            Identity::Joiner(_) => None,
            Identity::Peer(peer) if peer.role == dc_link::Role::Node => {
                if peer.owner.is_some() && !self.settings.one_user {
                    return Err(format!(
                        "node {} may do one user's work alone, and this scheduler gives every node to all users",
                        peer.name
                    ));
                }
                Some(Party::Node)
            }
            Identity::Peer(peer) => Some(Party::Remote(self.uid_of(peer)?)),
        };
        if let Some(it) = self.links.get_mut(link) {
            it.party = party;
            if let Identity::Peer(peer) = identity {
                it.key_name = Some(peer.name.as_str().to_owned());
                it.from = format!("{} ({} {})", it.from, peer.role, peer.name);
            }
        }
        Ok(())
    }

    /// The user for whom a command's key stands.
    fn uid_of(&self, peer: &dc_link::Peer) -> Result<u32, String> {
        if self.settings.one_user {
            return Ok(self.own_uid);
        }
        let Some(owner) = &peer.owner else {
            return Err(format!(
                "the key of {} has no owner in the peers file: it stands for nobody",
                peer.name
            ));
        };
        match nix::unistd::User::from_name(owner.as_str()) {
            Ok(Some(user)) => Ok(user.uid.as_raw()),
            Ok(None) => {
                Err(format!("the key of {} is of user {owner}, whom this host does not know", peer.name))
            }
            Err(errno) => Err(format!("user {owner} cannot be looked up: {}", errno.desc())),
        }
    }

    fn on_join(&mut self, link: LinkId, request: &JoinRequest) {
        let Some(tls) = &mut self.doors.tls else { return };
        let answer = tls.try_join(request);
        let Some(it) = self.links.get_mut(link) else { return };
        match &answer {
            Ok(joined) => info!(from = it.from, "{} {} has joined", joined.role, joined.name),
            Err(error) => warn!(from = it.from, "a request to join is refused: {error}"),
        }
        it.conn.session().answer_join(answer.as_ref().map_err(dc_link::JoinError::to_tell));
    }

    /// Closes a connection, with all that follows from its being gone.
    pub(super) fn close(&mut self, id: LinkId, why: Option<String>) -> Result<(), Failed> {
        let Some(mut link) = self.links.remove(id) else { return Ok(()) };
        let now = clock::now();
        if let Some(why) = &why {
            debug!(from = link.from, "closed: {}", shown(why));
            link.conn.session().close(why);
        }
        // Its last words, as far as they go.
        let _ = link.conn.on_writable(now);
        self.parked.retain(|parked| *parked != id);
        self.again.remove(&id);
        if let Some(node) = link.node()
            && self.by_node.get(&node) == Some(&id)
        {
            self.by_node.remove(&node);
            self.orders.retain(|(of, _), _| *of != node);
            let name = self.node_name(node);
            info!(
                node = name,
                "disconnected: {}",
                shown(why.as_deref().unwrap_or("it has ended the connection"))
            );
            self.step(Event::Gone { node })?;
        } else if matches!(link.side, super::links::Side::Silent)
            && let Some(why) = &why
        {
            warn!(from = link.from, "turned away: {}", shown(why));
        }
        drop(link);
        self.mergers.retain(|(merger, ..)| *merger != id);
        self.congested.retain(|(follower, _)| *follower != id);
        for (job, was_merging) in self.followers.drop_link(id) {
            let count = self.followers.count(job);
            self.step(Event::Followers { job, count })?;
            if was_merging {
                self.ask_to_merge(job);
            }
        }
        Ok(())
    }

    /// Has the poller wait for whoever wants to come in.
    pub(super) fn open_doors(&mut self) -> Result<(), Failed> {
        let system = |errno: nix::errno::Errno| Failed::System(format!("epoll: {}", errno.desc()));
        let is_first = self.accept_after == 0;
        if is_first {
            self.poller.add(self.journal.ready_fd(), JOURNAL, Interest::READ).map_err(system)?;
            self.poller.add(&self.signals, SIGNALS, Interest::READ).map_err(system)?;
        }
        self.set_doors(Interest::READ, is_first).map_err(system)?;
        (self.doors_open, self.accept_after) = (true, 1);
        Ok(())
    }

    fn set_doors(&self, interest: Interest, is_first: bool) -> Result<(), nix::errno::Errno> {
        let poller = &self.poller;
        let set = |fd: std::os::fd::BorrowedFd<'_>, token| {
            if is_first { poller.add(fd, token, interest) } else { poller.change(fd, token, interest) }
        };
        use std::os::fd::AsFd;
        set(self.doors.local.as_fd(), LOCAL)?;
        let ports = self.doors.tls.iter().flat_map(|tls| &tls.acceptors).enumerate();
        ports.into_iter().try_for_each(|(i, acceptor)| set(acceptor.as_fd(), PORTS + i as u64))
    }

    /// Nothing is accepted for a moment.
    fn pause_doors(&mut self) {
        if self.set_doors(Interest::default(), false).is_ok() {
            self.doors_open = false;
            self.accept_after = clock::now().saturating_add(ACCEPT_PAUSE_NS);
        }
    }

    fn accept_local(&mut self) {
        for _ in 0..ACCEPTS_MAX {
            let (stream, credentials) = match self.doors.local.accept() {
                Ok(Some(taken)) => taken,
                Ok(None) => return,
                Err(error @ LocalError::User { .. }) => {
                    warn!("turned away: {error}");
                    continue;
                }
                Err(error) => {
                    warn!("{error}");
                    self.pause_doors();
                    return;
                }
            };
            let (uid, pid) = (credentials.uid, credentials.pid);
            let (all, of_user) = self.links.local_counts(uid);
            if all >= self.settings.caps.connections_max || of_user >= self.settings.caps.per_address_max {
                warn!(uid, pid, "turned away: there are {all} local connections, {of_user} of that user");
                continue;
            }
            let session = Session::local(credentials, self.doors.session.clone(), clock::now());
            let from = format!("process {pid} of user {uid}");
            let conn = Conn::new(Socket::Unix(stream), session);
            if self.links.add(&self.poller, conn, from, Some(uid)).is_none() {
                self.pause_doors();
                return;
            }
        }
    }

    fn accept_tls(&mut self, port: usize) {
        for _ in 0..ACCEPTS_MAX {
            let Some(tls) = &mut self.doors.tls else { return };
            let (conn, from) = match tls.accept(port, &self.doors.session, clock::now()) {
                Ok(Some(taken)) => taken,
                Ok(None) => {
                    let has_room = tls.acceptors.get(port).is_none_or(|it| it.want_accept(clock::now()));
                    if !has_room {
                        self.pause_doors();
                    }
                    return;
                }
                Err(AcceptError::TurnedAway { from, why }) => {
                    warn!(%from, "turned away: {why}");
                    continue;
                }
                Err(error) => {
                    warn!("{error}");
                    self.pause_doors();
                    return;
                }
            };
            keep_alive(&conn);
            if self.links.add(&self.poller, conn, from.to_string(), None).is_none() {
                self.pause_doors();
                return;
            }
        }
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

/// A host that is gone without a word is found by TCP: a command may have nothing to say for hours.
fn keep_alive(conn: &Conn) {
    const IDLE_S: u32 = 30;
    const INTERVAL_S: u32 = 10;
    const PROBES: u32 = 4;
    let _ = setsockopt(conn, sockopt::KeepAlive, &true);
    let _ = setsockopt(conn, sockopt::TcpKeepIdle, &IDLE_S);
    let _ = setsockopt(conn, sockopt::TcpKeepInterval, &INTERVAL_S);
    let _ = setsockopt(conn, sockopt::TcpKeepCount, &PROBES);
    let lost = Duration::from_secs(u64::from(IDLE_S + INTERVAL_S * PROBES));
    let _ = setsockopt(conn, sockopt::TcpUserTimeout, &(lost.as_millis() as u32));
}
