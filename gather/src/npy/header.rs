//! The header of an `.npy` file as results have it: little-endian, in C order. How one is read is `dc_model::npy`'s.

use super::{NpyError, data_bytes};
use crate::Dtype;
use crate::value;
use dc_model::npy::{self as bytes, DIMENSIONS_MAX, FIRST_BYTES, HeaderError, MAGIC};
use std::fmt::Write as _;
use std::io::Read;

/// The data of a file starts at a multiple of this.
pub const HEADER_ALIGN_BYTES: usize = 64;

/// What the header says of the array.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Type of each value.
    pub dtype: Dtype,
    /// Length of each axis, the slowest first.
    pub shape: Vec<u64>,
}

/// The header as bytes, version 1.0, padded so that the data after it is aligned.
///
/// # Errors
/// [`HeaderError::Shape`] when the array's bytes cannot be counted, or there are too many axes.
pub fn encode(header: &Header) -> Result<Vec<u8>, NpyError> {
    if header.shape.len() > DIMENSIONS_MAX || data_bytes(header.dtype, &header.shape).is_none() {
        return Err(HeaderError::Shape.into());
    }
    let mut shape = String::new();
    for (i, n) in header.shape.iter().enumerate() {
        let _ = write!(shape, "{}{n}", if i == 0 { "" } else { ", " });
    }
    if header.shape.len() == 1 {
        shape.push(',');
    }
    let text = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': ({shape}), }}",
        value::descr(header.dtype)
    );
    const FRONT_BYTES: usize = MAGIC.len() + 2 + 2;
    let total = (FRONT_BYTES + text.len() + 1).next_multiple_of(HEADER_ALIGN_BYTES);
    let length = u16::try_from(total - FRONT_BYTES).map_err(|_| HeaderError::Shape)?;

    let mut bytes = Vec::with_capacity(total);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(total - 1, b' ');
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a header off the front of `input`; the array's data follow there.
///
/// # Errors
/// Every [`NpyError`] but those of the data.
pub fn try_decode(input: &mut impl Read) -> Result<Header, NpyError> {
    let mut first = [0; FIRST_BYTES];
    read_exact(input, &mut first)?;
    let mut prefix = first.to_vec();
    prefix.resize(bytes::prefix_bytes(&first)?, 0);
    read_exact(input, &mut prefix[FIRST_BYTES..])?;
    let mut text = vec![0; bytes::dictionary_bytes(&prefix)?];
    read_exact(input, &mut text)?;
    let header = bytes::Header::parse(&text)?;
    if header.fortran_order {
        return Err(NpyError::FortranOrder);
    }
    let dtype = value::from_descr(&header.descr_text).ok_or(NpyError::Type(header.descr_text))?;
    data_bytes(dtype, &header.shape).ok_or(HeaderError::Shape)?;
    Ok(Header { dtype, shape: header.shape })
}

fn read_exact(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), NpyError> {
    input.read_exact(bytes).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => NpyError::Length("shorter"),
        _ => NpyError::Io(e),
    })
}
