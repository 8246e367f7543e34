//! A command or a node, and a node's dcd: data that is no stream. Results that a command fetches, copies of checkpoints
//! that nodes keep for each other, files that are passed on to all nodes.
//!
//! What is long comes in pieces ([`FromData::Piece`], [`ToData::Piece`]), one after another without a gap; whoever takes
//! them holds length and checksum against what was said before. Nobody waits for an answer to a piece: who does not read
//! is not sent more by TCP.
//!
//! Kinds 0xa0–0xaf come from who dials, 0xb0–0xbf from the node that was dialled. No message names a path: jobs,
//! subtasks, attempts and steps are numbers, files to be passed on are named by their content.

use super::lists::{get_list, get_option, get_restart, get_text, get_texts};
use super::lists::{put_list, put_option, put_restart, put_text, put_texts};
use super::{Kind, NODE_NAME_BYTES_MAX};
use crate::codec::{DecodeError, Reader, Writer};
use crate::{Attempt, JobUuid, Restart, ResultMeta, SubtaskId};

/// The most bytes of a piece.
pub const PIECE_BYTES_MAX: usize = 256 << 10;
/// The most results that are asked for at once.
pub const RESULTS_MAX: usize = 4096;
/// The most checkpoints that are asked for or listed at once.
pub const COPIES_MAX: usize = 4096;
/// The most nodes that a file is passed on to.
pub const BELOW_MAX: usize = 65_536;
/// The longest address of a node, in bytes.
const ADDRESS_BYTES_MAX: usize = 300;
/// The longest reason, in bytes.
const REASON_BYTES_MAX: usize = 4096;

/// What who dials may send.
pub const FROM_DATA: &[Kind] = &[
    (0xa0, "fetch results", 32 + RESULTS_MAX * 28),
    (0xa1, "put copy", 128),
    (0xa2, "piece", PIECE_BYTES_MAX + 4),
    (0xa3, "list copies", 64 + COPIES_MAX * 8),
    (0xa4, "get copy", 64),
    (0xa5, "push file", 8 << 20),
    (0xa6, "get file", 64),
    (0xa7, "forget", 16),
];

/// What the node sends to who dialled.
pub const TO_DATA: &[Kind] = &[
    (0xb0, "result", PIECE_BYTES_MAX + 64),
    (0xb1, "piece", PIECE_BYTES_MAX + 4),
    (0xb2, "no result", 8 << 10),
    (0xb3, "done", 0),
    (0xb4, "copies", 64 + COPIES_MAX * 16),
    (0xb5, "length", 16),
    (0xb6, "passed on", 8 << 20),
    (0xb7, "no", 8 << 10),
];

/// A result that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WantedResult {
    /// Which subtask.
    pub subtask: SubtaskId,
    /// Which attempt.
    pub attempt: Attempt,
    /// From there on: what is before it was taken on another connection. In bytes of its payload.
    pub at: u64,
    /// What the journal says of it.
    pub meta: ResultMeta,
}

/// Another node of the cluster.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NodeAddress {
    /// Its name.
    pub name: String,
    /// Where its peer port is reached: host:port; empty when it has none.
    pub address: String,
    /// Its key's fingerprint, as text; empty when it has no key.
    pub fingerprint: String,
}

/// Who dials to a node's dcd.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromData {
    /// These results, one after another; [`ToData::Done`] behind the last. More may be asked for before that.
    FetchResults {
        /// The job.
        job: JobUuid,
        /// At most [`RESULTS_MAX`].
        wanted: Vec<WantedResult>,
    },
    /// Keep this checkpoint for me: [`ToData::Length`] says whether its pieces are wanted, [`ToData::Done`] that it is on disk.
    PutCopy {
        /// The job.
        job: JobUuid,
        /// Which subtask.
        subtask: SubtaskId,
        /// Which checkpoint.
        restart: Restart,
        /// The whole file, in bytes.
        bytes: u64,
    },
    /// The next bytes of what was announced.
    Piece(Vec<u8>),
    /// The two newest checkpoints that you have of each of these subtasks, of attempts before these.
    ListCopies {
        /// The job.
        job: JobUuid,
        /// Subtask, and the attempt that is about to be launched; at most [`COPIES_MAX`].
        below: Vec<(SubtaskId, Attempt)>,
    },
    /// This checkpoint's file.
    GetCopy {
        /// The job.
        job: JobUuid,
        /// Which subtask.
        subtask: SubtaskId,
        /// Which checkpoint.
        restart: Restart,
    },
    /// Keep a file, and pass it on to these nodes. Its pieces follow once [`ToData::Length`] has said that they are wanted.
    PushFile {
        /// SHA-256 of its content.
        hash: [u8; 32],
        /// Its length, in bytes.
        bytes: u64,
        /// To whom it is passed on; at most [`BELOW_MAX`].
        below: Vec<NodeAddress>,
    },
    /// A file of this content.
    GetFile {
        /// SHA-256.
        hash: [u8; 32],
    },
    /// Copies of this job's checkpoints are of no more use.
    Forget {
        /// The job.
        job: JobUuid,
    },
}

