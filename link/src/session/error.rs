//! What ends a session, and what keeps a frame from being sent.

use crate::fingerprint::Fingerprint;
use crate::frames::FrameError;
use crate::join::JoinRefused;
use crate::peers::Refused;
use dc_spool::files::shown;
use std::io;
use thiserror::Error;

/// Why a session ended that should not have. After one the session does nothing more but flush its last words.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LinkError {
    /// The other side's key is not accepted.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The other side showed no key.
    #[error("the other side showed no key")]
    NoKey,
    /// The other side says that it does not accept this side, or what this side sent.
    #[error("the other side ended the connection ({alert}){}", hint(.alert, *.own))]
    Alert {
        /// TLS's word for it.
        alert: String,
        /// This side's key.
        own: Fingerprint,
    },
    /// Not TLS 1.3 as it is spoken here, or bytes that were changed on the way.
    #[error("the other side does not speak dc's protocol (TLS 1.3 with raw keys): {0}")]
    Tls(String),
    /// The greeting is none.
    #[error("the other side did not greet as a process of dc does")]
    Hello,
    /// It speaks another version.
    #[error(
        "this side speaks version {ours} of the protocol, and the other side version {theirs}: upgrade the older one"
    )]
    Version {
        /// This side's.
        ours: u16,
        /// The other's.
        theirs: u16,
    },
    /// A frame that may not come.
    #[error("the other side sent {0}")]
    Frame(#[from] FrameError),
    /// The joiner sent something that is no request, or a second one.
    #[error("the other side wants to join, and sent something else than one join request")]
    NoJoin,
    /// The scheduler does not let this side join.
    #[error(transparent)]
    JoinRefused(#[from] JoinRefused),
    /// The connection was lost.
    #[error("the connection was lost{}", if *.partial { " in the midst of a message" } else { "" })]
    Lost {
        /// Whether a frame had begun.
        partial: bool,
    },
    /// The system's error.
    #[error("the connection failed: {}", io::Error::from(*.0))]
    Io(io::ErrorKind),
    /// Who it is was not proved in time.
    #[error("the other side did not prove in time who it is")]
    HandshakeTimeout,
    /// Nothing came for too long.
    #[error("nothing came from the other side for {} s", .0 / 1_000_000_000)]
    Idle(u64),
    /// Nothing could be sent for too long.
    #[error("the other side took nothing for {} s", .0 / 1_000_000_000)]
    Stalled(u64),
    /// This side ended it on purpose.
    #[error("this side ended the connection")]
    Closed,
}

fn hint(alert: &str, own: Fingerprint) -> String {
    match alert {
        "CertificateUnknown" | "AccessDenied" | "BadCertificate" | "CertificateExpired" => {
            format!(
                ": it does not accept this side's key {own} here; have it trusted there, or join by a token"
            )
        }
        _ => String::new(),
    }
}

/// Why a frame was not taken. Nothing of it is sent.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SendError {
    /// The queue is full: wait until the session says that it may send.
    #[error("the other side is slow: {queued_bytes} bytes wait for it already")]
    Full {
        /// How many wait.
        queued_bytes: usize,
    },
    /// Longer than the queue ever is, or than any frame.
    #[error("a message of {bytes} bytes, of at most {bytes_max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most.
        bytes_max: usize,
    },
    /// Its kind is not the caller's, or the bytes are not one frame.
    #[error("not a frame that may be sent: {0}")]
    BadFrame(&'static str),
    /// The other side is not known yet, or the session has ended.
    #[error("the connection is not up")]
    NotUp,
}

/// The other side's parting words, or any text of its, for one line on a terminal.
pub(crate) fn plain(bytes: &[u8]) -> String {
    shown(&String::from_utf8_lossy(bytes).into_owned()).to_string()
}
