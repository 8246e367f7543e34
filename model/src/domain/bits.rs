//! A mask packed as P4 has it: a row is padded to whole bytes, its first cell in the highest bit of its first byte.
//! So a file of a billion cells is taken over as it is, and no shape needs more memory than its file.

use super::DomainError;
use std::ops::Range;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bits {
    /// Bytes of a row.
    stride: usize,
    /// Rows one after another; padding bits are 0.
    bytes: Vec<u8>,
}

/// The bits of `columns` (not empty, within one word) in a word whose highest bit is column `first`.
fn span(first: u64, columns: &Range<u64>) -> u64 {
    let from = columns.start.saturating_sub(first).min(64) as u32;
    let to = columns.end.saturating_sub(first).min(64) as u32;
    let below = |n: u32| if n == 0 { 0 } else { u64::MAX << (64 - n) };
    below(to) & !below(from)
}

impl Bits {
    /// Bytes that a row of `nx` cells takes.
    pub(super) fn stride(nx: u32) -> usize {
        nx.div_ceil(8) as usize
    }

    /// No cell effective; an error when there is no memory for it.
    pub(super) fn new(nx: u32, ny: u32) -> Result<Self, DomainError> {
        let stride = Self::stride(nx);
        let bytes_all = stride as u64 * u64::from(ny);
        let none = DomainError::Memory { bytes: bytes_all };
        let len = usize::try_from(bytes_all).map_err(|_| none.clone())?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| none)?;
        bytes.resize(len, 0);
        Ok(Self { stride, bytes })
    }

    /// Rows as P4 has them; `bytes` are [`Bits::stride`] × rows. Bits beyond `nx` mean nothing and are cleared.
    pub(super) fn of_rows(nx: u32, mut bytes: Vec<u8>) -> Self {
        let stride = Self::stride(nx);
        let padding = stride as u32 * 8 - nx;
        if padding > 0 {
            for row in bytes.chunks_exact_mut(stride) {
                if let Some(last) = row.last_mut() {
                    *last &= 0xff << padding;
                }
            }
        }
        Self { stride, bytes }
    }

    pub(super) fn set(&mut self, x: u32, y: u32) {
        if let Some(byte) = self.bytes.get_mut(y as usize * self.stride + (x / 8) as usize) {
            *byte |= 0x80 >> (x % 8);
        }
    }

    /// Sets eight cells, from a column that is a multiple of 8 on: the leftmost in the highest bit.
    pub(super) fn set_eight(&mut self, x: u32, y: u32, eight: u8) {
        if let Some(byte) = self.bytes.get_mut(y as usize * self.stride + (x / 8) as usize) {
            *byte = eight;
        }
    }

    pub(super) fn get(&self, x: u32, y: u32) -> bool {
        let byte = self.bytes.get(y as usize * self.stride + (x / 8) as usize);
        byte.is_some_and(|byte| byte & (0x80 >> (x % 8)) != 0)
    }

    pub(super) fn count_all(&self) -> u64 {
        let (words, rest) = self.bytes.as_chunks::<8>();
        let whole: u64 = words.iter().map(|w| u64::from(u64::from_ne_bytes(*w).count_ones())).sum();
        whole + rest.iter().map(|b| u64::from(b.count_ones())).sum::<u64>()
    }

    /// 64 cells from column `64 * word` on, the leftmost in the highest bit; 0 beyond the row.
    pub(super) fn word(&self, y: u32, word: u32) -> u64 {
        let row = y as usize * self.stride;
        let at = row + word as usize * 8;
        let end = row + self.stride;
        if let Some(Ok(bytes)) = self.bytes.get(at..(at + 8).min(end)).map(<[u8; 8]>::try_from) {
            return u64::from_be_bytes(bytes);
        }
        let tail = self.bytes.get(at..end).unwrap_or_default();
        tail.iter().enumerate().fold(0, |w, (i, b)| w | u64::from(*b) << (56 - 8 * i))
    }

    /// Effective cells of row `y` within `columns`.
    pub(super) fn count(&self, y: u32, columns: Range<u32>) -> u64 {
        self.words(y, columns).map(|(_, bits)| u64::from(bits.count_ones())).sum()
    }

    /// The first of `columns` whose bit is `value`.
    pub(super) fn next(&self, y: u32, columns: Range<u32>, value: bool) -> Option<u32> {
        let wide = u64::from(columns.start)..u64::from(columns.end);
        self.words(y, columns).find_map(|(first, bits)| {
            let hits = if value { bits } else { !bits & span(first, &wide) };
            (hits != 0).then(|| first as u32 + hits.leading_zeros())
        })
    }

    /// The words that hold `columns`, each with its first column, cut down to `columns`.
    fn words(&self, y: u32, columns: Range<u32>) -> impl Iterator<Item = (u64, u64)> + '_ {
        let wide = u64::from(columns.start)..u64::from(columns.end);
        let words = if columns.is_empty() { 0..0 } else { columns.start / 64..columns.end.div_ceil(64) };
        words.map(move |w| {
            let first = u64::from(w) * 64;
            (first, self.word(y, w) & span(first, &wide))
        })
    }
}
