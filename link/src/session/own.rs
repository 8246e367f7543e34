//! The frames of the link itself: greeting, joining, parting.

use super::LinkError;
use crate::frames::{FrameError, Head, Party, cap};
use crate::join::{ANSWER_BYTES_MAX, REQUEST_BYTES_MAX};

pub(super) const HELLO: u8 = 0xf0;
pub(super) const JOIN: u8 = 0xf1;
pub(super) const JOINED: u8 = 0xf2;
pub(super) const JOIN_REFUSED: u8 = 0xf3;
pub(super) const BYE: u8 = 0xf4;

const MAGIC: &[u8; 4] = b"dc\0\x01";
/// Of another version it may be longer than ours.
const HELLO_BYTES_MAX: u32 = 64;
/// The longest text of a parting, in bytes.
pub(super) const BYE_BYTES_MAX: usize = 256;

/// Whether one of the link's own frames may come now from this party. `joins`: this side waits for the answer to its
/// own request.
pub(super) fn check(head: Head, party: Party, joins: bool) -> Result<(), FrameError> {
    let wrong = FrameError::Party { kind: head.kind, party };
    let bytes_max = match head.kind {
        HELLO => HELLO_BYTES_MAX,
        // One that is a peer already may have lost the answer, and is told.
        JOIN if matches!(party, Party::Joiner | Party::Node | Party::Client) => REQUEST_BYTES_MAX as u32,
        JOINED if joins => ANSWER_BYTES_MAX as u32,
        JOIN_REFUSED if joins => 1,
        BYE => BYE_BYTES_MAX as u32,
        JOIN | JOINED | JOIN_REFUSED => return Err(wrong),
        kind => return Err(FrameError::Kind(kind)),
    };
    cap(head.kind, head.body_bytes, bytes_max)
}

pub(super) fn hello(version: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&version.to_le_bytes());
}

/// Reads a greeting. One of another version is told as such, whatever else it has; one of ours must end where ours does.
pub(super) fn read_hello(body: &[u8], ours: u16) -> Result<(), LinkError> {
    let rest = body.strip_prefix(MAGIC).ok_or(LinkError::Hello)?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(LinkError::Hello)?;
    let theirs = u16::from_le_bytes(*version);
    if theirs != ours {
        return Err(LinkError::Version { ours, theirs });
    }
    if rest.is_empty() { Ok(()) } else { Err(LinkError::Hello) }
}
