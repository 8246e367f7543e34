//! A snapshot: the scheduler's state as it was after one record, in chunks with a checksum each, and a digest of all of
//! it. It is not there before it is whole, and is never changed.

use crate::{ClusterUuid, layout};
use dc_model::codec::{DecodeError, Reader, Writer};
use dc_model::{Attempt, JobUuid, SubtaskId};
use dc_spool::files::{Dir, FileError};
use dc_spool::header::{FileKind, HEADER_BYTES, Header, HeaderError};
use thiserror::Error;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Bytes of a snapshot's header.
pub const SNAPSHOT_HEADER_BYTES: usize = HEADER_BYTES + MORE_BYTES;

/// State in one chunk, in bytes; the last has what is left.
pub const CHUNK_BYTES: usize = 1 << 20;

/// Bytes before a chunk's state.
pub const CHUNK_HEAD_BYTES: usize = 16;

/// The largest state that is written or read: 4 GiB.
pub const STATE_BYTES_MAX: u64 = 4 << 30;

const MORE_BYTES: usize = 32;
const ALIGN: usize = 8;

/// What a snapshot stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stands {
    /// The snapshot's number.
    pub number: u32,
    /// The last record whose effect is in it; 0 for none.
    pub seq: u64,
    /// CRC of that record.
    pub crc: u32,
    /// The epoch in which it was written.
    pub epoch: u32,
}

/// A snapshot that was read and is whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Snapshot {
    pub stands: Stands,
    pub state: Vec<u8>,
    /// XXH3-128 of the state.
    pub digest: u128,
    pub file_bytes: u64,
}

/// Why a snapshot is passed over.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub(crate) enum Unreadable {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("chunk {0} is damaged")]
    Chunk(u32),
    #[error("it has bytes after its last chunk")]
    Trailing,
    #[error("its digest is not that of its state")]
    Digest,
}

fn header(cluster: ClusterUuid, stands: Stands, state_bytes: u64, state_crc: u32, digest: u128) -> Vec<u8> {
    let mut more = Writer { bytes: Vec::with_capacity(MORE_BYTES) };
    more.u64(stands.seq);
    more.u32(stands.crc);
    more.u32(stands.epoch);
    more.raw(&digest.to_le_bytes());
    let header = Header {
        job: JobUuid(cluster.0),
        subtask: SubtaskId(0),
        attempt: Attempt(0),
        step: u64::from(stands.number),
        payload_bytes: state_bytes,
        payload_crc: state_crc,
    };
    header.encode(FileKind::Snapshot, &more.bytes)
}

/// Writes a snapshot by the file rules; when this returns it is durable under its name.
pub(crate) fn write(
    dir: &Dir,
    cluster: ClusterUuid,
    stands: Stands,
    state: &[u8],
) -> Result<u128, FileError> {
    let digest = xxh3_128(state);
    let head = header(cluster, stands, state.len() as u64, crc32c::crc32c(state), digest);
    let mut file = dir.new_file(layout::FILE_MODE)?;
    let chunks = state.len().div_ceil(CHUNK_BYTES);
    file.allocate((head.len() + state.len().next_multiple_of(ALIGN) + chunks * CHUNK_HEAD_BYTES) as u64)?;
    file.append(&head)?;
    let seed = crc32c::crc32c(&head);
    let mut bytes = Vec::new();
    for (index, chunk) in (0u32..).zip(state.chunks(CHUNK_BYTES)) {
        bytes.clear();
        bytes.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&index.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(chunk);
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
        let crc = chunk_crc(seed, &bytes);
        if let Some(place) = bytes.get_mut(12..16) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        file.append(&bytes)?;
    }
    file.commit_noreplace(layout::snapshot(stands.number))?;
    Ok(digest)
}

/// Of a chunk as it is in the file: all but the four bytes of the CRC itself.
fn chunk_crc(seed: u32, chunk: &[u8]) -> u32 {
    let head = chunk.get(..12).unwrap_or_default();
    let rest = chunk.get(CHUNK_HEAD_BYTES..).unwrap_or_default();
    crc32c::crc32c_append(crc32c::crc32c_append(seed, head), rest)
}

/// Reads the snapshot of this number, whole.
pub(crate) fn read(dir: &Dir, cluster: ClusterUuid, number: u32) -> Result<Snapshot, Unreadable> {
    let file = dir.open_file(layout::snapshot(number))?;
    let head = file.read_front(SNAPSHOT_HEADER_BYTES as u64)?;
    let (header, stands, digest) = decode_header(cluster, number, &head)?;
    let seed = crc32c::crc32c(&head);
    let (mut state, mut hasher) = (Vec::new(), Xxh3::new());
    let mut file_bytes = head.len() as u64;
    let (mut left, mut index) = (header.payload_bytes, 0u32);
    let mut chunk = Vec::new();
    while left > 0 {
        let len = left.min(CHUNK_BYTES as u64) as usize;
        let whole = CHUNK_HEAD_BYTES + len.next_multiple_of(ALIGN);
        if file_bytes + whole as u64 > file.len_bytes() {
            return Err(Unreadable::Chunk(index));
        }
        chunk.resize(whole, 0);
        file.read_exact_at(&mut chunk, file_bytes)?;
        let part = decode_chunk(seed, index, len, &chunk).ok_or(Unreadable::Chunk(index))?;
        hasher.update(part);
        // By what is there, a chunk at a time: a damaged length asks for no memory.
        state.extend_from_slice(part);
        file_bytes += whole as u64;
        left -= len as u64;
        index += 1;
    }
    if file.len_bytes() != file_bytes {
        return Err(Unreadable::Trailing);
    }
    if hasher.digest128() != digest || crc32c::crc32c(&state) != header.payload_crc {
        return Err(Unreadable::Digest);
    }
    Ok(Snapshot { stands, state, digest, file_bytes })
}

fn decode_header(
    cluster: ClusterUuid,
    number: u32,
    head: &[u8],
) -> Result<(Header, Stands, u128), HeaderError> {
    let (found, more, _) = Header::decode(FileKind::Snapshot, head)?;
    found.check_job(JobUuid(cluster.0))?;
    if found.step != u64::from(number) {
        return Err(HeaderError::Misplaced);
    }
    let (stands, digest) = fields(number, more).map_err(HeaderError::Content)?;
    let again = header(cluster, stands, found.payload_bytes, found.payload_crc, digest);
    if again != head || found.payload_bytes > STATE_BYTES_MAX {
        return Err(HeaderError::Damaged);
    }
    Ok((found, stands, digest))
}

fn fields(number: u32, more: &[u8]) -> Result<(Stands, u128), DecodeError> {
    let r = &mut Reader::new(more);
    let stands = Stands { number, seq: r.u64()?, crc: r.u32()?, epoch: r.u32()? };
    let digest = u128::from_le_bytes(r.array()?);
    r.end()?;
    Ok((stands, digest))
}

fn decode_chunk(seed: u32, index: u32, len: usize, chunk: &[u8]) -> Option<&[u8]> {
    let r = &mut Reader::new(chunk);
    let head = (r.u32().ok()?, r.u32().ok()?, r.u32().ok()?);
    let crc = r.u32().ok()?;
    let (state, padding) = r.rest().split_at_checked(len)?;
    let good =
        head == (len as u32, index, 0) && crc == chunk_crc(seed, chunk) && padding.iter().all(|b| *b == 0);
    good.then_some(state)
}
