//! Frames: a length (u32, of what follows), a kind (u8), a body; little-endian. Which kinds there are, who may send
//! them and how long they may be is one table, looked at before a byte of a body is kept.

use crate::names::Role;
use std::fmt;
use thiserror::Error;

/// The longest frame of all, in bytes after the length: kind and body.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// A frame's length and kind, in bytes.
pub const HEAD_BYTES: usize = 5;

/// Kinds from here on are this crate's own.
pub const OWN_KINDS_FROM: u8 = 0xf0;

/// What the other side may be to a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Party {
    /// dcsched, by its key.
    Scheduler = 1,
    /// dcd, by its key.
    Node = 2,
    /// A user's command, by its key.
    Client = 4,
    /// A submit host, by its key.
    Submit = 8,
    /// A process of this host, by what the kernel says of it.
    Local = 16,
    /// Somebody with an unknown key and perhaps a join token.
    Joiner = 32,
}

impl From<Role> for Party {
    fn from(role: Role) -> Self {
        match role {
            Role::Scheduler => Self::Scheduler,
            Role::Node => Self::Node,
            Role::Client => Self::Client,
            Role::Submit => Self::Submit,
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheduler => "scheduler",
            Self::Node => "node",
            Self::Client => "client",
            Self::Submit => "submit host",
            Self::Local => "local process",
            Self::Joiner => "joiner",
        })
    }
}

/// A set of parties.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Parties(u8);

impl Parties {
    /// These.
    #[must_use]
    pub const fn of(parties: &[Party]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < parties.len() {
            bits |= parties[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// Whether it is one of them.
    #[must_use]
    pub const fn has(self, party: Party) -> bool {
        self.0 & party as u8 != 0
    }
}

/// One kind of frame that may come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its number, below [`OWN_KINDS_FROM`].
    pub kind: u8,
    /// Who may send it.
    pub from: Parties,
    /// Its longest body, in bytes, below [`FRAME_BYTES_MAX`].
    pub body_bytes_max: usize,
}

/// A table of rules that contradicts itself: a mistake of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("frame kind {kind:#04x} cannot have this rule: {why}")]
pub struct BadRule {
    /// Which kind.
    pub kind: u8,
    /// Why not.
    pub why: &'static str,
}

/// Bytes that are no frame, or one that may not come. Nothing after it is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum FrameError {
    /// A length of 0, or above every cap.
    #[error("a frame of {0} bytes: what comes is not ours")]
    Length(u32),
    /// No such kind.
    #[error("a frame of unknown kind {0:#04x}")]
    Kind(u8),
    /// Not from this side.
    #[error("a frame of kind {kind:#04x}, which a {party} may not send")]
    Party {
        /// Its kind.
        kind: u8,
        /// Who sent it.
        party: Party,
    },
    /// Longer than its kind may be.
    #[error("a frame of kind {kind:#04x} with {bytes} bytes, of at most {bytes_max}")]
    TooLong {
        /// Its kind.
        kind: u8,
        /// Its body, in bytes.
        bytes: u32,
        /// What it may have.
        bytes_max: u32,
    },
}

/// Which frames may come in, by kind and sender.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    by_kind: Vec<Option<(Parties, u32)>>,
}

impl Rules {
    /// Checks a table.
    ///
    /// # Errors
    /// [`BadRule`]: a kind twice, one of this crate's, or a cap that no frame can have.
    pub fn new(rules: &[Rule]) -> Result<Self, BadRule> {
        let mut by_kind = vec![None; usize::from(OWN_KINDS_FROM)];
        for rule in rules {
            let bad = |why| BadRule { kind: rule.kind, why };
            let place =
                by_kind.get_mut(usize::from(rule.kind)).ok_or(bad("its number is taken by the link"))?;
            let cap = u32::try_from(rule.body_bytes_max).ok().filter(|cap| (*cap as usize) < FRAME_BYTES_MAX);
            let cap = cap.ok_or(bad("its body is longer than any frame"))?;
            if place.replace((rule.from, cap)).is_some() {
                return Err(bad("it has one already"));
            }
        }
        Ok(Self { by_kind })
    }

