//! Why a scheduler cannot be asked, or does not do what is asked: one line each, with what to do about it.

use dc_config::{BadPlace, ConfigError};
use dc_link::{KeyError, LinkError, LocalError, PeersError, SendError};
use dc_model::codec::DecodeError;
use dc_model::exit;
use std::io;
use thiserror::Error;

/// Why there is no answer, or not the one hoped for.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// An address that is none.
    #[error("{what} {}: {why}", given.escape_debug())]
    Address {
        /// Who says it.
        what: &'static str,
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: BadPlace,
    },
    /// dc.toml.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// This side's key.
    #[error("{0}; a client on another host than the scheduler's needs a key that is trusted there")]
    Key(#[from] KeyError),
    /// The peers file.
    #[error("{0}; it says which scheduler is the right one")]
    Peers(#[from] PeersError),
    /// The socket of a scheduler of this host.
    #[error("the scheduler: {0}")]
    Local(#[from] LocalError),
    /// A host that is not known, or does not answer.
    #[error("the scheduler at {place}: {source}")]
    Dial {
        /// Its address.
        place: String,
        /// Why not.
        source: io::Error,
    },
    /// What is said to it, or by it.
    #[error("the scheduler at {place}: {source}")]
    Link {
        /// Its address.
        place: String,
        /// What went wrong.
        source: LinkError,
    },
    /// It ended the connection on purpose.
    #[error("the scheduler at {place} ended the connection: {text}")]
    Ended {
        /// Its address.
        place: String,
        /// Its words.
        text: String,
    },
    /// It did not answer in time.
    #[error("the scheduler at {place} does not answer")]
    Silent {
        /// Its address.
        place: String,
    },
    /// A message that cannot be sent.
    #[error("the scheduler at {place} cannot be sent that: {source}")]
    Send {
        /// Its address.
        place: String,
        /// Why not.
        source: SendError,
    },
    /// A message that is none.
    #[error("the scheduler at {place} said something that {source}")]
    Foreign {
        /// Its address.
        place: String,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// It does not do it.
    #[error("{text}")]
    Refused {
        /// What dcrun ends with.
        status: u8,
        /// One line.
        text: String,
    },
    /// A job record that no scheduler takes.
    #[error(
        "the job's arguments, environment and subtasks take {bytes} bytes; {max} is the most that can be submitted"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// What the scheduler says of the job contradicts itself.
    #[error("what the scheduler at {place} says of the job contradicts itself at decision {seq}")]
    Contradiction {
        /// Its address.
        place: String,
        /// Where.
        seq: u64,
    },
    /// A signal came before the job was taken.
    #[error("signal {0}: the job was not submitted")]
    Signal(u8),
    /// Something the system refused.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl ClusterError {
    /// dcrun's exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Refused { status, .. } => *status,
            Self::Signal(signal) => exit::SIGNAL_BASE.saturating_add(*signal),
            _ => exit::DC_ERROR,
        }
    }

    /// Whether it may be otherwise a moment later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Local(error) => matches!(error, LocalError::Nobody(_) | LocalError::Os { .. }),
            Self::Dial { .. } | Self::Ended { .. } | Self::Silent { .. } => true,
            Self::Link { source, .. } => matches!(
                source,
                LinkError::Lost { .. }
                    | LinkError::Io(_)
                    | LinkError::HandshakeTimeout
                    | LinkError::Idle(_)
                    | LinkError::Stalled(_)
            ),
            _ => false,
        }
    }
}
