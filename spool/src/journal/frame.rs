//! What surrounds a record in its segment: enough to know it again wherever it lies, and whether it may be missing.
//!
//! ```text
//!  0  payload length  u32  in bytes
//!  4  type            u16
//!  6  zero            u16
//!  8  seq             u64  +1 with each record of the job
//! 16  epoch           u32
//! 20  durable         u32  length of the segment that was durable when this was written, in units of 8 bytes
//! 24  CRC before      u32  the CRC of the record before, in whatever segment; 0 for the first
//! 28  CRC             u32  CRC-32C over the segment's header, bytes 0 to 28, the payload and its padding
//! 32  payload, then zeros up to a multiple of 8
//! ```

use super::codec;
use dc_model::Record;
use dc_model::codec::{Reader, Writer};

/// Bytes before a record's payload.
pub const FRAME_BYTES: usize = 32;

/// The longest payload accepted: the largest set of CPUs fits.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 10;

/// Frames begin at multiples of this.
pub(super) const ALIGN: usize = 8;

/// What all frames of a segment share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    /// CRC of the segment's header.
    pub seed: u32,
    /// The segment's epoch.
    pub epoch: u32,
}

/// A frame whose CRC agrees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub number: u16,
    pub seq: u64,
    /// In bytes.
    pub durable_bytes: u64,
    pub crc_before: u32,
    pub crc: u32,
    pub payload: &'a [u8],
    /// Where the next frame begins, relative to this one.
    pub len_bytes: usize,
}

/// Appends a record; gives back its CRC.
///
/// # Panics
/// When the payload is longer than is ever read back: no such record can be made of this machine's CPUs.
pub(super) fn encode(
    out: &mut Vec<u8>,
    shared: Shared,
    seq: u64,
    durable_bytes: u64,
    crc_before: u32,
    record: &Record,
) -> u32 {
    let start = out.len();
    let mut w = Writer { bytes: std::mem::take(out) };
    w.raw(&[0; FRAME_BYTES]);
    codec::encode(record, &mut w);
    let payload_bytes = w.bytes.len() - start - FRAME_BYTES;
    assert!(payload_bytes <= PAYLOAD_BYTES_MAX, "a record of {payload_bytes} bytes");
    let padded = w.bytes.len().next_multiple_of(ALIGN);
    w.bytes.resize(padded, 0);

    let mut head = [0; FRAME_BYTES - 4];
    head[0..4].copy_from_slice(&(payload_bytes as u32).to_le_bytes());
    head[4..6].copy_from_slice(&codec::number(record).to_le_bytes());
    head[8..16].copy_from_slice(&seq.to_le_bytes());
    head[16..20].copy_from_slice(&shared.epoch.to_le_bytes());
    head[20..24].copy_from_slice(&((durable_bytes / ALIGN as u64) as u32).to_le_bytes());
    head[24..28].copy_from_slice(&crc_before.to_le_bytes());
    let frame = &mut w.bytes[start..];
    let crc = crc_of(shared.seed, &head, &frame[FRAME_BYTES..]);
    frame[..28].copy_from_slice(&head);
    frame[28..32].copy_from_slice(&crc.to_le_bytes());
    *out = w.bytes;
    crc
}

/// The frame at the start of `bytes`, if there is one whose CRC agrees.
pub(super) fn parse(shared: Shared, bytes: &[u8]) -> Option<Frame<'_>> {
    let (head, rest) = bytes.split_at_checked(FRAME_BYTES)?;
    let r = &mut Reader::new(head);
    let payload_bytes = r.u32().ok()? as usize;
    let (number, zero) = (r.u16().ok()?, r.u16().ok()?);
    let seq = r.u64().ok()?;
    let epoch = r.u32().ok()?;
    let durable_bytes = u64::from(r.u32().ok()?) * ALIGN as u64;
    let (crc_before, crc) = (r.u32().ok()?, r.u32().ok()?);
    // Cheap refusals first: this is tried at every eighth byte behind a bad record.
    if payload_bytes > PAYLOAD_BYTES_MAX || zero != 0 || epoch != shared.epoch {
        return None;
    }
    let padded = rest.get(..payload_bytes.next_multiple_of(ALIGN))?;
    if crc_of(shared.seed, &head[..28], padded) != crc {
        return None;
    }
    let (payload, padding) = padded.split_at_checked(payload_bytes)?;
    if padding.iter().any(|b| *b != 0) {
        return None;
    }
    let len_bytes = FRAME_BYTES + padded.len();
    Some(Frame { number, seq, durable_bytes, crc_before, crc, payload, len_bytes })
}

fn crc_of(seed: u32, head: &[u8], padded: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, head), padded)
}
