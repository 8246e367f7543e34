//! The table of regions that opens a checkpoint's payload: which pieces of memory follow, in which order.

use crate::header::HeaderError;
use dc_model::codec::{DecodeError, Reader, Writer};

/// Bytes of one entry: id u32, zero u32, length u64.
pub(super) const ENTRY_BYTES: usize = 16;

/// The most regions of one checkpoint.
pub const REGIONS_MAX: u32 = 1 << 20;

/// A region to be written, borrowed from the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    /// The kernel's own number for it.
    pub id: u32,
    /// Its bytes.
    pub data: &'a [u8],
}

/// A region to be filled.
#[derive(Debug)]
pub struct RegionMut<'a> {
    /// The kernel's own number for it.
    pub id: u32,
    /// Where its bytes go; the length must be the one that was written.
    pub data: &'a mut [u8],
}

/// An entry of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The kernel's own number for the region.
    pub id: u32,
    /// Its length.
    pub bytes: u64,
}

/// The header's part of the kind's own.
pub(super) fn encode_count(count: u32) -> Vec<u8> {
    let mut w = Writer::new();
    w.u32(count);
    w.u32(0);
    w.bytes
}

pub(super) fn decode_count(more: &[u8]) -> Result<u32, HeaderError> {
    let read = || {
        let r = &mut Reader::new(more);
        let count = r.u32()?;
        let zero = r.u32()?;
        r.end()?;
        if zero != 0 || count > REGIONS_MAX {
            return Err(DecodeError::Impossible("number of regions"));
        }
        Ok(count)
    };
    read().map_err(HeaderError::Content)
}

pub(super) fn encode_table(entries: &[Entry]) -> Vec<u8> {
    let mut w = Writer { bytes: Vec::with_capacity(entries.len() * ENTRY_BYTES) };
    for entry in entries {
        w.u32(entry.id);
        w.u32(0);
        w.u64(entry.bytes);
    }
    w.bytes
}

/// Reads a table; the regions after it must fill exactly `data_bytes`.
pub(super) fn decode_table(bytes: &[u8], data_bytes: u64) -> Result<Vec<Entry>, HeaderError> {
    let read = || {
        let r = &mut Reader::new(bytes);
        let mut entries = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
        let mut sum = 0u64;
        while !r.rest().is_empty() {
            let (id, zero, bytes) = (r.u32()?, r.u32()?, r.u64()?);
            sum = sum.checked_add(bytes).ok_or(DecodeError::Impossible("length of a region"))?;
            if zero != 0 {
                return Err(DecodeError::Impossible("table of regions"));
            }
            entries.push(Entry { id, bytes });
        }
        if sum != data_bytes || repeated(entries.iter().map(|entry| entry.id)).is_some() {
            return Err(DecodeError::Impossible("table of regions"));
        }
        Ok(entries)
    };
    read().map_err(HeaderError::Content)
}

/// An id that comes twice.
pub(super) fn repeated(ids: impl Iterator<Item = u32>) -> Option<u32> {
    let mut ids: Vec<u32> = ids.collect();
    ids.sort_unstable();
    ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}
