//! What the numbers of a result are, and in what order they lie: the codes that numpy uses, and two layouts.

use std::fmt;

/// The type of one value. Little-endian; the discriminant is its number in the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Dtype {
    /// Unsigned, 8 bits.
    U1 = 1,
    /// Signed, 8 bits.
    I1 = 2,
    /// Unsigned, 16 bits.
    U2 = 3,
    /// Signed, 16 bits.
    I2 = 4,
    /// Unsigned, 32 bits.
    U4 = 5,
    /// Signed, 32 bits.
    I4 = 6,
    /// Unsigned, 64 bits.
    U8 = 7,
    /// Signed, 64 bits.
    I8 = 8,
    /// IEEE 754 single.
    F4 = 9,
    /// IEEE 754 double.
    F8 = 10,
}

impl Dtype {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 10] =
        [Self::U1, Self::I1, Self::U2, Self::I2, Self::U4, Self::I4, Self::U8, Self::I8, Self::F4, Self::F8];

    /// From its number in the file, or in the C interface.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| *dtype as u8 == number)
    }

    /// From its code, such as `f8`.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.code() == code)
    }

    /// Its code: a letter for the kind and the bytes it takes.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::U1 => "u1",
            Self::I1 => "i1",
            Self::U2 => "u2",
            Self::I2 => "i2",
            Self::U4 => "u4",
            Self::I4 => "i4",
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::F4 => "f4",
            Self::F8 => "f8",
        }
    }

    /// Bytes one value takes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::U1 | Self::I1 => 1,
            Self::U2 | Self::I2 => 2,
            Self::U4 | Self::I4 | Self::F4 => 4,
            Self::U8 | Self::I8 | Self::F8 => 8,
        }
    }

    /// Whether it can hold a NaN.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F4 | Self::F8)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The order of a result's values. The discriminant is its number in the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Layout {
    /// Row-major within the block, effective cells only.
    Effective = 1,
    /// Row-major, every cell of the block.
    Block = 2,
    /// Opaque bytes of any number, to be strung together.
    Bytes = 3,
}

impl Layout {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Effective, Self::Block, Self::Bytes];

    /// From its number in the file, or in the C interface.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| *layout as u8 == number)
    }

    /// From its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Effective => "effective",
            Self::Block => "block",
            Self::Bytes => "bytes",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_are_fixed() {
        let codes = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"];
        for (i, code) in codes.into_iter().enumerate() {
            let dtype = Dtype::parse(code).unwrap();
            assert_eq!(dtype as usize, i + 1);
            assert_eq!(Dtype::from_number(i as u8 + 1), Some(dtype));
            assert_eq!(dtype.bytes().to_string(), code[1..]);
        }
        for (i, name) in ["effective", "block", "bytes"].into_iter().enumerate() {
            let layout = Layout::parse(name).unwrap();
            assert_eq!(layout as usize, i + 1);
            assert_eq!(Layout::from_number(i as u8 + 1), Some(layout));
        }
        for number in [0, 11, 255] {
            assert_eq!(Dtype::from_number(number), None);
        }
        assert_eq!(Layout::from_number(0), None);
        assert_eq!(Dtype::parse("F8"), None);
    }
}
