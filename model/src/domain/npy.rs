//! Domains in numpy's `.npy` files: an array of rows and columns, in C or Fortran order, of either byte order. Truth
//! values are a mask, whole numbers weights. Read as a stream: of a mask only its bits are held.

use super::bits::Bits;
use super::weights::Weights;
use super::{Domain, DomainError, Meaning, WEIGHT_MAX, check_sides};
use crate::npy::{Descr, FIRST_BYTES, Header, HeaderError, Kind, dictionary_bytes, prefix_bytes};

/// Takes the bytes of a file as they come.
#[derive(Debug)]
pub(super) struct Decoder {
    meaning: Meaning,
    /// Of the whole file.
    len_bytes: u64,
    /// What there is of the header.
    head: Vec<u8>,
    grid: Option<Grid>,
}

impl Decoder {
    pub(super) fn new(meaning: Meaning, len_bytes: u64) -> Self {
        Self { meaning, len_bytes, head: Vec::new(), grid: None }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), DomainError> {
        while self.grid.is_none() {
            let wanted = self.header_bytes()?;
            let missing = wanted.saturating_sub(self.head.len());
            if missing == 0 {
                self.grid = Some(self.try_begin()?);
                break;
            }
            let (now, later) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
            self.head.extend_from_slice(now);
            bytes = later;
            if now.is_empty() {
                return Ok(());
            }
        }
        match &mut self.grid {
            Some(grid) => grid.push(bytes),
            None => Ok(()),
        }
    }

    pub(super) fn finish(self) -> Result<Domain, DomainError> {
        match self.grid {
            Some(grid) => grid.finish(),
            None => Err(DomainError::HeaderCut { what: "array" }),
        }
    }

    /// Bytes of the header, as far as what is there tells.
    fn header_bytes(&self) -> Result<usize, HeaderError> {
        let Some(first) = self.head.first_chunk::<FIRST_BYTES>() else { return Ok(FIRST_BYTES) };
        let prefix = prefix_bytes(first)?;
        match self.head.get(..prefix) {
            Some(all) => Ok(prefix + dictionary_bytes(all)?),
            None => Ok(prefix),
        }
    }

    /// The header is whole: the file has as many bytes as it says, or nothing is allocated.
    fn try_begin(&self) -> Result<Grid, DomainError> {
        let prefix = self.head.first_chunk::<FIRST_BYTES>().map_or(Ok(0), prefix_bytes)?;
        let Header { descr_text, fortran_order, shape } =
            Header::parse(self.head.get(prefix..).unwrap_or_default())?;
        let descr = Descr::parse(&descr_text).ok_or(HeaderError::Type(descr_text))?;
        let [rows, columns] = shape[..] else { return Err(DomainError::Axes { axes: shape.len() }) };
        check_sides(columns, rows)?;
        // Checked just now.
        let (nx, ny) = (columns as u32, rows as u32);
        let cells = u64::from(nx) * u64::from(ny);
        let expected = cells.checked_mul(u64::from(descr.bytes)).ok_or(HeaderError::Shape)?;
        let found = self.len_bytes.saturating_sub(self.head.len() as u64);
        if found < expected {
            return Err(DomainError::Truncated { nx, ny, expected, found });
        }
        if found > expected {
            return Err(DomainError::Trailing { nx, ny, extra: found - expected });
        }
        let as_mask = match self.meaning {
            Meaning::AsFound => descr.kind == Kind::Bool,
            Meaning::Mask => true,
            Meaning::Weights if descr.kind == Kind::Bool => return Err(DomainError::NoWeights),
            Meaning::Weights => false,
        };
        let cells = if as_mask {
            Cells::Mask(Bits::new(nx, ny)?)
        } else {
            let bytes = cells.saturating_mul(2);
            let count = usize::try_from(cells).map_err(|_| DomainError::Memory { bytes })?;
            Cells::Weights(Weights::zero(count)?)
        };
        Ok(Grid { nx, ny, descr, fortran_order, cells, x: 0, y: 0, cut: Vec::new() })
    }
}

#[derive(Debug)]
enum Cells {
    Mask(Bits),
    Weights(Weights),
}

/// The array on its way in.
#[derive(Debug)]
struct Grid {
    nx: u32,
    ny: u32,
    descr: Descr,
    fortran_order: bool,
    cells: Cells,
    /// Where the next value goes; y is ny, or in Fortran order x is nx, after the last.
    x: u32,
    y: u32,
    /// The first bytes of a value that goes on in the next piece.
    cut: Vec<u8>,
}

