//! The connections that are open: who is at the other end of each, what the loop waits for, and when it is to be looked
//! at again.

use super::authority::Party;
use super::journal::Holds;
use super::poller::{Interest, Poller};
use dc_link::{Conn, SendError};
use dc_model::cluster::node::Incarnation;
use dcsched_core::cluster::NodeId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tracing::debug;

/// A connection's number; never used again.
pub type LinkId = u64;

/// Numbers of connections begin here; those below are other descriptors'.
pub const LINKS_FROM: LinkId = 64;

/// What may wait for a node beside what its connection holds; a node that is further behind registers again.
const NODE_BACKLOG_BYTES_MAX: usize = 64 << 20;

/// What the other side is, as far as it is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Side {
    /// It has said nothing yet.
    Silent,
    /// A node that waits for its number.
    Registering(NodeLink),
    /// A node.
    Node(NodeId, NodeLink),
    /// A command.
    Client,
}

/// From so many bytes that wait for a connection on, what can wait is not sent there.
const CONGESTED_BYTES: usize = 1 << 20;
/// What a command may have unread while it asks for more, in bytes. A follower never has so much: what it says of how far
/// it is must always be heard.
const UNREAD_BYTES_MAX: usize = 4 << 20;

/// What is known of a node by its connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeLink {
    /// Its name.
    pub name: String,
    /// The run of its dcd.
    pub incarnation: Incarnation,
}

/// One connection.
pub struct Link {
    /// It.
    pub conn: Conn,
    /// For messages.
    pub from: String,
    /// What it turned out to be.
    pub side: Side,
    /// Who is there, once it is proved.
    pub party: Option<Party>,
    /// The name that its key has, for a node elsewhere.
    pub key_name: Option<String>,
    /// The user of a local connection, counted against the user's share.
    pub local_uid: Option<u32>,
    /// Its request that waits for room in the journal: nothing more is taken from it before.
    pub parked: Option<Box<dc_model::cluster::FromClient>>,
    /// Messages that its queue did not take.
    backlog: VecDeque<(u8, Vec<u8>)>,
    backlog_bytes: usize,
    interest: Interest,
    timer: Option<u64>,
    /// It has asked for more than it reads: nothing more is taken from it before that has changed.
    pub owes_reading: bool,
    /// Last time that something was sent, for keeping it alive.
    pub sent_ns: u64,
}

/// What a turn leaves.
#[derive(Default)]
pub struct Settled {
    /// Those that failed, and why, or are done.
    pub ended: Vec<(LinkId, Option<String>)>,
    /// Those that have read what they owed: what they brought meanwhile is to be taken.
    pub again: Vec<LinkId>,
}

/// Nothing more can be sent there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overrun;

impl Link {
    fn new(conn: Conn, from: String, local_uid: Option<u32>) -> Self {
        Self {
            conn,
            from,
            side: Side::Silent,
            party: None,
            key_name: None,
            local_uid,
            parked: None,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            interest: Interest::default(),
            timer: None,
            owes_reading: false,
            sent_ns: 0,
        }
    }

    /// The node's number.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        match self.side {
            Side::Node(node, _) => Some(node),
            _ => None,
        }
    }

    /// Whether it is not heard now.
    #[must_use]
    pub fn is_held(&self, holds: Holds) -> bool {
        match holds {
            Holds::Nobody => false,
            Holds::Commands => self.side == Side::Client,
            Holds::All => true,
        }
    }

    /// Whether a command has so many answers to read that it is not to ask for more.
    #[must_use]
    pub fn has_unread_answers(&mut self) -> bool {
        let waits = !self.backlog.is_empty() || self.conn.session().queued_bytes() > UNREAD_BYTES_MAX;
        waits && self.side == Side::Client
    }

    /// Whether so much waits for it that what can wait should.
    #[must_use]
    pub fn is_congested(&mut self) -> bool {
        !self.backlog.is_empty() || self.conn.session().queued_bytes() > CONGESTED_BYTES
    }

    /// Sends a message, now or when there is room.
    fn send(&mut self, kind: u8, body: Vec<u8>, now_ns: u64) -> Result<(), Overrun> {
        self.sent_ns = now_ns;
        if self.backlog.is_empty() {
            match self.conn.send(kind, &body) {
                Ok(()) => return Ok(()),
                Err(SendError::Full { .. }) => {}
                // It has ended, which is found out in its turn.
                Err(SendError::NotUp) => return Ok(()),
                Err(error) => {
                    debug!(from = self.from, "a message of kind {kind:#04x} cannot be sent: {error}");
                    return Ok(());
                }
            }
        }
        self.backlog_bytes += body.len();
        self.backlog.push_back((kind, body));
        if self.backlog_bytes > NODE_BACKLOG_BYTES_MAX { Err(Overrun) } else { Ok(()) }
    }

    fn push_backlog(&mut self) {
        while let Some((kind, body)) = self.backlog.front() {
            if matches!(self.conn.send(*kind, body), Err(SendError::Full { .. })) {
                break;
            }
            self.backlog_bytes -= body.len();
            self.backlog.pop_front();
        }
    }
}

