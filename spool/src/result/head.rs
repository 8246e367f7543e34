//! What a result's header says beyond the common part: type, layout, counts.

use super::{Dtype, Layout};
use crate::header::HeaderError;
use dc_model::codec::{DecodeError, Reader, Writer};
use thiserror::Error;

/// What a result holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The type of a value.
    pub dtype: Dtype,
    /// The order of the values.
    pub layout: Layout,
    /// Values a cell has; at least 1.
    pub values_per_cell: u32,
    /// Values in all; a multiple of [`Head::values_per_cell`].
    pub values: u64,
}

/// A combination that is no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum HeadError {
    /// No cell has no values.
    #[error("a result needs at least one value a cell")]
    NoValues,
    /// Bytes are bytes.
    #[error("the layout bytes goes with type u1 and one value a cell")]
    NotBytes,
    /// The data do not divide evenly into values.
    #[error("{bytes} bytes are not a whole number of {dtype} values")]
    PartOfValue {
        /// Length of the data.
        bytes: u64,
        /// Their type.
        dtype: Dtype,
    },
    /// The values do not divide evenly among cells.
    #[error("{values} values are not a whole number of cells with {values_per_cell} values each")]
    PartOfCell {
        /// Values in all.
        values: u64,
        /// Values of a cell.
        values_per_cell: u32,
    },
}

impl Head {
    /// For data of a length in bytes.
    ///
    /// # Errors
    /// When they cannot be that.
    pub fn new(dtype: Dtype, layout: Layout, values_per_cell: u32, bytes: u64) -> Result<Self, HeadError> {
        let value_bytes = dtype.bytes() as u64;
        if values_per_cell == 0 {
            return Err(HeadError::NoValues);
        }
        if layout == Layout::Bytes && (dtype != Dtype::U1 || values_per_cell != 1) {
            return Err(HeadError::NotBytes);
        }
        if !bytes.is_multiple_of(value_bytes) {
            return Err(HeadError::PartOfValue { bytes, dtype });
        }
        let values = bytes / value_bytes;
        if !values.is_multiple_of(u64::from(values_per_cell)) {
            return Err(HeadError::PartOfCell { values, values_per_cell });
        }
        Ok(Self { dtype, layout, values_per_cell, values })
    }

    /// Cells it has values for; of [`Layout::Bytes`], bytes.
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.values / u64::from(self.values_per_cell.max(1))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(self.dtype as u8);
        w.u8(self.layout as u8);
        w.u16(0);
        w.u32(self.values_per_cell);
        w.u64(self.values);
        w.bytes
    }

    /// Reads it; `payload_bytes` must be what it says.
    pub(super) fn decode(more: &[u8], payload_bytes: u64) -> Result<Self, HeaderError> {
        let fields = || {
            let r = &mut Reader::new(more);
            let dtype = Dtype::from_number(r.u8()?).ok_or(DecodeError::Unknown("type of values"))?;
            let layout = Layout::from_number(r.u8()?).ok_or(DecodeError::Unknown("layout"))?;
            let zero = r.u16()?;
            let (values_per_cell, values) = (r.u32()?, r.u64()?);
            r.end()?;
            let head = Self::new(dtype, layout, values_per_cell, payload_bytes);
            match head {
                Ok(head) if zero == 0 && head.values == values => Ok(head),
                _ => Err(DecodeError::Impossible("number of values")),
            }
        };
        fields().map_err(HeaderError::Content)
    }
}
