//! The scheduler's decisions as the journal has them: a type and a payload each, drawn in docs/journal-format.md. A
//! submission that is longer than one record may be is cut into pieces, which count when the last one is there.

use dc_model::JobUuid;
use dc_model::cluster::{ClusterRecord, NODE_NAME_BYTES_MAX, Wants};
use dc_model::codec::{DecodeError, Reader, Writer};
use dcsched_store::{Described, PAYLOAD_BYTES_MAX, RecordRef, TYPE_EPOCH, undescribed};
use serde_json::{Value, json};
use std::sync::Arc;

/// A job was taken.
pub const SUBMITTED: u16 = 16;
/// A piece of a [`SUBMITTED`], more follow.
pub const PIECE: u16 = 17;
/// The last piece.
pub const LAST_PIECE: u16 = 18;
/// A decision within a job.
pub const JOB: u16 = 19;
/// Nothing more is known of a job.
pub const FORGOTTEN: u16 = 20;
/// A node's first registration.
pub const NODE_SEEN: u16 = 21;
/// A node may be given work.
pub const NODE_UP: u16 = 22;
/// A node's lease has ended.
pub const NODE_LOST: u16 = 23;
/// An operator's wish.
pub const NODE_DRAIN: u16 = 24;
/// How long leases may be.
pub const LEASE_TOLD: u16 = 25;

/// What a piece holds of a submission, in bytes: with its number and its frame it is no longer than any record.
const PIECE_BYTES: usize = PAYLOAD_BYTES_MAX - 4;

/// The longest reason of a drain, in bytes: as messages have it.
const REASON_BYTES_MAX: usize = 1024;

/// A decision's type and payload; a long one's are several, in this order.
#[must_use]
pub fn encode(record: &ClusterRecord) -> Vec<(u16, Vec<u8>)> {
    let w = &mut Writer::new();
    let kind = put(record, w);
    let payload = std::mem::take(&mut w.bytes);
    if payload.len() <= PAYLOAD_BYTES_MAX {
        return vec![(kind, payload)];
    }
    let pieces = payload.chunks(PIECE_BYTES);
    let last = pieces.len().saturating_sub(1);
    pieces
        .enumerate()
        .map(|(number, piece)| {
            let mut w = Writer { bytes: Vec::with_capacity(piece.len() + 4) };
            w.u32(number as u32);
            w.raw(piece);
            (if number == last { LAST_PIECE } else { PIECE }, w.bytes)
        })
        .collect()
}

fn put(record: &ClusterRecord, w: &mut Writer) -> u16 {
    match record {
        ClusterRecord::Submitted { job, uuid, key, uid, wants, record } => {
            w.u64(*job);
            w.raw(&uuid.0);
            w.raw(key);
            w.u32(*uid);
            w.bytes(&wants.to_bytes());
            w.bytes(record);
            SUBMITTED
        }
        ClusterRecord::Job { job, record } => {
            let (kind, payload) = dc_spool::journal::to_payload(record);
            w.u64(*job);
            w.u16(kind);
            w.raw(&payload);
            JOB
        }
        ClusterRecord::Forgotten { job } => {
            w.u64(*job);
            FORGOTTEN
        }
        ClusterRecord::NodeSeen { node, name } => {
            w.u32(*node);
            w.bytes(name.as_bytes());
            NODE_SEEN
        }
        ClusterRecord::NodeUp { node } => {
            w.u32(*node);
            NODE_UP
        }
        ClusterRecord::NodeLost { node } => {
            w.u32(*node);
            NODE_LOST
        }
        ClusterRecord::LeaseTold { lease_ns } => {
            w.u64(*lease_ns);
            LEASE_TOLD
        }
        ClusterRecord::NodeDrain { node, drain, reason } => {
            w.u32(*node);
            w.u8(u8::from(*drain));
            w.bytes(reason.as_bytes());
            NODE_DRAIN
        }
    }
}

/// A decision from its type and payload; not for pieces.
///
/// # Errors
/// When they are none.
pub fn decode(kind: u16, payload: &[u8]) -> Result<ClusterRecord, DecodeError> {
    let r = &mut Reader::new(payload);
    let record = match kind {
        SUBMITTED => ClusterRecord::Submitted {
            job: r.u64()?,
            uuid: JobUuid(r.array()?),
            key: r.array()?,
            uid: r.u32()?,
            wants: Box::new(Wants::from_bytes(r.bytes()?)?),
            record: Arc::from(r.bytes()?),
        },
        JOB => {
            let (job, number) = (r.u64()?, r.u16()?);
            let rest = r.rest();
            let record = dc_spool::journal::from_payload(number, rest)?;
            return Ok(ClusterRecord::Job { job, record });
        }
        FORGOTTEN => ClusterRecord::Forgotten { job: r.u64()? },
        NODE_SEEN => ClusterRecord::NodeSeen { node: r.u32()?, name: text(r, NODE_NAME_BYTES_MAX)? },
        NODE_UP => ClusterRecord::NodeUp { node: r.u32()? },
        NODE_LOST => ClusterRecord::NodeLost { node: r.u32()? },
        LEASE_TOLD => ClusterRecord::LeaseTold { lease_ns: r.u64()? },
        NODE_DRAIN => {
            ClusterRecord::NodeDrain { node: r.u32()?, drain: r.bool()?, reason: text(r, REASON_BYTES_MAX)? }
        }
        _ => return Err(DecodeError::Unknown("type of record")),
    };
    r.end()?;
    Ok(record)
}

