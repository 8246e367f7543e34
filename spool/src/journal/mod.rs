//! The journal: the decisions of a job, one record each, in one segment an epoch. A record counts when
//! [`Writer::sync`] has returned; what counts is found again by [`read_all`], byte for byte, or an error is.

mod codec;
mod error;
pub mod frame;
mod reader;
mod segment;
mod writer;

pub use codec::TYPES;
use dc_model::Record;
use dc_model::codec::{DecodeError, Writer as Bytes};
pub use error::JournalError;
pub use frame::{FRAME_BYTES, PAYLOAD_BYTES_MAX};
pub use reader::{Found, Replay, SegmentFound, Tail, read_all, read_found};
pub use segment::{Before, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES};
pub use writer::{FIRST_CHUNK_BYTES, RESERVE_BYTES, Writer};

/// A decision's number and payload, as a journal has them: for who keeps it elsewhere.
#[must_use]
pub fn to_payload(record: &Record) -> (u16, Vec<u8>) {
    let mut bytes = Bytes::new();
    codec::encode(record, &mut bytes);
    (codec::number(record), bytes.bytes)
}

/// A decision from its number and payload.
///
/// # Errors
/// When they are none.
pub fn from_payload(number: u16, payload: &[u8]) -> Result<Record, DecodeError> {
    codec::decode(number, payload)
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod page_tests;
#[cfg(any(test, feature = "fakes"))]
pub mod samples;
