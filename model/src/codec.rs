//! Little-endian bytes with bounds: what both the wire and the spool's records are written with.
//! Nothing is allocated by a length that the input does not itself hold.

use thiserror::Error;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum DecodeError {
    /// The input ends before the value does.
    #[error("ends too early")]
    Short,
    /// Bytes are left over after the last value.
    #[error("has bytes after its end")]
    Trailing,
    /// A number stands for nothing known.
    #[error("holds an unknown {0}")]
    Unknown(&'static str),
    /// A value is outside what is allowed.
    #[error("holds an impossible {0}")]
    Impossible(&'static str),
}

/// Appends values to a vector.
#[derive(Default, Debug)]
pub struct Writer {
    /// What was written so far.
    pub bytes: Vec<u8>,
}

impl Writer {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// One byte.
    pub fn u8(&mut self, v: u8) {
        self.bytes.push(v);
    }
    /// Two bytes.
    pub fn u16(&mut self, v: u16) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }
    /// Four bytes.
    pub fn u32(&mut self, v: u32) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }
    /// Four bytes, signed.
    pub fn i32(&mut self, v: i32) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }
    /// Eight bytes.
    pub fn u64(&mut self, v: u64) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }
    /// A length of four bytes, then the bytes.
    ///
    /// # Panics
    /// Beyond 4 GiB, which no caller writes.
    pub fn bytes(&mut self, v: &[u8]) {
        assert!(v.len() <= u32::MAX as usize, "a field below 4 GiB");
        self.u32(v.len() as u32);
        self.bytes.extend_from_slice(v);
    }
    /// The bytes alone.
    pub fn raw(&mut self, v: &[u8]) {
        self.bytes.extend_from_slice(v);
    }
}

/// Takes values off the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when there are fewer.
    pub fn raw(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.raw(N)?.try_into().map_err(|_| DecodeError::Short)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Four bytes, signed.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A byte that is 0 or 1.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end, [`DecodeError::Impossible`] for any other byte.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Impossible("flag")),
        }
    }

    /// A length of four bytes, then the bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when the input is shorter than it says.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.u32()?;
        self.raw(len as usize)
    }

    /// A count of four bytes, of items that take at least `item_bytes` each in what follows.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when so many cannot follow.
    pub fn count(&mut self, item_bytes: usize) -> Result<usize, DecodeError> {
        let count = self.u32()? as usize;
        if count.checked_mul(item_bytes.max(1)).is_none_or(|need| need > self.rest.len()) {
            return Err(DecodeError::Short);
        }
        Ok(count)
    }

    /// The end of the input.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] when something is left.
    pub fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing) }
    }
}
