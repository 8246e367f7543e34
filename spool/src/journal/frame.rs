//! What surrounds a record in its segment: enough to know it again wherever it lies, and whether it may be missing.
//! The scheduler's journal has the same frames around records of its own.
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
pub const ALIGN: usize = 8;

/// What all frames of a segment share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shared {
    /// CRC of the segment's header.
    pub seed: u32,
    /// The segment's epoch.
    pub epoch: u32,
}

/// A frame whose CRC agrees.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The record's type.
    pub number: u16,
    /// Its number in the journal.
    pub seq: u64,
    /// How much of the segment was durable when it was written, in bytes.
    pub durable_bytes: u64,
    /// CRC of the record before it.
    pub crc_before: u32,
    /// Its own.
    pub crc: u32,
    /// The record.
    pub payload: &'a [u8],
    /// Where the next frame begins, relative to this one.
    pub len_bytes: usize,
}

/// Where a record stands among the others.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its number.
    pub seq: u64,
    /// How much of its segment is durable, in bytes; a multiple of [`ALIGN`], below 32 GiB.
    pub durable_bytes: u64,
    /// CRC of the record before it; 0 for the first.
    pub crc_before: u32,
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
    let place = Place { seq, durable_bytes, crc_before };
    put(out, shared, place, codec::number(record), PAYLOAD_BYTES_MAX, |w| codec::encode(record, w))
}

/// Appends a frame around what `write` appends; gives back its CRC.
///
/// # Panics
/// When that is longer than `payload_bytes_max`.
pub fn put(
    out: &mut Vec<u8>,
    shared: Shared,
    place: Place,
    number: u16,
    payload_bytes_max: usize,
    write: impl FnOnce(&mut Writer),
) -> u32 {
    let start = out.len();
    let mut w = Writer { bytes: std::mem::take(out) };
    w.raw(&[0; FRAME_BYTES]);
    write(&mut w);
    let payload_bytes = w.bytes.len() - start - FRAME_BYTES;
    assert!(payload_bytes <= payload_bytes_max, "a record of {payload_bytes} bytes");
    // From the frame's own start: a buffer's beginning need not be a multiple of 8 bytes into its segment.
    let padded = start + (w.bytes.len() - start).next_multiple_of(ALIGN);
    w.bytes.resize(padded, 0);

    let mut head = [0; FRAME_BYTES - 4];
    head[0..4].copy_from_slice(&(payload_bytes as u32).to_le_bytes());
    head[4..6].copy_from_slice(&number.to_le_bytes());
    head[8..16].copy_from_slice(&place.seq.to_le_bytes());
    head[16..20].copy_from_slice(&shared.epoch.to_le_bytes());
    head[20..24].copy_from_slice(&((place.durable_bytes / ALIGN as u64) as u32).to_le_bytes());
    head[24..28].copy_from_slice(&place.crc_before.to_le_bytes());
    let frame = &mut w.bytes[start..];
    let crc = crc_of(shared.seed, &head, &frame[FRAME_BYTES..]);
    frame[..28].copy_from_slice(&head);
    frame[28..32].copy_from_slice(&crc.to_le_bytes());
    *out = w.bytes;
    crc
}

/// The frame at the start of `bytes`, if there is one whose CRC agrees.
pub(super) fn parse(shared: Shared, bytes: &[u8]) -> Option<Frame<'_>> {
    parse_within(shared, PAYLOAD_BYTES_MAX, bytes)
}

/// The frame at the start of `bytes`, if there is one with a payload of at most so many bytes whose CRC agrees.
#[must_use]
pub fn parse_within(shared: Shared, payload_bytes_max: usize, bytes: &[u8]) -> Option<Frame<'_>> {
    let (head, rest) = bytes.split_at_checked(FRAME_BYTES)?;
    let r = &mut Reader::new(head);
    let payload_bytes = r.u32().ok()? as usize;
    let (number, zero) = (r.u16().ok()?, r.u16().ok()?);
    let seq = r.u64().ok()?;
    let epoch = r.u32().ok()?;
    let durable_bytes = u64::from(r.u32().ok()?) * ALIGN as u64;
    let (crc_before, crc) = (r.u32().ok()?, r.u32().ok()?);
    // Cheap refusals first: this is tried at every eighth byte behind a bad record.
    if payload_bytes > payload_bytes_max || zero != 0 || epoch != shared.epoch {
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

/// The frames from `at` on, at every place where one can lie, whose CRC agrees and whose number is above `seq`: behind a
/// bad record, one that says that more than `at` bytes were durable proves that the bad one had been acknowledged.
pub fn behind(
    shared: Shared,
    payload_bytes_max: usize,
    segment: &[u8],
    at: usize,
    seq: u64,
) -> impl Iterator<Item = (usize, Frame<'_>)> {
    // Frames lie at multiples of 8 bytes, as the header and every frame have such a length.
    (at..segment.len()).step_by(ALIGN).filter_map(move |place| {
        let frame = parse_within(shared, payload_bytes_max, segment.get(place..)?)?;
        (frame.seq > seq).then_some((place, frame))
    })
}

fn crc_of(seed: u32, head: &[u8], padded: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, head), padded)
}
