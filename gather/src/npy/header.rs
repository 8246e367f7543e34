//! The header of an `.npy` file: magic bytes, version, length, and a dictionary in Python's spelling.

use super::{NpyError, data_bytes};
use crate::Dtype;
use crate::value;
use std::fmt::Write as _;
use std::io::Read;

/// The data of a file starts at a multiple of this.
pub const HEADER_ALIGN_BYTES: usize = 64;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest dictionary accepted. Arrays of plain numbers need some eighty bytes.
const DICTIONARY_BYTES_MAX: u32 = 64 << 10;
const DIMENSIONS_MAX: usize = 32;

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
/// [`NpyError::Shape`] when the array's bytes cannot be counted, or there are too many axes.
pub fn encode(header: &Header) -> Result<Vec<u8>, NpyError> {
    if header.shape.len() > DIMENSIONS_MAX || data_bytes(header.dtype, &header.shape).is_none() {
        return Err(NpyError::Shape);
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
    let length = u16::try_from(total - FRONT_BYTES).map_err(|_| NpyError::Shape)?;

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
    let mut front = [0; 8];
    read_exact(input, &mut front)?;
    if front[..6] != MAGIC[..] {
        return Err(NpyError::Magic);
    }
    let length = match (front[6], front[7]) {
        (1, 0) => {
            let mut length = [0; 2];
            read_exact(input, &mut length)?;
            u32::from(u16::from_le_bytes(length))
        }
        (2, 0) => {
            let mut length = [0; 4];
            read_exact(input, &mut length)?;
            u32::from_le_bytes(length)
        }
        (major, minor) => return Err(NpyError::Version(major, minor)),
    };
    if length > DICTIONARY_BYTES_MAX {
        return Err(NpyError::HeaderLength(length));
    }
    let mut text = vec![0; length as usize];
    read_exact(input, &mut text)?;
    Dictionary { rest: &text }.read()
}

fn read_exact(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), NpyError> {
    input.read_exact(bytes).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => NpyError::Length("shorter"),
        _ => NpyError::Io(e),
    })
}

/// Reads the one dictionary that can stand in a header.
struct Dictionary<'a> {
    rest: &'a [u8],
}

impl Dictionary<'_> {
    fn read(mut self) -> Result<Header, NpyError> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.expect(b'{')?;
        while !self.take(b'}') {
            let key = self.string()?;
            self.expect(b':')?;
            let first = match key.as_str() {
                "descr" => descr.replace(self.descr()?).is_none(),
                "fortran_order" => fortran.replace(self.boolean()?).is_none(),
                "shape" => shape.replace(self.tuple()?).is_none(),
                _ => return Err(NpyError::Header("an unknown key")),
            };
            if !first {
                return Err(NpyError::Header("a key stands twice"));
            }
            if !self.take(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        self.blanks();
        if !self.rest.is_empty() {
            return Err(NpyError::Header("something after the dictionary"));
        }
        let (Some(descr), Some(fortran), Some(shape)) = (descr, fortran, shape) else {
            return Err(NpyError::Header("a key is missing"));
        };
        if fortran {
            return Err(NpyError::FortranOrder);
        }
        let dtype = value::from_descr(&descr).ok_or(NpyError::Type(descr))?;
        data_bytes(dtype, &shape).ok_or(NpyError::Shape)?;
        Ok(Header { dtype, shape })
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn take(&mut self, byte: u8) -> bool {
        self.blanks();
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), NpyError> {
        if self.take(byte) { Ok(()) } else { Err(NpyError::Header("not the dictionary of an array")) }
    }

    fn string(&mut self) -> Result<String, NpyError> {
        const BAD: NpyError = NpyError::Header("a string does not end");
        self.blanks();
        let (quote, rest) = match self.rest.split_first() {
            Some((quote @ (b'\'' | b'"'), rest)) => (*quote, rest),
            _ => return Err(NpyError::Header("a string is missing")),
        };
        let end = rest.iter().position(|b| *b == quote).ok_or(BAD)?;
        let text = String::from_utf8_lossy(&rest[..end]).into_owned();
        self.rest = &rest[end + 1..];
        Ok(text)
    }

    /// Structured types are written as lists; they are told from malformed headers.
    fn descr(&mut self) -> Result<String, NpyError> {
        self.blanks();
        match self.rest.first() {
            Some(b'[' | b'(') => Err(NpyError::Type("a record".to_owned())),
            _ => self.string(),
        }
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        self.blanks();
        for (word, value) in [(&b"False"[..], false), (&b"True"[..], true)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(NpyError::Header("fortran_order is neither True nor False"))
    }

    fn tuple(&mut self) -> Result<Vec<u64>, NpyError> {
        self.expect(b'(')?;
        let mut shape = Vec::new();
        while !self.take(b')') {
            if shape.len() == DIMENSIONS_MAX {
                return Err(NpyError::Shape);
            }
            shape.push(self.number()?);
            if !self.take(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn number(&mut self) -> Result<u64, NpyError> {
        self.blanks();
        let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        if number.is_empty() {
            return Err(NpyError::Header("a length is missing in the shape"));
        }
        self.rest = rest;
        std::str::from_utf8(number).ok().and_then(|s| s.parse().ok()).ok_or(NpyError::Shape)
    }
}
