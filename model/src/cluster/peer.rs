//! A command and a node's dcd: data, past dcsched. So far streams: the output of a job's ranks on that node, and their
//! standard input.
//!
//! Output comes in the starter's frames, each with the offset behind it. What the command has taken it says
//! ([`FromPeer::Taken`]); only that is forgotten by the starter, so that neither a lost connection nor a killed dcd loses
//! or doubles a byte: whoever attaches again says up to where it has everything. A starter that was replaced begins anew.
//!
//! Kinds 0x80–0x8f come from who dials, 0x90–0x9f from the node that was dialled; others up to 0xbf are for what is not a
//! stream.

use super::Kind;
use super::lists::{get_option, get_text, put_option, put_text};
use crate::JobUuid;
use crate::codec::{DecodeError, Reader, Writer};
use crate::wire::{FrameBuffer, FromStarter, INPUT_BYTES_MAX, LINE_BYTES_MAX, Output, OutputAt, ToStarter};

/// What a frame of a starter's has beside what it carries, in bytes: more than it ever is.
const FRAME_EXTRA_BYTES: usize = 64;

/// What who dials may send.
pub const FROM_PEER: &[Kind] = &[
    (0x80, "attach", 64),
    (0x81, "taken", 64),
    (0x82, "input", INPUT_BYTES_MAX as usize + FRAME_EXTRA_BYTES),
    (0x8f, "alive", 0),
];

/// What the node sends to who dialled.
pub const TO_PEER: &[Kind] = &[
    (0x90, "from", 64),
    (0x91, "output", 2 * LINE_BYTES_MAX + FRAME_EXTRA_BYTES),
    (0x92, "want input", 64),
    (0x93, "ended", 64),
    (0x94, "refused", 8 << 10),
    (0x9f, "alive", 0),
];

/// Who dials to a node's dcd.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromPeer {
    /// First of all: the streams of a job on this node, from now on. The node waits for the job where it is not there yet.
    /// It takes the place of who was attached to the job there before.
    Attach {
        /// The job.
        job: JobUuid,
        /// Up to where it has everything; none: it wants all that is kept.
        have: Option<OutputAt>,
    },
    /// Everything up to there is taken.
    Taken {
        /// Behind the last frame that is.
        at: OutputAt,
    },
    /// A [`ToStarter::Input`].
    Input(Box<ToStarter>),
    /// It lives; to be said when there was nothing else to say for a while.
    Alive,
}

/// A node's dcd to who has dialled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToPeer {
    /// Where the frames begin that follow, and of which starter: first of all, and again for each new starter.
    From(OutputAt),
    /// A frame of output.
    Output {
        /// The offset behind it.
        end: u64,
        /// It.
        frame: Output,
    },
    /// A [`FromStarter::WantInput`]. The same one may come more than once.
    WantInput(FromStarter),
    /// The starter has ended as it should: there is no more output of it. Another may follow.
    Ended {
        /// Which.
        starter_inc: u64,
    },
    /// Nothing, or nothing more, comes on this connection; and why.
    Refused {
        /// One line.
        text: String,
    },
    /// It lives.
    Alive,
}

fn put_at(w: &mut Writer, at: OutputAt) {
    w.u64(at.starter_inc);
    w.u64(at.offset);
}

fn get_at(r: &mut Reader<'_>) -> Result<OutputAt, DecodeError> {
    Ok(OutputAt { starter_inc: r.u64()?, offset: r.u64()? })
}

/// The one frame that is the rest of a body.
fn rest<T>(
    r: &mut Reader<'_>,
    read: impl FnOnce(u8, &[u8]) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let bytes = r.raw(r.rest().len())?;
    let mut buffer = FrameBuffer::default();
    buffer.push(bytes);
    let value = match buffer.next_frame()? {
        Some((kind, body)) => read(kind, body)?,
        None => return Err(DecodeError::Short),
    };
    if buffer.is_partial() { Err(DecodeError::Trailing) } else { Ok(value) }
}

impl FromPeer {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Attach { .. } => 0x80,
            Self::Taken { .. } => 0x81,
            Self::Input(_) => 0x82,
            Self::Alive => 0x8f,
        }
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let w = &mut Writer::new();
        match self {
            Self::Attach { job, have } => {
                w.raw(&job.0);
                put_option(w, *have, put_at);
            }
            Self::Taken { at } => put_at(w, *at),
            Self::Input(input) => input.encode(&mut w.bytes),
            Self::Alive => {}
        }
        std::mem::take(&mut w.bytes)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is not one of these messages.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(body);
        let message = match kind {
            0x80 => Self::Attach { job: JobUuid(r.array()?), have: get_option(r, get_at)? },
            0x81 => Self::Taken { at: get_at(r)? },
            0x82 => match rest(r, ToStarter::decode)? {
                input @ ToStarter::Input { .. } => Self::Input(Box::new(input)),
                _ => return Err(DecodeError::Unknown("input")),
            },
            0x8f => Self::Alive,
            _ => return Err(DecodeError::Unknown("message")),
        };
        r.end()?;
        Ok(message)
    }
}

impl ToPeer {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::From(_) => 0x90,
            Self::Output { .. } => 0x91,
            Self::WantInput(_) => 0x92,
            Self::Ended { .. } => 0x93,
            Self::Refused { .. } => 0x94,
            Self::Alive => 0x9f,
        }
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let w = &mut Writer::new();
        match self {
            Self::From(at) => put_at(w, *at),
            Self::Output { end, frame } => {
                w.u64(*end);
                frame.encode(&mut w.bytes);
            }
            Self::WantInput(want) => want.encode(&mut w.bytes),
            Self::Ended { starter_inc } => w.u64(*starter_inc),
            Self::Refused { text } => put_text(w, text),
            Self::Alive => {}
        }
        std::mem::take(&mut w.bytes)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is not one of these messages.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(body);
        let message = match kind {
            0x90 => Self::From(get_at(r)?),
            0x91 => Self::Output { end: r.u64()?, frame: rest(r, Output::decode)? },
            0x92 => match rest(r, FromStarter::decode)? {
                want @ FromStarter::WantInput { .. } => Self::WantInput(want),
                _ => return Err(DecodeError::Unknown("wish for input")),
            },
            0x93 => Self::Ended { starter_inc: r.u64()? },
            0x94 => Self::Refused { text: get_text(r, 4096)? },
            0x9f => Self::Alive,
            _ => return Err(DecodeError::Unknown("message")),
        };
        r.end()?;
        Ok(message)
    }
}