impl Grid {
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), DomainError> {
        let size = usize::from(self.descr.bytes);
        if !self.cut.is_empty() {
            let (now, later) = bytes.split_at_checked(size - self.cut.len()).unwrap_or((bytes, &[]));
            self.cut.extend_from_slice(now);
            bytes = later;
            if self.cut.len() < size {
                return Ok(());
            }
            let value = std::mem::take(&mut self.cut);
            self.put(&value)?;
        }
        while let (1, false, Cells::Mask(_)) = (size, self.fortran_order, &self.cells) {
            let rest = self.put_eights(bytes);
            let Some((one, rest)) = rest.split_at_checked(1) else { return Ok(()) };
            self.put(one)?;
            bytes = rest;
        }
        let values = bytes.chunks_exact(size);
        self.cut.extend_from_slice(values.remainder());
        for value in values {
            self.put(value)?;
        }
        Ok(())
    }

    /// Takes whole eights of a row from the front, eight truth values to a byte: what masks of a billion cells live on.
    fn put_eights<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Cells::Mask(bits) = &mut self.cells else { return bytes };
        if !self.x.is_multiple_of(8) || self.y >= self.ny {
            return bytes;
        }
        let whole = ((self.nx - self.x) / 8 * 8) as usize;
        let (row, _) = bytes.split_at_checked(whole).unwrap_or((bytes, &[]));
        let (eights, _) = row.as_chunks::<8>();
        for eight in eights {
            let packed = eight.iter().fold(0u8, |all, byte| all << 1 | u8::from(*byte != 0));
            bits.set_eight(self.x, self.y, packed);
            self.x += 8;
        }
        if self.x == self.nx {
            (self.x, self.y) = (0, self.y + 1);
        }
        bytes.get(eights.len() * 8..).unwrap_or_default()
    }

    /// Puts the next value, which is whole.
    fn put(&mut self, bytes: &[u8]) -> Result<(), DomainError> {
        let (x, y) = (self.x, self.y);
        if x >= self.nx || y >= self.ny {
            // The file has grown while it was read.
            return Err(DomainError::Trailing { nx: self.nx, ny: self.ny, extra: bytes.len() as u64 });
        }
        let value = Value::of(self.descr, bytes);
        match &mut self.cells {
            Cells::Mask(bits) => {
                if value.is_effective().ok_or(DomainError::Nan { x, y })? {
                    bits.set(x, y);
                }
            }
            Cells::Weights(weights) => {
                let weight = value.weight().ok_or_else(|| DomainError::Weight {
                    x,
                    y,
                    found: value.to_string(),
                    remedy: value.remedy(),
                })?;
                if weight > 0 {
                    weights.try_set(y as usize * self.nx as usize + x as usize, weight)?;
                }
            }
        }
        if self.fortran_order {
            (self.x, self.y) = if y + 1 == self.ny { (x + 1, 0) } else { (x, y + 1) };
        } else {
            (self.x, self.y) = if x + 1 == self.nx { (0, y + 1) } else { (x + 1, y) };
        }
        Ok(())
    }

    fn finish(self) -> Result<Domain, DomainError> {
        let (nx, ny) = (self.nx, self.ny);
        let done = if self.fortran_order {
            u64::from(self.x) * u64::from(ny) + u64::from(self.y)
        } else {
            u64::from(self.y) * u64::from(nx) + u64::from(self.x)
        };
        let size = u64::from(self.descr.bytes);
        let (expected, found) = (u64::from(nx) * u64::from(ny) * size, done * size + self.cut.len() as u64);
        if found != expected {
            return Err(DomainError::Truncated { nx, ny, expected, found });
        }
        match self.cells {
            Cells::Mask(bits) => Domain::of_bits(nx, ny, bits),
            Cells::Weights(weights) => Domain::of_weights(nx, ny, weights),
        }
    }
}

/// One value of an array.
#[derive(Clone, Copy, Debug)]
enum Value {
    Integer(i128),
    Float(f64),
}

impl Value {
    /// From its bytes, as many as its type has.
    fn of(descr: Descr, bytes: &[u8]) -> Self {
        let join = |all: u64, byte: &u8| all << 8 | u64::from(*byte);
        let bits =
            if descr.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) };
        let unused = 64 - 8 * u32::from(descr.bytes);
        match (descr.kind, descr.bytes) {
            (Kind::Bool | Kind::Unsigned, _) => Self::Integer(i128::from(bits)),
            (Kind::Signed, _) => Self::Integer(i128::from((bits << unused) as i64 >> unused)),
            (Kind::Float, 4) => Self::Float(f64::from(f32::from_bits(bits as u32))),
            (Kind::Float, _) => Self::Float(f64::from_bits(bits)),
        }
    }

    /// Whether it is not 0; nothing for NaN.
    fn is_effective(self) -> Option<bool> {
        match self {
            Self::Integer(n) => Some(n != 0),
            Self::Float(v) => (!v.is_nan()).then_some(v != 0.0),
        }
    }

    /// A float is a weight too when it is a whole number.
    fn weight(self) -> Option<u32> {
        match self {
            Self::Integer(n) => u32::try_from(n).ok(),
            Self::Float(v) => {
                let whole = (0.0..=f64::from(WEIGHT_MAX)).contains(&v) && v.fract() == 0.0;
                whole.then_some(v as u32)
            }
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Float(v) if v.is_nan() => ": put 0 into the place of NaN",
            Self::Float(_) => ": round them, or give mask:FILE, which takes every value but 0 alike",
            Self::Integer(_) => "",
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(n) => n.fmt(f),
            Self::Float(v) => v.fmt(f),
        }
    }
}

#[cfg(test)]
#[path = "npy_tests.rs"]
mod tests;
