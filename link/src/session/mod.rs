//! One connection as a state machine without a socket, a clock or a thread: bytes and the time go in, events and bytes
//! come out. Nothing of the other side is decoded before it is proved who it is, and no frame before its kind, its
//! sender and its length are checked.

mod error;
mod outbox;
mod own;
mod wire;

pub(crate) use error::plain;
pub use error::{LinkError, SendError};

use crate::fingerprint::Fingerprint;
use crate::frames::{FRAME_BYTES_MAX, FrameReader, HEAD_BYTES, Head, OWN_KINDS_FROM, Party, Rules};
use crate::instant::UnixSeconds;
use crate::join::{Channel, JoinRefused, JoinRequest, Joined, Token};
use crate::local::Credentials;
use crate::names::{Name, Role};
use crate::peers::{Peer, Peers, Refused};
use crate::tls::{Admission, Endpoint, Proved};
use outbox::Outbox;
use rustls::Connection;
use std::io::{self, Read, Write};
use std::sync::Arc;
use wire::{READ_BYTES, Wire};

/// Read at most so much in one go, in bytes, so that one connection does not keep a loop from the others.
const READ_BUDGET_BYTES: usize = 256 << 10;
/// From so many bytes of frames that nobody has taken on nothing more is read.
const INBOX_BYTES: usize = 256 << 10;
/// So many bytes of an unfinished frame count as a sign of life.
const ALIVE_BYTES: usize = 64 << 10;

/// What a session may take, and how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The version of the caller's messages; the other side must have the same.
    pub version: u16,
    /// From the start until both sides are known and have greeted, in ns.
    pub handshake_ns: u64,
    /// The longest silence, or the longest time in which nothing can be sent, in ns.
    pub idle_ns: u64,
    /// What may wait to be sent, in bytes; no frame is longer.
    pub outbox_bytes_max: usize,
    /// Which frames may come in.
    pub rules: Arc<Rules>,
}

impl Settings {
    /// 5 s for the handshake, 60 s of silence, 4 MiB of queue.
    #[must_use]
    pub fn new(version: u16, rules: Arc<Rules>) -> Self {
        Self {
            version,
            handshake_ns: 5_000_000_000,
            idle_ns: 60_000_000_000,
            outbox_bytes_max: 4 << 20,
            rules,
        }
    }
}

/// Who the other side is, as it was proved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Identity {
    /// One of the cluster, by its key.
    Peer(Peer),
    /// A process of this host, by what the kernel says.
    Local(Credentials),
    /// Somebody who has this key and perhaps a token.
    Joiner(Fingerprint),
}

impl Identity {
    /// What it is to the rules.
    #[must_use]
    pub fn party(&self) -> Party {
        match self {
            Self::Peer(peer) => peer.role.into(),
            Self::Local(_) => Party::Local,
            Self::Joiner(_) => Party::Joiner,
        }
    }

    /// The role, for one of the cluster.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Peer(peer) => Some(peer.role),
            _ => None,
        }
    }
}

