//! The header of a segment: whose it is, which epoch, and where the segment before it ends. What lies behind that
//! end was never acknowledged, and is not read any more.

use crate::header::{FileKind, HEADER_BYTES, Header, HeaderError};
use dc_model::codec::{DecodeError, Reader, Writer};
use dc_model::{Attempt, JobUuid, SubtaskId};

/// Bytes of a segment's header.
pub const SEGMENT_HEADER_BYTES: usize = HEADER_BYTES + BEFORE_BYTES;

/// The longest segment that is written or read.
pub const SEGMENT_BYTES_MAX: u64 = 2 << 30;

const BEFORE_BYTES: usize = 24;

/// Where a segment ends, as the next one's header names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Before {
    /// Its valid length, in bytes; 0 when nothing in it counts, or when there is none.
    pub bytes: u64,
    /// Sequence number of the last record up to there; 0 when there is none.
    pub seq: u64,
    /// CRC of that record; 0 when there is none.
    pub crc: u32,
}

/// The bytes of the header of this epoch's segment. All of it is known before the file is read, so that records can
/// be told from rubbish even where the header is lost.
pub(super) fn encode(job: JobUuid, epoch: u32, before: Before) -> Vec<u8> {
    let mut more = Writer { bytes: Vec::with_capacity(BEFORE_BYTES) };
    more.u64(before.bytes);
    more.u64(before.seq);
    more.u32(before.crc);
    more.u32(0);
    let header = Header {
        job,
        subtask: SubtaskId(0),
        attempt: Attempt(0),
        step: u64::from(epoch),
        payload_bytes: 0,
        payload_crc: 0,
    };
    header.encode(FileKind::Journal, &more.bytes)
}

/// The CRC that seeds those of the segment's records: a record of another segment or job never agrees.
pub(super) fn seed(header: &[u8]) -> u32 {
    crc32c::crc32c(header)
}

/// Reads the header of the segment of this epoch and job.
pub(super) fn decode(job: JobUuid, epoch: u32, file: &[u8]) -> Result<Before, HeaderError> {
    let (header, more, _) = Header::decode(FileKind::Journal, file)?;
    header.check_job(job)?;
    if header.step != u64::from(epoch) {
        return Err(HeaderError::Misplaced);
    }
    let before = fields(more).map_err(HeaderError::Content)?;
    // No other bytes say the same: the rest of the header is zero.
    if file.get(..SEGMENT_HEADER_BYTES) != Some(&encode(job, epoch, before)[..]) {
        return Err(HeaderError::Damaged);
    }
    Ok(before)
}

fn fields(more: &[u8]) -> Result<Before, DecodeError> {
    let r = &mut Reader::new(more);
    let before = Before { bytes: r.u64()?, seq: r.u64()?, crc: r.u32()? };
    r.u32()?;
    r.end()?;
    Ok(before)
}