/// All connections.
#[derive(Default)]
pub struct Links {
    all: BTreeMap<LinkId, Link>,
    by_uid: BTreeMap<u32, usize>,
    timers: BTreeSet<(u64, LinkId)>,
    /// Looked at in this turn: what they wait for may have changed.
    touched: BTreeSet<LinkId>,
    last: LinkId,
}

impl Links {
    /// Adds one; `None` where it cannot be waited for.
    pub fn add(
        &mut self,
        poller: &Poller,
        conn: Conn,
        from: String,
        local_uid: Option<u32>,
    ) -> Option<LinkId> {
        self.last = self.last.max(LINKS_FROM) + 1;
        let id = self.last;
        let mut link = Link::new(conn, from, local_uid);
        link.interest = Interest { read: true, write: link.conn.want_write() };
        poller.add(&link.conn, id, link.interest).ok()?;
        if let Some(uid) = local_uid {
            *self.by_uid.entry(uid).or_default() += 1;
        }
        self.all.insert(id, link);
        self.touched.insert(id);
        Some(id)
    }

    /// Takes one out and closes it.
    pub fn remove(&mut self, id: LinkId) -> Option<Link> {
        let link = self.all.remove(&id)?;
        if let Some(at) = link.timer {
            self.timers.remove(&(at, id));
        }
        self.touched.remove(&id);
        if let Some(uid) = link.local_uid
            && let Some(count) = self.by_uid.get_mut(&uid)
        {
            *count -= 1;
            if *count == 0 {
                self.by_uid.remove(&uid);
            }
        }
        Some(link)
    }

    /// One of them, to look at.
    #[must_use]
    pub fn get(&self, id: LinkId) -> Option<&Link> {
        self.all.get(&id)
    }

    /// One of them, to use; what it waits for is looked at again.
    pub fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        let link = self.all.get_mut(&id)?;
        self.touched.insert(id);
        Some(link)
    }

    /// All of them, by number.
    pub fn ids(&self) -> Vec<LinkId> {
        self.all.keys().copied().collect()
    }

    /// How many there are by the Unix socket, in all and of a user.
    #[must_use]
    pub fn local_counts(&self, uid: u32) -> (usize, usize) {
        (self.by_uid.values().sum(), self.by_uid.get(&uid).copied().unwrap_or(0))
    }

    /// Sends a message to one; on an error it has to be closed.
    ///
    /// # Errors
    /// [`Overrun`].
    pub fn send(&mut self, id: LinkId, kind: u8, body: Vec<u8>, now_ns: u64) -> Result<(), Overrun> {
        self.get_mut(id).map_or(Ok(()), |link| link.send(kind, body, now_ns))
    }

    /// When the first one is to be looked at.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// One whose time has come.
    pub fn take_due(&mut self, now_ns: u64) -> Option<LinkId> {
        let (at, id) = self.timers.first().copied().filter(|(at, _)| *at <= now_ns)?;
        self.timers.remove(&(at, id));
        if let Some(link) = self.get_mut(id) {
            link.timer = None;
        }
        Some(id)
    }

    /// Writes what can be written, and tells the poller what is waited for, of those that were looked at; nothing
    /// is read of whom the journal holds.
    pub fn settle(&mut self, poller: &Poller, holds: Holds, now_ns: u64) -> Settled {
        let mut settled = Settled::default();
        for id in std::mem::take(&mut self.touched) {
            let Some(link) = self.all.get_mut(&id) else { continue };
            link.push_backlog();
            if link.conn.want_write()
                && let Err(error) = link.conn.on_writable(now_ns)
            {
                settled.ended.push((id, Some(error.to_string())));
                continue;
            }
            link.push_backlog();
            if link.conn.is_finished() {
                settled.ended.push((id, None));
                continue;
            }
            if link.owes_reading && !link.has_unread_answers() {
                link.owes_reading = false;
                settled.again.push(id);
            }
            let read =
                !link.owes_reading && link.conn.want_read() && link.parked.is_none() && !link.is_held(holds);
            let interest = Interest { read, write: link.conn.want_write() };
            if interest != link.interest && poller.change(&link.conn, id, interest).is_ok() {
                link.interest = interest;
            }
            // A later one is found when the earlier one has come.
            let deadline = link.conn.deadline_ns();
            if let Some(at) = deadline
                && link.timer.is_none_or(|timer| at < timer)
            {
                if let Some(timer) = link.timer.replace(at) {
                    self.timers.remove(&(timer, id));
                }
                self.timers.insert((at, id));
            }
        }
        settled
    }
}