/// A node's dcd to who has dialled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToData {
    /// A result, with the first piece of it; the rest follows in pieces.
    Result {
        /// The how manieth of those that were asked for with it, from 0.
        index: u32,
        /// What a value is, as spool numbers it.
        dtype: u8,
        /// The order of the values, as spool numbers it.
        layout: u8,
        /// Values a cell.
        values_per_cell: u32,
        /// Bytes from where it was asked for on.
        bytes: u64,
        /// The first of these.
        piece: Vec<u8>,
    },
    /// The next bytes of what was announced.
    Piece(Vec<u8>),
    /// The node does not have this result.
    NoResult {
        /// The how manieth.
        index: u32,
        /// Why, for people.
        why: String,
    },
    /// All that was asked for is sent, or all that was sent is on disk.
    Done,
    /// Checkpoints that this node has.
    Copies(Vec<(SubtaskId, Restart)>),
    /// A file: so many bytes of it follow, or (where it is brought) are wanted; none: it is here, or nowhere.
    Length(Option<u64>),
    /// The file is here, and at all nodes below but these.
    PassedOn {
        /// Their names, and why each has it not.
        failed: Vec<(String, String)>,
    },
    /// Not done, and why. The connection can be used again.
    No(String),
}

fn put_addresses(w: &mut Writer, list: &[NodeAddress]) {
    put_list(w, list, |w, node| {
        [&node.name, &node.address, &node.fingerprint].into_iter().for_each(|text| put_text(w, text));
    });
}

fn get_addresses(r: &mut Reader<'_>) -> Result<Vec<NodeAddress>, DecodeError> {
    let list = get_list(r, 12, |r| {
        Ok(NodeAddress {
            name: get_text(r, NODE_NAME_BYTES_MAX)?,
            address: get_text(r, ADDRESS_BYTES_MAX)?,
            fingerprint: get_text(r, 100)?,
        })
    })?;
    at_most(list, BELOW_MAX)
}

/// For [`super::ToNode::Peers`].
pub(super) fn put_peers(w: &mut Writer, list: &[NodeAddress]) {
    put_addresses(w, list);
}

/// For [`super::ToNode::Peers`].
pub(super) fn get_peers(r: &mut Reader<'_>) -> Result<Vec<NodeAddress>, DecodeError> {
    get_addresses(r)
}

fn at_most<T>(list: Vec<T>, count_max: usize) -> Result<Vec<T>, DecodeError> {
    if list.len() > count_max { Err(DecodeError::Impossible("number of items")) } else { Ok(list) }
}

fn get_piece(r: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    at_most(r.bytes()?.to_vec(), PIECE_BYTES_MAX)
}

fn put_copy(w: &mut Writer, job: &JobUuid, subtask: SubtaskId, restart: Restart) {
    w.raw(&job.0);
    w.u32(subtask.0);
    put_restart(w, restart);
}

