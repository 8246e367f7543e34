//! A cost file's bytes, as `docs/cost-format.md` draws them.

use super::{CostEntry, CostKey, KernelCost};
use crate::hash::ContentHash;
use dc_model::CostSums;
use dc_model::codec::{DecodeError, Reader, Writer};

/// The most entries in a file.
pub const ENTRIES_MAX: usize = 64;

/// The longest file that is written or read.
pub const COST_BYTES_MAX: u64 = (HEAD_BYTES + ENTRIES_MAX * ENTRY_BYTES + 4) as u64;

/// The version that is written, and the newest that is read.
pub(super) const VERSION: u16 = 1;

pub(super) const MAGIC: [u8; 8] = *b"\x89dcCST\x1a\n";
pub(super) const HEAD_BYTES: usize = 32;
pub(super) const ENTRY_BYTES: usize = 104;

/// Why a file is not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// A newer dc's, of this version.
    Newer(u16),
    /// No cost file, of another kernel, cut or changed.
    Damaged,
}

impl From<DecodeError> for Refused {
    fn from(_: DecodeError) -> Self {
        Self::Damaged
    }
}

/// The whole file.
#[must_use]
pub fn encode(cost: &KernelCost) -> Vec<u8> {
    let mut w = Writer { bytes: Vec::with_capacity(HEAD_BYTES + cost.entries.len() * ENTRY_BYTES + 4) };
    w.raw(&MAGIC);
    w.u16(VERSION);
    w.u16(0);
    w.u32(cost.entries.len().min(ENTRIES_MAX) as u32);
    w.raw(&cost.kernel.0.to_be_bytes());
    for CostEntry { key, last_s, sums } in cost.entries.iter().take(ENTRIES_MAX) {
        w.u64(key.node);
        w.u64(key.arguments);
        w.u64(*last_s);
        w.u64(sums.weight);
        w.u32(sums.shift);
        w.u32(0);
        [sums.x, sums.y, sums.xx, sums.xy].iter().for_each(|sum| w.raw(&sum.to_le_bytes()));
    }
    w.u32(crc32c::crc32c(&w.bytes));
    w.bytes
}

/// Reads the whole file of a kernel.
///
/// # Errors
/// [`Refused`].
pub fn decode(kernel: ContentHash, bytes: &[u8]) -> Result<KernelCost, Refused> {
    let r = &mut Reader::new(bytes);
    if r.array::<8>()? != MAGIC {
        return Err(Refused::Damaged);
    }
    let version = r.u16()?;
    if version > VERSION {
        // Before the CRC: a newer dc may check its files in another way.
        return Err(Refused::Newer(version));
    }
    let (content, crc) = bytes.split_last_chunk::<4>().ok_or(Refused::Damaged)?;
    if version == 0 || crc32c::crc32c(content).to_le_bytes() != *crc {
        return Err(Refused::Damaged);
    }
    let (zero, count) = (r.u16()?, r.u32()? as usize);
    let found = ContentHash(u128::from_be_bytes(r.array()?));
    if zero != 0 || count > ENTRIES_MAX || found != kernel || r.rest().len() != count * ENTRY_BYTES + 4 {
        return Err(Refused::Damaged);
    }
    let mut cost = KernelCost::new(kernel);
    for _ in 0..count {
        let entry = get_entry(r)?;
        if !entry.sums.is_possible() || cost.entries.last().is_some_and(|last| last.key >= entry.key) {
            return Err(Refused::Damaged);
        }
        cost.entries.push(entry);
    }
    Ok(cost)
}

fn get_entry(r: &mut Reader<'_>) -> Result<CostEntry, Refused> {
    let key = CostKey { node: r.u64()?, arguments: r.u64()? };
    let (last_s, weight) = (r.u64()?, r.u64()?);
    let (shift, zero) = (r.u32()?, r.u32()?);
    if zero != 0 {
        return Err(Refused::Damaged);
    }
    let mut sum = || r.array().map(u128::from_le_bytes);
    let sums = CostSums { shift, weight, x: sum()?, y: sum()?, xx: sum()?, xy: sum()? };
    Ok(CostEntry { key, last_s, sums })
}
