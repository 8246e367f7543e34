//! The header of numpy's `.npy` files: magic bytes, version, length, and a dictionary in Python's spelling. Whatever
//! reads such a file, a domain or a merged grid, reads its header here.

use thiserror::Error;

/// What a file begins with.
pub const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// The most axes an array has.
pub const DIMENSIONS_MAX: usize = 32;
/// Bytes by which [`prefix_bytes`] knows the rest.
pub const FIRST_BYTES: usize = 8;
/// Longest dictionary accepted. Arrays of plain numbers need some eighty bytes.
const DICTIONARY_BYTES_MAX: u32 = 64 << 10;

/// Why a header is not one of an array of plain numbers.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum HeaderError {
    /// The first bytes are others.
    #[error("is not an .npy file: its magic bytes are missing")]
    Magic,
    /// A version that is not known.
    #[error("is of .npy version {0}.{1}; 1.0, 2.0 and 3.0 are read")]
    Version(u8, u8),
    /// It is longer than any for these arrays.
    #[error("has a header of {0} bytes, too long to be true")]
    Length(u32),
    /// The dictionary is malformed.
    #[error("has a malformed header: {0}")]
    Malformed(&'static str),
    /// Values that are no plain numbers.
    #[error("holds values of type '{}', which are no plain numbers", .0.escape_default())]
    Type(String),
    /// More cells than can be counted.
    #[error("has a shape too large to be true")]
    Shape,
}

/// What kind of number a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// True or false, a byte.
    Bool,
    /// Unsigned.
    Unsigned,
    /// Signed, two's complement.
    Signed,
    /// IEEE 754.
    Float,
}

/// The type of a value, such as `<f8`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Descr {
    /// What it is.
    pub kind: Kind,
    /// Bytes it takes: 1, 2, 4 or 8.
    pub bytes: u8,
    /// Whether its first byte is the highest.
    pub big_endian: bool,
}

impl Descr {
    /// From numpy's type string; none for text, complex numbers, times, and floats of 2 or 16 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut letters = text.chars();
        let (order, kind) = (letters.next()?, letters.next()?);
        let (kind, sizes): (Kind, &[u8]) = match kind {
            'b' => (Kind::Bool, &[1]),
            'u' => (Kind::Unsigned, &[1, 2, 4, 8]),
            'i' => (Kind::Signed, &[1, 2, 4, 8]),
            'f' => (Kind::Float, &[4, 8]),
            _ => return None,
        };
        let bytes = sizes.iter().copied().find(|n| letters.as_str() == n.to_string())?;
        // A single byte has no order, whatever stands there.
        let big_endian = match order {
            '>' => bytes > 1,
            '<' => false,
            '|' if bytes == 1 => false,
            _ => return None,
        };
        Some(Self { kind, bytes, big_endian })
    }
}

/// What the header says of the array.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The type as it is written there.
    pub descr_text: String,
    /// Whether the first axis is the fastest.
    pub fortran_order: bool,
    /// Length of each axis.
    pub shape: Vec<u64>,
}

/// How many bytes stand before the dictionary.
///
/// # Errors
/// [`HeaderError::Magic`] and [`HeaderError::Version`].
pub fn prefix_bytes(first: &[u8; FIRST_BYTES]) -> Result<usize, HeaderError> {
    let [magic @ .., major, minor] = first;
    if magic != MAGIC {
        return Err(HeaderError::Magic);
    }
    match (major, minor) {
        (1, 0) => Ok(FIRST_BYTES + 2),
        (2 | 3, 0) => Ok(FIRST_BYTES + 4),
        _ => Err(HeaderError::Version(*major, *minor)),
    }
}

/// How many bytes the dictionary has, by all that stands before it.
///
/// # Errors
/// [`HeaderError::Length`].
pub fn dictionary_bytes(prefix: &[u8]) -> Result<usize, HeaderError> {
    let length = prefix.get(FIRST_BYTES..).unwrap_or_default();
    let length = length.iter().rev().fold(0u32, |all, byte| all << 8 | u32::from(*byte));
    if length > DICTIONARY_BYTES_MAX {
        return Err(HeaderError::Length(length));
    }
    Ok(length as usize)
}

impl Header {
    /// Reads the dictionary.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(dictionary: &[u8]) -> Result<Self, HeaderError> {
        Dictionary { rest: dictionary }.read()
    }
}

/// Reads the one dictionary that can stand in a header.
struct Dictionary<'a> {
    rest: &'a [u8],
}