impl FromData {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::FetchResults { .. } => 0xa0,
            Self::PutCopy { .. } => 0xa1,
            Self::Piece(_) => 0xa2,
            Self::ListCopies { .. } => 0xa3,
            Self::GetCopy { .. } => 0xa4,
            Self::PushFile { .. } => 0xa5,
            Self::GetFile { .. } => 0xa6,
            Self::Forget { .. } => 0xa7,
        }
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let w = &mut Writer::new();
        match self {
            Self::FetchResults { job, wanted } => {
                w.raw(&job.0);
                put_list(w, wanted, |w, one| {
                    w.u32(one.subtask.0);
                    w.u32(one.attempt.0);
                    w.u64(one.at);
                    w.u64(one.meta.len);
                    w.u32(one.meta.crc);
                });
            }
            Self::PutCopy { job, subtask, restart, bytes } => {
                put_copy(w, job, *subtask, *restart);
                w.u64(*bytes);
            }
            Self::Piece(bytes) => w.bytes(bytes),
            Self::ListCopies { job, below } => {
                w.raw(&job.0);
                put_list(w, below, |w, (subtask, attempt)| {
                    w.u32(subtask.0);
                    w.u32(attempt.0);
                });
            }
            Self::GetCopy { job, subtask, restart } => put_copy(w, job, *subtask, *restart),
            Self::PushFile { hash, bytes, below } => {
                w.raw(hash);
                w.u64(*bytes);
                put_addresses(w, below);
            }
            Self::GetFile { hash } => w.raw(hash),
            Self::Forget { job } => w.raw(&job.0),
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
            0xa0 => Self::FetchResults {
                job: JobUuid(r.array()?),
                wanted: at_most(
                    get_list(r, 28, |r| {
                        Ok(WantedResult {
                            subtask: SubtaskId(r.u32()?),
                            attempt: Attempt(r.u32()?),
                            at: r.u64()?,
                            meta: ResultMeta { len: r.u64()?, crc: r.u32()? },
                        })
                    })?,
                    RESULTS_MAX,
                )?,
            },
            0xa1 => Self::PutCopy {
                job: JobUuid(r.array()?),
                subtask: SubtaskId(r.u32()?),
                restart: get_restart(r)?,
                bytes: r.u64()?,
            },
            0xa2 => Self::Piece(get_piece(r)?),
            0xa3 => Self::ListCopies {
                job: JobUuid(r.array()?),
                below: at_most(
                    get_list(r, 8, |r| Ok((SubtaskId(r.u32()?), Attempt(r.u32()?))))?,
                    COPIES_MAX,
                )?,
            },
            0xa4 => Self::GetCopy {
                job: JobUuid(r.array()?),
                subtask: SubtaskId(r.u32()?),
                restart: get_restart(r)?,
            },
            0xa5 => Self::PushFile { hash: r.array()?, bytes: r.u64()?, below: get_addresses(r)? },
            0xa6 => Self::GetFile { hash: r.array()? },
            0xa7 => Self::Forget { job: JobUuid(r.array()?) },
            _ => return Err(DecodeError::Unknown("message")),
        };
        r.end()?;
        Ok(message)
    }
}

impl ToData {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Result { .. } => 0xb0,
            Self::Piece(_) => 0xb1,
            Self::NoResult { .. } => 0xb2,
            Self::Done => 0xb3,
            Self::Copies(_) => 0xb4,
            Self::Length(_) => 0xb5,
            Self::PassedOn { .. } => 0xb6,
            Self::No(_) => 0xb7,
        }
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let w = &mut Writer::new();
        match self {
            Self::Result { index, dtype, layout, values_per_cell, bytes, piece } => {
                w.u32(*index);
                w.u8(*dtype);
                w.u8(*layout);
                w.u32(*values_per_cell);
                w.u64(*bytes);
                w.bytes(piece);
            }
            Self::Piece(bytes) => w.bytes(bytes),
            Self::NoResult { index, why } => {
                w.u32(*index);
                put_text(w, why);
            }
            Self::Done => {}
            Self::Copies(list) => put_list(w, list, |w, (subtask, restart)| {
                w.u32(subtask.0);
                put_restart(w, *restart);
            }),
            Self::Length(length) => put_option(w, *length, |w, length| w.u64(length)),
            Self::PassedOn { failed } => {
                let (names, reasons): (Vec<_>, Vec<_>) = failed.iter().cloned().unzip();
                put_texts(w, &names);
                put_texts(w, &reasons);
            }
            Self::No(why) => put_text(w, why),
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
            0xb0 => Self::Result {
                index: r.u32()?,
                dtype: r.u8()?,
                layout: r.u8()?,
                values_per_cell: r.u32()?,
                bytes: r.u64()?,
                piece: get_piece(r)?,
            },
            0xb1 => Self::Piece(get_piece(r)?),
            0xb2 => Self::NoResult { index: r.u32()?, why: get_text(r, REASON_BYTES_MAX)? },
            0xb3 => Self::Done,
            0xb4 => Self::Copies(at_most(
                get_list(r, 16, |r| Ok((SubtaskId(r.u32()?), get_restart(r)?)))?,
                COPIES_MAX,
            )?),
            0xb5 => Self::Length(get_option(r, Reader::u64)?),
            0xb6 => {
                let names = get_texts(r, NODE_NAME_BYTES_MAX)?;
                let reasons = get_texts(r, REASON_BYTES_MAX)?;
                if names.len() != reasons.len() || names.len() > BELOW_MAX {
                    return Err(DecodeError::Impossible("number of items"));
                }
                Self::PassedOn { failed: names.into_iter().zip(reasons).collect() }
            }
            0xb7 => Self::No(get_text(r, REASON_BYTES_MAX)?),
            _ => return Err(DecodeError::Unknown("message")),
        };
        r.end()?;
        Ok(message)
    }
}
