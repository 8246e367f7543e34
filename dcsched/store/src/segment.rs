//! The header of a segment: whose it is, which number and epoch it has, and where the segment before it ends. What lies
//! behind that end was never acknowledged. Its records have the frames of `dc_spool::journal::frame`.

use crate::ClusterUuid;
use dc_model::codec::{DecodeError, Reader, Writer};
use dc_model::{Attempt, JobUuid, SubtaskId};
use dc_spool::header::{FileKind, HEADER_BYTES, Header, HeaderError};
use dc_spool::journal::Before;
use dc_spool::journal::frame::Shared;

/// Bytes of a segment's header.
pub const SEGMENT_HEADER_BYTES: usize = HEADER_BYTES + MORE_BYTES;

/// The longest record, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// The type of the store's own record, the first of each run: its epoch.
pub const TYPE_EPOCH: u16 = 1;

/// The first type that is the caller's; those below are the store's.
pub const TYPE_FIRST: u16 = 16;

/// The longest segment that is read.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 2 << 30;

const MORE_BYTES: usize = 24;

/// What a segment's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    /// Its number, as its name has it.
    pub number: u32,
    /// The run of the scheduler that wrote it.
    pub epoch: u32,
    /// Where the segment before it ends; its own first record is the one after.
    pub before: Before,
}

impl SegmentHeader {
    pub(crate) fn encode(&self, cluster: ClusterUuid) -> Vec<u8> {
        let mut more = Writer { bytes: Vec::with_capacity(MORE_BYTES) };
        more.u64(self.before.bytes);
        more.u64(self.before.seq);
        more.u32(self.before.crc);
        more.u32(self.epoch);
        let header = Header {
            job: JobUuid(cluster.0),
            subtask: SubtaskId(0),
            attempt: Attempt(0),
            step: u64::from(self.number),
            payload_bytes: 0,
            payload_crc: 0,
        };
        header.encode(FileKind::SchedulerJournal, &more.bytes)
    }

    /// What the frames of this segment share: a record of another one never agrees.
    pub(crate) fn shared(&self, cluster: ClusterUuid) -> Shared {
        Shared { seed: crc32c::crc32c(&self.encode(cluster)), epoch: self.epoch }
    }

    /// Reads the header of the segment of this number.
    pub(crate) fn decode(cluster: ClusterUuid, number: u32, file: &[u8]) -> Result<Self, HeaderError> {
        let (header, more, _) = Header::decode(FileKind::SchedulerJournal, file)?;
        header.check_job(JobUuid(cluster.0))?;
        if header.step != u64::from(number) {
            return Err(HeaderError::Misplaced);
        }
        let found = fields(number, more).map_err(HeaderError::Content)?;
        // No other bytes say the same: the rest of the header is zero.
        if file.get(..SEGMENT_HEADER_BYTES) != Some(&found.encode(cluster)[..]) {
            return Err(HeaderError::Damaged);
        }
        Ok(found)
    }
}

fn fields(number: u32, more: &[u8]) -> Result<SegmentHeader, DecodeError> {
    let r = &mut Reader::new(more);
    let before = Before { bytes: r.u64()?, seq: r.u64()?, crc: r.u32()? };
    let epoch = r.u32()?;
    r.end()?;
    Ok(SegmentHeader { number, epoch, before })
}

/// The payload of the record that opens an epoch.
pub(crate) fn epoch_payload(epoch: u32) -> Vec<u8> {
    let mut w = Writer::new();
    w.u32(epoch);
    w.u32(std::process::id());
    w.bytes
}