impl Dictionary<'_> {
    fn read(mut self) -> Result<Header, HeaderError> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.expect(b'{')?;
        while !self.take(b'}') {
            let key = self.string()?;
            self.expect(b':')?;
            let first = match key.as_str() {
                "descr" => descr.replace(self.descr()?).is_none(),
                "fortran_order" => fortran.replace(self.boolean()?).is_none(),
                "shape" => shape.replace(self.tuple()?).is_none(),
                _ => return Err(HeaderError::Malformed("an unknown key")),
            };
            if !first {
                return Err(HeaderError::Malformed("a key stands twice"));
            }
            if !self.take(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        self.blanks();
        if !self.rest.is_empty() {
            return Err(HeaderError::Malformed("something after the dictionary"));
        }
        let (Some(descr_text), Some(fortran_order), Some(shape)) = (descr, fortran, shape) else {
            return Err(HeaderError::Malformed("a key is missing"));
        };
        Ok(Header { descr_text, fortran_order, shape })
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

    fn expect(&mut self, byte: u8) -> Result<(), HeaderError> {
        if self.take(byte) { Ok(()) } else { Err(HeaderError::Malformed("not the dictionary of an array")) }
    }

    fn string(&mut self) -> Result<String, HeaderError> {
        self.blanks();
        let (quote, rest) = match self.rest.split_first() {
            Some((quote @ (b'\'' | b'"'), rest)) => (*quote, rest),
            _ => return Err(HeaderError::Malformed("a string is missing")),
        };
        let mut parts = rest.splitn(2, |b| *b == quote);
        let (text, Some(rest)) = (parts.next().unwrap_or_default(), parts.next()) else {
            return Err(HeaderError::Malformed("a string does not end"));
        };
        self.rest = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// Structured types are written as lists; they are told from malformed headers.
    fn descr(&mut self) -> Result<String, HeaderError> {
        self.blanks();
        match self.rest.first() {
            Some(b'[' | b'(') => Err(HeaderError::Type("a record".to_owned())),
            _ => self.string(),
        }
    }

    fn boolean(&mut self) -> Result<bool, HeaderError> {
        self.blanks();
        for (word, value) in [(&b"False"[..], false), (&b"True"[..], true)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(HeaderError::Malformed("fortran_order is neither True nor False"))
    }

    fn tuple(&mut self) -> Result<Vec<u64>, HeaderError> {
        self.expect(b'(')?;
        let mut shape = Vec::new();
        while !self.take(b')') {
            if shape.len() == DIMENSIONS_MAX {
                return Err(HeaderError::Shape);
            }
            shape.push(self.number()?);
            if !self.take(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn number(&mut self) -> Result<u64, HeaderError> {
        self.blanks();
        let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at_checked(digits).unwrap_or_default();
        if number.is_empty() {
            return Err(HeaderError::Malformed("a length is missing in the shape"));
        }
        self.rest = rest;
        std::str::from_utf8(number).ok().and_then(|s| s.parse().ok()).ok_or(HeaderError::Shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_plain_numbers_and_no_others() {
        let of = |kind, bytes, big_endian| Some(Descr { kind, bytes, big_endian });
        assert_eq!(Descr::parse("|b1"), of(Kind::Bool, 1, false));
        assert_eq!(Descr::parse("<i8"), of(Kind::Signed, 8, false));
        assert_eq!(Descr::parse(">u2"), of(Kind::Unsigned, 2, true));
        assert_eq!(Descr::parse(">f8"), of(Kind::Float, 8, true));
        assert_eq!(Descr::parse(">u1"), of(Kind::Unsigned, 1, false));
        for other in ["", "<", "<f", "<f2", "<f16", "|u2", "<c8", "|S3", "<U4", "=i4", "<M8[s]", "<i3", "|b2"]
        {
            assert_eq!(Descr::parse(other), None, "{other}");
        }
    }

    #[test]
    fn lengths_of_three_versions() {
        assert_eq!(prefix_bytes(b"\x93NUMPY\x01\x00"), Ok(10));
        assert_eq!(prefix_bytes(b"\x93NUMPY\x03\x00"), Ok(12));
        assert_eq!(prefix_bytes(b"\x93NUMPY\x04\x00"), Err(HeaderError::Version(4, 0)));
        assert_eq!(prefix_bytes(b"\x93NUMPX\x01\x00"), Err(HeaderError::Magic));
        assert_eq!(dictionary_bytes(b"\x93NUMPY\x01\x00\x76\x01"), Ok(0x176));
        assert_eq!(
            dictionary_bytes(b"\x93NUMPY\x02\x00\x76\x00\x01\x00"),
            Err(HeaderError::Length(0x1_0076))
        );
    }
}
