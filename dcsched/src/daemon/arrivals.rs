//! Connections come and go: accepted, proved, closed with all that follows from it.

use super::authority::Party;
use super::doors::Door;
use super::links::{LinkId, Side};
use super::{Daemon, Failed, clock};
use dc_link::{AcceptError, Conn, Identity, JoinRequest, LocalError, Session, Socket};
use dc_spool::files::shown;
use dcsched_core::cluster::Event;
use nix::sys::socket::{setsockopt, sockopt};
use std::time::Duration;
use tracing::{debug, info, warn};

/// Connections that are taken from one door in a turn.
const ACCEPTS_MAX: usize = 64;
/// Lines about who is turned away, in a second: a flood must not fill the log's disk.
const LINES_MAX: u32 = 10;
const LINES_NS: u64 = 1_000_000_000;

/// How many lines were written in this second, and how many not.
#[derive(Default, Debug)]
pub struct Lines {
    since_ns: u64,
    written: u32,
    left_out: u64,
}

impl Lines {
    /// Whether one more may be written now; and how many were left out before it.
    fn next(&mut self, now_ns: u64) -> Option<u64> {
        if now_ns.saturating_sub(self.since_ns) >= LINES_NS {
            (self.since_ns, self.written) = (now_ns, 0);
        }
        if self.written >= LINES_MAX {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Daemon {
    /// It is proved who is there.
    pub(super) fn on_up(&mut self, link: LinkId, identity: &Identity) -> Result<(), String> {
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

    pub(super) fn on_join(&mut self, link: LinkId, request: &JoinRequest) {
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
            self.on_nodes_changed();
            self.orders.retain(|(of, _), _| *of != node);
            let name = self.node_name(node);
            info!(
                node = name,
                "disconnected: {}",
                shown(why.as_deref().unwrap_or("it has ended the connection"))
            );
            self.step(Event::Gone { node })?;
        } else if link.side == Side::Silent
            && let Some(why) = &why
        {
            let from = std::mem::take(&mut link.from);
            self.tell_turned_away(&from, why);
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

    pub(super) fn accept_local(&mut self) {
        for _ in 0..ACCEPTS_MAX {
            let (stream, credentials) = match self.doors.local.accept() {
                Ok(Some(taken)) => taken,
                Ok(None) => return,
                Err(error @ LocalError::User { .. }) => {
                    self.tell_turned_away("a local process", &error.to_string());
                    continue;
                }
                Err(error) => {
                    warn!("{error}");
                    self.doors.pause(&self.poller, Door::Local, clock::now());
                    return;
                }
            };
            let (uid, pid) = (credentials.uid, credentials.pid);
            let (all, of_user) = self.links.local_counts(uid);
            if all >= self.settings.caps.connections_max || of_user >= self.settings.caps.per_address_max {
                let why = format!("there are {all} local connections, {of_user} of that user");
                self.tell_turned_away(&format!("process {pid} of user {uid}"), &why);
                continue;
            }
            let session = Session::local(credentials, self.doors.session.clone(), clock::now());
            let from = format!("process {pid} of user {uid}");
            let conn = Conn::new(Socket::Unix(stream), session);
            if self.links.add(&self.poller, conn, from, Some(uid)).is_none() {
                self.doors.pause(&self.poller, Door::Local, clock::now());
                return;
            }
        }
    }

    pub(super) fn accept_tls(&mut self, port: usize) {
        let now = clock::now();
        match self.doors.tls.as_mut().map(|tls| tls.look_again(now)) {
            Some(Ok(true)) => self.recheck_links(),
            Some(Err(why)) => warn!("{why}"),
            _ => {}
        }
        for _ in 0..ACCEPTS_MAX {
            let Some(tls) = &mut self.doors.tls else { return };
            let (conn, from) = match tls.accept(port, &self.doors.session, clock::now()) {
                Ok(Some(taken)) => taken,
                Ok(None) => {
                    let has_room = tls.acceptors.get(port).is_none_or(|it| it.want_accept(clock::now()));
                    if !has_room {
                        // Those who wait stay in the kernel's queue; the socket of this host stays open.
                        self.doors.pause(&self.poller, Door::Tls, now);
                    }
                    return;
                }
                Err(AcceptError::TurnedAway { from, why }) => {
                    self.tell_turned_away(&from.to_string(), &why.to_string());
                    continue;
                }
                Err(error) => {
                    warn!("{error}");
                    self.doors.pause(&self.poller, Door::Tls, now);
                    return;
                }
            };
            keep_alive(&conn);
            if self.links.add(&self.poller, conn, from.to_string(), None).is_none() {
                self.doors.pause(&self.poller, Door::Tls, now);
                return;
            }
        }
    }

    /// Says who is turned away, unless too many are.
    fn tell_turned_away(&mut self, from: &str, why: &str) {
        if let Some(left_out) = self.lines.next(clock::now()) {
            let others =
                if left_out > 0 { format!(" (and {left_out} others before)") } else { String::new() };
            warn!(from, "turned away: {}{others}", shown(why));
        }
    }
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