    /// Whether a frame with this kind and length of body may come from this party.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn check(&self, party: Party, kind: u8, body_bytes: u32) -> Result<(), FrameError> {
        let rule = self.by_kind.get(usize::from(kind)).copied().flatten();
        let (from, bytes_max) = rule.ok_or(FrameError::Kind(kind))?;
        if !from.has(party) {
            return Err(FrameError::Party { kind, party });
        }
        cap(kind, body_bytes, bytes_max)
    }
}

/// That a body is no longer than its kind may be.
pub(crate) fn cap(kind: u8, bytes: u32, bytes_max: u32) -> Result<(), FrameError> {
    if bytes > bytes_max { Err(FrameError::TooLong { kind, bytes, bytes_max }) } else { Ok(()) }
}

/// Takes frames off the front of a byte stream. It holds what was pushed and not taken, and never more: a length that
/// is only announced costs nothing.
#[derive(Default, Debug)]
pub struct FrameReader {
    bytes: Vec<u8>,
    start: usize,
}

/// What stands at the front of a [`FrameReader`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its kind.
    pub kind: u8,
    /// Its body, in bytes.
    pub body_bytes: u32,
    /// Whether all of it is there.
    pub is_whole: bool,
}

impl FrameReader {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.compact(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// Makes room for some more, and gives a place to read into; [`FrameReader::filled`] says how much came.
    pub(crate) fn spare(&mut self, bytes: usize) -> &mut [u8] {
        self.compact(bytes);
        let at = self.bytes.len();
        self.bytes.resize(at + bytes, 0);
        &mut self.bytes[at..]
    }

    /// Of the `room` bytes last given `filled` were filled.
    pub(crate) fn filled(&mut self, room: usize, filled: usize) {
        let unused = room.saturating_sub(filled);
        self.bytes.truncate(self.bytes.len().saturating_sub(unused));
    }

    /// Moves what is left to the front when that is cheap, or when it saves growing.
    fn compact(&mut self, more: usize) {
        let left = self.len();
        if left == 0 || (self.bytes.len() + more > self.bytes.capacity() && self.start >= left) {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        // One long frame must not hold its memory for ever.
        if left == 0 && self.bytes.capacity() > (1 << 20) {
            self.bytes = Vec::new();
        }
    }

    /// Bytes that were pushed and not taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether there are none; else a frame has begun.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The head of the next frame, once its five bytes are there. Check kind and length before waiting for the body.
    ///
    /// # Errors
    /// [`FrameError::Length`].
    pub fn head(&self) -> Result<Option<Head>, FrameError> {
        let rest = &self.bytes[self.start..];
        let Some((len, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_le_bytes(*len);
        if len == 0 || len as usize > FRAME_BYTES_MAX {
            return Err(FrameError::Length(len));
        }
        let Some(kind) = rest.first() else { return Ok(None) };
        Ok(Some(Head { kind: *kind, body_bytes: len - 1, is_whole: rest.len() >= len as usize }))
    }

    /// Takes the frame of a head that is whole, and gives its body.
    #[must_use]
    pub fn take(&mut self, head: Head) -> &[u8] {
        let at = (self.start + HEAD_BYTES).min(self.bytes.len());
        let end = (at + head.body_bytes as usize).min(self.bytes.len());
        self.start = end;
        &self.bytes[at..end]
    }
}

/// Appends one frame; `false`, and nothing, when its body is too long for any.
#[must_use]
pub fn put_frame(out: &mut Vec<u8>, kind: u8, body: &[u8]) -> bool {
    let Some(len) = u32::try_from(body.len() + 1).ok().filter(|len| *len as usize <= FRAME_BYTES_MAX) else {
        return false;
    };
    out.extend_from_slice(&len.to_le_bytes());
    out.push(kind);
    out.extend_from_slice(body);
    true
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
