//! What is asked: one record of a fixed layout, and for one verb a name behind it. Canonical: one meaning has one
//! spelling, and nothing may follow.
//!
//! ```text
//! at  0  4 bytes  magic "DCXR"
//!     4  u16      version, 1
//!     6  u8       verb: 1 start, 2 kill, 3 remove, 4 open, 5 connect
//!     7  u8       kind of proof: 0 none
//!     8  u32      user id
//!    12  u32      signal (kill), else 0
//!    16  16 bytes uuid of the job
//!    32  32 bytes digest of the job record (start), else 0
//!    64  u32      length of the name (open), else 0
//!    68  u32      first lease in milliseconds (start; 0: the starter's own), else 0
//!    72  ...      the name
//! ```

use std::fmt;

/// Bytes before the name.
pub const REQUEST_BYTES: usize = 72;
/// A name's.
pub const NAME_BYTES_MAX: usize = 160;
/// Parts of a name.
const PARTS_MAX: usize = 4;
pub(crate) const MAGIC: &[u8; 4] = b"DCXR";
pub(crate) const VERSION: u16 = 1;
/// Reserved for a credential of MUNGE's; nothing here can check one yet.
pub(crate) const PROOF_NONE: u8 = 0;

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Verb {
    /// Makes the job's directory and starts its starter there.
    Start = 1,
    /// Signals it.
    Kill = 2,
    /// Removes what the job left.
    Remove = 3,
    /// Hands back a file of the job's, opened for reading.
    Open = 4,
    /// Hands back a connection to its starter.
    Connect = 5,
    /// Looks whether the job's starter lives, or kills all that it left: by the starter's own program, as the user.
    Sweep = 6,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Start, Self::Kill, Self::Remove, Self::Open, Self::Connect, Self::Sweep];

    /// As it stands on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Kill => "kill",
            Self::Remove => "remove",
            Self::Open => "open",
            Self::Connect => "connect",
            Self::Sweep => "sweep",
        }
    }
}

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// What is to be done.
    pub verb: Verb,
    /// Whose job it is.
    pub uid: u32,
    /// For kill: SIGTERM, SIGKILL, SIGCONT or SIGSTOP; for sweep SIGKILL, or 0 to look alone; else 0.
    pub signal: i32,
    /// Which job.
    pub job: [u8; 16],
    /// Of the job record; what a proof will be bound to. Nothing compares it yet.
    pub digest: [u8; 32],
    /// For start: how long the starter waits for its first lease; 0 is as long as it does by itself.
    pub first_lease_ms: u32,
    /// For open: the file below the job's directory; else empty.
    pub name: String,
}

/// Why bytes are no request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestError {
    /// Fewer or more bytes than it has.
    Length,
    /// It begins otherwise.
    Magic,
    /// Of a version that is not known.
    Version(u16),
    /// No such verb.
    Verb(u8),
    /// A kind of proof that cannot be checked.
    Proof(u8),
    /// A signal that is not passed on, or one where none belongs.
    Signal,
    /// A name that is none, or one where none belongs.
    Name,
    /// Something in a field that must be zero.
    Rest,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "not as long as it says"),
            Self::Magic => write!(f, "not a request"),
            Self::Version(other) => {
                write!(f, "of version {other}; this dc-exec knows {VERSION}: install both alike")
            }
            Self::Verb(other) => write!(f, "verb {other} is not known"),
            Self::Proof(other) => write!(f, "proof of kind {other} cannot be checked"),
            Self::Signal => write!(f, "a signal that is not passed on"),
            Self::Name => write!(f, "not a file's name below a job's directory"),
            Self::Rest => write!(f, "something in a field that must be zero"),
        }
    }
}

impl std::error::Error for RequestError {}

impl Request {
    /// Reads one that is all of `bytes`.
    ///
    /// # Errors
    /// When it is not exactly one.
    pub fn decode(bytes: &[u8]) -> Result<Self, RequestError> {
        let (head, name) = bytes.split_first_chunk::<REQUEST_BYTES>().ok_or(RequestError::Length)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if head[..4] != MAGIC[..] {
            return Err(RequestError::Magic);
        }
        let version = u16::from_le_bytes([head[4], head[5]]);
        if version != VERSION {
            return Err(RequestError::Version(version));
        }
        if name.len() > NAME_BYTES_MAX || name.len() != word(64) as usize {
            return Err(RequestError::Length);
        }
        let verb =
            Verb::ALL.into_iter().find(|verb| *verb as u8 == head[6]).ok_or(RequestError::Verb(head[6]))?;
        if head[7] != PROOF_NONE {
            return Err(RequestError::Proof(head[7]));
        }
        let signal = i32::try_from(word(12)).map_err(|_| RequestError::Signal)?;
        let signal_belongs = match verb {
            Verb::Kill => is_passed_on(signal),
            Verb::Sweep => [0, nix::libc::SIGKILL].contains(&signal),
            _ => signal == 0,
        };
        if !signal_belongs {
            return Err(RequestError::Signal);
        }
        let name = std::str::from_utf8(name).map_err(|_| RequestError::Name)?;
        let name_belongs = if verb == Verb::Open { is_name(name) } else { name.is_empty() };
        if !name_belongs {
            return Err(RequestError::Name);
        }
        let (mut job, mut digest) = ([0; 16], [0; 32]);
        job.copy_from_slice(&head[16..32]);
        digest.copy_from_slice(&head[32..64]);
        let first_lease_ms = word(68);
        if verb != Verb::Start && (first_lease_ms != 0 || digest != [0; 32]) {
            return Err(RequestError::Rest);
        }
        Ok(Self { verb, uid: word(8), signal, job, digest, first_lease_ms, name: name.to_owned() })
    }

    /// The job's uuid as text: the name of its directory.
    #[must_use]
    pub fn job_text(&self) -> String {
        let mut text = String::with_capacity(36);
        for (at, byte) in self.job.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.extend(
                [byte >> 4, byte & 15].iter().filter_map(|half| char::from_digit(u32::from(*half), 16)),
            );
        }
        text
    }
}

/// What dcd has a use for: to end, to end at once, to halt, to go on.
fn is_passed_on(signal: i32) -> bool {
    use nix::libc::{SIGCONT, SIGKILL, SIGSTOP, SIGTERM};
    [SIGTERM, SIGKILL, SIGSTOP, SIGCONT].contains(&signal)
}

/// One to four parts of letters, digits, dots, underscores and hyphens, none of which begins with a dot or a hyphen.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    name.split('/').count() <= PARTS_MAX && name.split('/').all(is_part)
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