fn text(r: &mut Reader<'_>, bytes_max: usize) -> Result<String, DecodeError> {
    let bytes = r.bytes()?;
    if bytes.len() > bytes_max {
        return Err(DecodeError::Impossible("length of a text"));
    }
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::Impossible("text"))
}

/// Puts the journal's records together again: pieces to submissions. Pieces without their last one are of a run that
/// was killed, and were never acknowledged.
#[derive(Default, Debug)]
pub struct Assembler {
    pieces: Vec<u8>,
    count: u32,
}

impl Assembler {
    /// Takes the next record; gives a decision when one is whole. The store's own records are none.
    ///
    /// # Errors
    /// When it is no decision, or a piece that does not follow.
    pub fn push(&mut self, record: RecordRef<'_>) -> Result<Option<ClusterRecord>, DecodeError> {
        if !matches!(record.kind, PIECE | LAST_PIECE) {
            self.clear();
            return if record.kind == TYPE_EPOCH {
                Ok(None)
            } else {
                decode(record.kind, record.payload).map(Some)
            };
        }
        let r = &mut Reader::new(record.payload);
        let number = r.u32()?;
        if number == 0 {
            self.clear();
        }
        if number != self.count {
            return Err(DecodeError::Impossible("piece of a submission"));
        }
        self.pieces.extend_from_slice(r.rest());
        self.count += 1;
        if record.kind == PIECE {
            return Ok(None);
        }
        let whole = decode(SUBMITTED, &self.pieces);
        self.clear();
        whole.map(Some)
    }

    fn clear(&mut self) {
        (self.pieces, self.count) = (Vec::new(), 0);
    }
}

/// A record in words, for `dcsched dump`.
#[must_use]
pub fn describe(kind: u16, payload: &[u8]) -> Described {
    let named = |name: &str, fields: Vec<(&str, Value)>| Described {
        name: name.to_owned(),
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    if let (PIECE | LAST_PIECE, Some((number, rest))) = (kind, payload.split_first_chunk::<4>()) {
        let name = if kind == PIECE { "submitted-piece" } else { "submitted-last-piece" };
        let number = u32::from_le_bytes(*number);
        return named(name, vec![("piece", json!(number)), ("bytes", json!(rest.len()))]);
    }
    match decode(kind, payload) {
        Ok(ClusterRecord::Submitted { job, uuid, uid, wants, record, .. }) => {
            let nodes = &wants.nodes;
            let mut fields = vec![
                ("job", json!(job)),
                ("uuid", json!(uuid.to_string())),
                ("uid", json!(uid)),
                ("record_bytes", json!(record.len())),
                ("detached", json!(wants.detached)),
            ];
            if nodes.nodes_min > 0 {
                fields.push(("nodes_min", json!(nodes.nodes_min)));
            }
            if nodes.exclusive {
                fields.push(("exclusive", json!(true)));
            }
            named("submitted", fields)
        }
        Ok(ClusterRecord::Job { job, record }) => {
            named("job", vec![("job", json!(job)), ("decision", json!(format!("{record:?}")))])
        }
        Ok(ClusterRecord::Forgotten { job }) => named("forgotten", vec![("job", json!(job))]),
        Ok(ClusterRecord::NodeSeen { node, name }) => {
            named("node-seen", vec![("node", json!(node)), ("name", json!(name))])
        }
        Ok(ClusterRecord::NodeUp { node }) => named("node-up", vec![("node", json!(node))]),
        Ok(ClusterRecord::NodeLost { node }) => named("node-lost", vec![("node", json!(node))]),
        Ok(ClusterRecord::LeaseTold { lease_ns }) => named("lease-told", vec![("lease_ns", json!(lease_ns))]),
        Ok(ClusterRecord::NodeDrain { node, drain, reason }) => named(
            if drain { "node-drain" } else { "node-resume" },
            vec![("node", json!(node)), ("reason", json!(reason))],
        ),
        Err(_) => undescribed(kind, payload),
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