/// What came.
#[derive(PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// The other side is known, and speaks this version. First of all, once.
    Up(&'a Identity),
    /// A frame that the rules allow. Its body is not looked at: whoever decodes it checks that nothing trails.
    Frame {
        /// Its kind.
        kind: u8,
        /// Its body.
        body: &'a [u8],
    },
    /// The other side asks to join; answer with [`Session::answer_join`].
    Join(JoinRequest),
    /// This side has joined: connect again, as a peer.
    Joined(Joined),
    /// The other side has ended the session on purpose; its words are escaped already. Nothing comes after it.
    Ended {
        /// Why.
        text: String,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Stage {
    /// Not known who it is.
    Proving,
    /// Known, its greeting is awaited.
    Greeting,
    /// Up, and the caller is still to be told.
    Greeted,
    Up,
    /// A joiner has asked, and waits for its answer.
    Asked,
    /// The other side said farewell, or everything was said to a joiner.
    Over,
    Failed(LinkError),
}

/// The joiner's side of a join.
struct Joining {
    token: Token,
    name: Name,
}

/// One connection.
pub struct Session {
    wire: Wire,
    settings: Settings,
    stage: Stage,
    identity: Option<Identity>,
    joining: Option<Joining>,
    own: Option<Fingerprint>,
    inbox: FrameReader,
    outbox: Outbox,
    closing: Closing,
    began_ns: u64,
    heard_ns: u64,
    unheard_bytes: usize,
    /// Since when nothing was taken of what waits to be sent.
    stalled_ns: Option<u64>,
    /// The other side's socket has ended.
    has_ended: bool,
    now_ns: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Closing {
    No,
    /// The last frame is in the queue.
    Queued,
    /// TLS has its last word too.
    Said,
}

impl Session {
    /// The side that was dialled. `now_ns` is any axis that does not jump; `today` is for the ends of keys.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn accept(
        endpoint: &Endpoint,
        admission: Admission,
        settings: Settings,
        now_ns: u64,
        today: UnixSeconds,
    ) -> Result<Self, LinkError> {
        let (connection, verdict) = endpoint.accept(admission, today).map_err(setup)?;
        let own = endpoint.fingerprint();
        let wire = Wire::Tls { connection: Box::new(Connection::Server(connection)), verdict, own };
        Ok(Self::begin(wire, settings, Some(own), None, now_ns))
    }

    /// The side that dials.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn dial(
        endpoint: &Endpoint,
        admission: Admission,
        settings: Settings,
        now_ns: u64,
        today: UnixSeconds,
    ) -> Result<Self, LinkError> {
        let (connection, verdict) = endpoint.dial(admission, today).map_err(setup)?;
        let own = endpoint.fingerprint();
        let wire = Wire::Tls { connection: Box::new(Connection::Client(connection)), verdict, own };
        Ok(Self::begin(wire, settings, Some(own), None, now_ns))
    }

    /// The side that dials to join: the scheduler must have the key that the token names. Ends in [`Event::Joined`].
    /// When the connection is lost before the answer, ask again: [`JoinRefused::KeyTaken`] means that it was granted.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn join(
        endpoint: &Endpoint,
        token: Token,
        name: Name,
        settings: Settings,
        now_ns: u64,
        today: UnixSeconds,
    ) -> Result<Self, LinkError> {
        let admission = Admission::scheduler_of_token(token.scheduler());
        let mut session = Self::dial(endpoint, admission, settings, now_ns, today)?;
        session.joining = Some(Joining { token, name });
        Ok(session)
    }

    /// Over a host's own socket, with what the kernel said of the other side and a policy has accepted.
    #[must_use]
    pub fn local(credentials: Credentials, settings: Settings, now_ns: u64) -> Self {
        Self::begin(Wire::Plain, settings, None, Some(Identity::Local(credentials)), now_ns)
    }

    fn begin(
        wire: Wire,
        settings: Settings,
        own: Option<Fingerprint>,
        identity: Option<Identity>,
        now_ns: u64,
    ) -> Self {
        let mut outbox = Outbox::new(settings.outbox_bytes_max.max(1 << 10));
        // An empty queue has room for it.
        let _ = outbox.put(own::HELLO, |out| own::hello(settings.version, out));
        Self {
            stage: if identity.is_some() { Stage::Greeting } else { Stage::Proving },
            wire,
            settings,
            identity,
            joining: None,
            own,
            inbox: FrameReader::default(),
            outbox,
            closing: Closing::No,
            began_ns: now_ns,
            heard_ns: now_ns,
            unheard_bytes: 0,
            stalled_ns: None,
            has_ended: false,
            now_ns,
        }
    }

    /// Who the other side is; `None` before that is proved.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Whether the other side is known and has greeted, and the session has not ended.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Greeted | Stage::Up)
    }

    /// Whether the other side is still to prove itself as one of the cluster or the host: what is counted as a
    /// handshake. A joiner never ceases to be one.
    #[must_use]
    pub fn is_unproved(&self) -> bool {
        matches!(self.stage, Stage::Proving | Stage::Greeting)
            || matches!(self.identity, Some(Identity::Joiner(_)))
    }

    /// Whether the peer would still be accepted: after a change of the peers file, and once a day. On an error the
    /// session has failed.
    ///
    /// # Errors
    /// [`LinkError::Refused`].
    pub fn recheck(&mut self, peers: &Peers, today: UnixSeconds) -> Result<(), LinkError> {
        let Some(Identity::Peer(peer)) = &self.identity else { return Ok(()) };
        let refused = match peers.check(peer.fingerprint, &[peer.role], today) {
            Ok(found) if found == peer => return Ok(()),
            // Another name, owner or end: it is to come again, and be what it is now.
            Ok(_) => Refused::Unknown(peer.fingerprint),
            Err(refused) => refused,
        };
        self.fail(refused.into())
    }

    /// Reads what is there, up to a bound, and what follows from it is for [`Session::next_event`]. Call it when the socket
    /// is readable and [`Session::want_read`].
    ///
    /// # Errors
    /// [`LinkError`]; then [`Session::on_writable`] once more, for the last words, and drop it.
    pub fn on_readable(&mut self, io: &mut dyn Read, now_ns: u64) -> Result<(), LinkError> {
        let mut piece = [0; READ_BYTES];
        let mut read_bytes = 0;
        while self.want_read() && read_bytes < READ_BUDGET_BYTES {
            match wire::retry(|| io.read(&mut piece)) {
                Ok(None) => return Ok(()),
                Ok(Some(0)) => return self.on_end(now_ns),
                Ok(Some(n)) => {
                    read_bytes += n;
                    self.on_bytes(piece.get(..n).unwrap_or_default(), now_ns)?;
                    if n < piece.len() {
                        return Ok(());
                    }
                }
                Err(error) => return self.fail(from_io(&error)),
            }
        }
        Ok(())
    }

    /// As [`Session::on_readable`], with bytes that somebody else has read: all of them are taken.
    ///
    /// # Errors
    /// As [`Session::on_readable`].
    pub fn on_bytes(&mut self, bytes: &[u8], now_ns: u64) -> Result<(), LinkError> {
        self.check_failed()?;
        self.now_ns = now_ns;
        self.unheard_bytes += bytes.len();
        if self.unheard_bytes >= ALIVE_BYTES && !self.is_unproved() {
            self.heard();
        }
        if let Err(error) = self.wire.feed(bytes, &mut self.inbox) {
            return self.fail(error);
        }
        if self.stage == Stage::Proving {
            match self.wire.proved() {
                Err(error) => return self.fail(error),
                Ok(None) => {}
                Ok(Some(proved)) => {
                    self.identity = Some(match proved {
                        Proved::Peer(peer) => Identity::Peer(peer),
                        Proved::Joiner(key) => Identity::Joiner(key),
                    });
                    self.stage = Stage::Greeting;
                }
            }
        }
        // The greeting is taken here: whoever does not ask for events has a session that is up all the same.
        if self.stage == Stage::Greeting
            && let Err(error) = self.on_greeting()
        {
            return self.fail(error);
        }
        // A frame that may not come ends the session before more of it is read.
        if let Err(error) = self.checked_head() {
            return self.fail(error);
        }
        Ok(())
    }

    /// The other side's socket has ended. What came before can still be taken; after that it is
    /// [`LinkError::Lost`], unless the other side had said farewell.
    ///
    /// # Errors
    /// [`LinkError::Lost`] when the session was not up.
    pub fn on_end(&mut self, now_ns: u64) -> Result<(), LinkError> {
        self.check_failed()?;
        self.now_ns = now_ns;
        self.has_ended = true;
        match self.stage {
            Stage::Proving | Stage::Greeting => {
                self.fail(LinkError::Lost { partial: !self.inbox.is_empty() })
            }
            _ => Ok(()),
        }
    }

    /// The head of the next frame, if it may come.
    fn checked_head(&self) -> Result<Option<Head>, LinkError> {
        let Some(identity) = &self.identity else { return Ok(None) };
        let Some(head) = self.inbox.head()? else { return Ok(None) };
        let party = identity.party();
        if head.kind >= OWN_KINDS_FROM {
            own::check(head, party, self.joining.is_some())?;
        } else {
            self.settings.rules.check(party, head.kind, head.body_bytes)?;
        }
        Ok(Some(head))
    }

    fn on_greeting(&mut self) -> Result<(), LinkError> {
        let Some(head) = self.checked_head()? else { return Ok(()) };
        if head.kind != own::HELLO {
            return Err(LinkError::Hello);
        }
        if !head.is_whole {
            return Ok(());
        }
        own::read_hello(self.inbox.take(head), self.settings.version)?;
        self.heard();
        self.stage = Stage::Greeted;
        if let Some(joining) = &self.joining {
            let channel = self.channel().ok_or(LinkError::Closed)?;
            let body = JoinRequest::body(&joining.token, &joining.name, &channel);
            let _ = self.outbox.put(own::JOIN, |out| out.extend_from_slice(&body));
        }
        Ok(())
    }

    /// What ties a request to join to this connection, from whichever end.
    pub(crate) fn channel(&self) -> Option<Channel> {
        let (exporter, own) = (self.wire.exporter()?, self.own?);
        Some(match &self.identity {
            Some(Identity::Joiner(key)) => Channel { exporter, joiner: *key, server: own },
            Some(Identity::Peer(peer)) => Channel { exporter, joiner: own, server: peer.fingerprint },
            _ => return None,
        })
    }

    /// The next thing that came; `None`: nothing more for now.
    ///
    /// # Errors
    /// As [`Session::on_readable`].
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, LinkError> {
        self.check_failed()?;
        match self.stage {
            Stage::Greeted => {
                self.stage = Stage::Up;
                return Ok(self.identity.as_ref().map(Event::Up));
            }
            Stage::Up | Stage::Asked => {}
            _ => return Ok(None),
        }
        let head = match self.checked_head() {
            Ok(Some(head)) if head.is_whole => head,
            // A joiner that was answered has nothing more to say.
            Ok(_) if self.has_ended && self.closing == Closing::No => {
                let partial = !self.inbox.is_empty();
                return self.fail(LinkError::Lost { partial }).map(|()| None);
            }
            Ok(_) => return Ok(None),
            Err(error) => return self.fail(error).map(|()| None),
        };
        self.heard();
        if head.kind < OWN_KINDS_FROM {
            return Ok(Some(Event::Frame { kind: head.kind, body: self.inbox.take(head) }));
        }
        match self.on_own(head) {
            Ok(event) => Ok(event),
            Err(error) => self.fail(error).map(|()| None),
        }
    }

    fn on_own(&mut self, head: Head) -> Result<Option<Event<'static>>, LinkError> {
        let channel = if head.kind == own::JOIN { self.channel() } else { None };
        let body = self.inbox.take(head);
        match head.kind {
            own::BYE => {
                let text = plain(body);
                self.stage = Stage::Over;
                Ok(Some(Event::Ended { text }))
            }
            own::JOIN if self.stage == Stage::Up && matches!(self.identity, Some(Identity::Peer(_))) => {
                self.stage = Stage::Asked;
                self.answer_join(Err(JoinRefused::KeyTaken));
                Ok(None)
            }
            own::JOIN if self.stage == Stage::Up => {
                let request = channel.and_then(|channel| JoinRequest::decode(body, channel));
                let request = request.ok_or(LinkError::NoJoin)?;
                self.stage = Stage::Asked;
                Ok(Some(Event::Join(request)))
            }
            own::JOIN => Err(LinkError::NoJoin),
            own::JOINED => {
                let joined = Joined::decode(body).ok_or(LinkError::Hello)?;
                self.stage = Stage::Over;
                Ok(Some(Event::Joined(joined)))
            }
            own::JOIN_REFUSED => {
                let code = body.first().and_then(|code| JoinRefused::from_number(*code));
                Err(code.unwrap_or(JoinRefused::NotAccepted).into())
            }
            // A second greeting.
            _ => Err(LinkError::Hello),
        }
    }

    /// Answers a join; the session ends with it.
    pub fn answer_join(&mut self, answer: Result<&Joined, JoinRefused>) {
        if self.stage != Stage::Asked {
            return;
        }
        // The queue of a joiner has nothing but this.
        let _ = match answer {
            Ok(joined) => self.outbox.put(own::JOINED, |out| out.extend_from_slice(&joined.encode())),
            Err(code) => self.outbox.put(own::JOIN_REFUSED, |out| out.push(code as u8)),
        };
        self.close("");
    }

    /// Queues a frame.
    ///
    /// # Errors
    /// [`SendError`]; nothing is queued then.
    pub fn send(&mut self, kind: u8, body: &[u8]) -> Result<(), SendError> {
        // Before anything is copied.
        let bytes = body.len().saturating_add(HEAD_BYTES);
        let bytes_max = self.settings.outbox_bytes_max.min(FRAME_BYTES_MAX + 4);
        if bytes > bytes_max {
            return Err(SendError::TooLong { bytes, bytes_max });
        }
        self.send_with(kind, |out| out.extend_from_slice(body))
    }

    /// Queues a frame whose body `write` appends.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub fn send_with(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), SendError> {
        if kind >= OWN_KINDS_FROM {
            return Err(SendError::BadFrame("its number is taken by the link"));
        }
        if !self.is_up() || self.closing != Closing::No {
            return Err(SendError::NotUp);
        }
        self.queue(kind, write)
    }

    /// Queues one frame that is encoded already, with its length and kind, as the messages of dc-model are.
    ///
    /// # Errors
    /// As [`Session::send`]; [`SendError::BadFrame`] when the bytes are not exactly one frame.
    pub fn send_encoded(&mut self, frame: &[u8]) -> Result<(), SendError> {
        let wrong = SendError::BadFrame("its length is not that of its bytes");
        let Some((len, rest)) = frame.split_first_chunk::<4>() else { return Err(wrong) };
        if u32::from_le_bytes(*len) as usize != rest.len() {
            return Err(wrong);
        }
        let Some((kind, body)) = rest.split_first() else { return Err(wrong) };
        self.send(*kind, body)
    }

    pub(crate) fn queue(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), SendError> {
        if self.outbox.is_empty() && !self.wire.want_write() {
            self.stalled_ns = None;
        }
        self.outbox.put(kind, write)
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.outbox.len()
    }

    /// Whether the queue was more than half full, and has not become a quarter since: produce nothing more for it that
    /// can wait.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.outbox.is_congested()
    }

    /// Whether it is up, and nothing waits either way.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.stage == Stage::Up
            && self.closing == Closing::No
            && !self.has_ended
            && self.inbox.is_empty()
            && self.outbox.is_empty()
            && !self.wire.want_write()
    }

    /// Ends the session: what is queued is sent, then the words (at most 256 bytes, the rest is cut), then nothing.
    pub fn close(&mut self, text: &str) {
        if self.closing != Closing::No || matches!(self.stage, Stage::Failed(_)) {
            return;
        }
        if self.stage == Stage::Proving {
            self.stage = Stage::Failed(LinkError::Closed);
            return;
        }
        self.closing = Closing::Queued;
        let mut end = text.len().min(own::BYE_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        // A queue that is full is sent without them.
        let _ = self.queue(own::BYE, |out| out.extend_from_slice(&text.as_bytes()[..end]));
    }

    /// Whether nothing more is to be done: it was closed and all is sent, or it has failed and its last words are sent.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match self.stage {
            Stage::Failed(_) => !self.want_write(),
            _ => self.closing == Closing::Said && !self.want_write(),
        }
    }

    /// Whether to read: not while frames wait that nobody has taken, and not after the end.
    #[must_use]
    pub fn want_read(&self) -> bool {
        match self.stage {
            Stage::Failed(_) | Stage::Over => false,
            _ => {
                let full = self.inbox.len() >= INBOX_BYTES
                    && !matches!(self.inbox.head(), Ok(Some(head)) if !head.is_whole);
                !full && !self.has_ended
            }
        }
    }

    /// Whether to write.
    #[must_use]
    pub fn want_write(&self) -> bool {
        let frames = self.may_send_frames() && !self.wire.is_handshaking();
        self.wire.want_write() || (frames && (!self.outbox.is_empty() || self.closing == Closing::Queued))
    }

    /// After a failure nothing more is said, but for the greeting to one of another version: it is to learn of this one.
    fn may_send_frames(&self) -> bool {
        !matches!(self.stage, Stage::Failed(ref error) if !matches!(error, LinkError::Version { .. }))
    }

    /// Writes what waits, as far as it goes.
    ///
    /// # Errors
    /// As [`Session::on_readable`].
    pub fn on_writable(&mut self, io: &mut dyn Write, now_ns: u64) -> Result<(), LinkError> {
        let failed = matches!(self.stage, Stage::Failed(_));
        let frames = self.may_send_frames();
        let mut flushed = self.wire.flush(io, &mut self.outbox, frames);
        if flushed.is_ok()
            && self.closing == Closing::Queued
            && self.outbox.is_empty()
            && !self.wire.want_write()
        {
            self.closing = Closing::Said;
            self.wire.close();
            flushed = self.wire.flush(io, &mut self.outbox, frames);
        }
        match flushed {
            _ if failed => self.check_failed(),
            Ok(sent) => {
                self.now_ns = now_ns;
                if !self.want_write() {
                    self.stalled_ns = None;
                } else if sent > 0 || self.stalled_ns.is_none() {
                    self.stalled_ns = Some(now_ns);
                }
                Ok(())
            }
            Err(error) => self.fail(from_io(&error)),
        }
    }

    /// When [`Session::on_tick`] is to be called at the latest, in ns of the caller's axis.
    #[must_use]
    pub fn deadline_ns(&self) -> Option<u64> {
        if matches!(self.stage, Stage::Failed(_)) {
            return None;
        }
        let mut at = u64::MAX;
        if self.is_unproved() {
            at = self.began_ns.saturating_add(self.settings.handshake_ns);
        } else if self.is_waiting_for_more() {
            at = self.heard_ns.saturating_add(self.settings.idle_ns);
        }
        if let Some(since) = self.stalled_ns {
            at = at.min(since.saturating_add(self.settings.idle_ns));
        }
        (at < u64::MAX).then_some(at)
    }

    /// Whether silence is the other side's: no whole frame waits for this side.
    fn is_waiting_for_more(&self) -> bool {
        self.stage != Stage::Over && !matches!(self.inbox.head(), Ok(Some(head)) if head.is_whole)
    }

    /// Ends the session when a deadline is over.
    ///
    /// # Errors
    /// [`LinkError::HandshakeTimeout`], [`LinkError::Idle`], [`LinkError::Stalled`].
    pub fn on_tick(&mut self, now_ns: u64) -> Result<(), LinkError> {
        self.check_failed()?;
        self.now_ns = self.now_ns.max(now_ns);
        let over = |since: u64, ns: u64| now_ns >= since.saturating_add(ns);
        let idle_ns = self.settings.idle_ns;
        if self.is_unproved() {
            if over(self.began_ns, self.settings.handshake_ns) {
                return self.fail(LinkError::HandshakeTimeout);
            }
        } else if self.is_waiting_for_more() && over(self.heard_ns, idle_ns) {
            return self.fail(LinkError::Idle(idle_ns));
        }
        if self.stalled_ns.is_some_and(|since| over(since, idle_ns)) {
            return self.fail(LinkError::Stalled(idle_ns));
        }
        Ok(())
    }

    fn heard(&mut self) {
        self.heard_ns = self.now_ns;
        self.unheard_bytes = 0;
    }

    fn check_failed(&self) -> Result<(), LinkError> {
        match &self.stage {
            Stage::Failed(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn fail(&mut self, error: LinkError) -> Result<(), LinkError> {
        self.stage = Stage::Failed(error.clone());
        Err(error)
    }
}

fn setup(error: rustls::Error) -> LinkError {
    LinkError::Tls(error.to_string())
}

fn from_io(error: &io::Error) -> LinkError {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::WriteZero => {
            LinkError::Lost { partial: false }
        }
        kind => LinkError::Io(kind),
    }
}
