//! The netpbm formats: PBM (P1 plain, P4 raw) and PGM (P2 plain, P5 raw, one or two bytes a value).
//! A comment runs from `#` to the end of its line, anywhere before a raw raster and anywhere in a plain file, and
//! counts as white space. One image a file.

use super::bits::Bits;
use super::{Domain, DomainError, Meaning, check_sides};

/// Reads a whole file. The memory of a raw mask becomes that of the domain.
pub(super) fn read(bytes: Vec<u8>, meaning: Meaning) -> Result<Domain, DomainError> {
    let domain = match &bytes[..] {
        [] => Err(DomainError::NoBytes),
        [b'P', b'1', ..] => plain_mask(&bytes),
        [b'P', b'2', ..] => plain_weights(&bytes),
        [b'P', b'4', ..] => raw_mask(bytes),
        [b'P', b'5', ..] => raw_weights(&bytes),
        [b'P', number @ (b'3' | b'6' | b'7'), ..] => Err(DomainError::OtherNetpbm {
            number: char::from(*number),
            what: if *number == b'7' { "a PAM image" } else { "a colour image" },
            tool: if *number == b'7' { "pamtopnm" } else { "ppmtopgm" },
        }),
        _ => Err(DomainError::NotNetpbm { begin: bytes.iter().take(4).copied().collect() }),
    }?;
    match meaning {
        Meaning::Mask if !domain.is_mask() => {
            Domain::from_mask(domain.nx(), domain.ny(), |x, y| domain.is_effective(x, y))
        }
        Meaning::Weights if domain.is_mask() => Err(DomainError::NoWeights),
        _ => Ok(domain),
    }
}

fn plain_mask(bytes: &[u8]) -> Result<Domain, DomainError> {
    let mut text = Scanner::after_magic(bytes)?;
    let (nx, ny) = text.sides()?;
    let raster = Raster { nx, ny, bytes: text.left() };
    // Where the bytes cannot hold the cells nothing is kept, only counted for the message.
    let rows = if raster.bytes < raster.cells() { 0 } else { ny };
    let mut bits = Bits::new(nx, rows)?;
    // Digits need no space between them.
    for y in 0..ny {
        for x in 0..nx {
            match text.skip_space() {
                Some(b'0') => {}
                Some(b'1') => bits.set(x, y),
                Some(found) => return Err(raster.value_error("0 or 1", text.at, found, x, y)),
                None => return Err(raster.too_few(x, y)),
            }
            text.at += 1;
        }
    }
    raster.check_end(&mut text)?;
    Domain::of_bits(nx, ny, bits)
}

fn plain_weights(bytes: &[u8]) -> Result<Domain, DomainError> {
    let mut text = Scanner::after_magic(bytes)?;
    let (nx, ny) = text.sides()?;
    let maxval = text.maxval()?;
    let raster = Raster { nx, ny, bytes: text.left() };
    // A value takes two bytes, but for the last.
    let values = raster.cells().min(raster.bytes / 2 + 1);
    let mut weights = Vec::with_capacity(usize::try_from(values).unwrap_or_default());
    for y in 0..ny {
        for x in 0..nx {
            let found = text.skip_space();
            let value = match text.number() {
                Number::Value(value) => value,
                Number::Overflow => u64::MAX,
                Number::None => {
                    return Err(match found {
                        Some(found) => raster.value_error("number", text.at, found, x, y),
                        None => raster.too_few(x, y),
                    });
                }
            };
            weights.push(weight(value, maxval, x, y)?);
        }
    }
    raster.check_end(&mut text)?;
    Domain::from_weights(nx, ny, weights)
}

fn raw_mask(mut bytes: Vec<u8>) -> Result<Domain, DomainError> {
    let mut text = Scanner::after_magic(&bytes)?;
    let (nx, ny) = text.sides()?;
    text.header_end()?;
    let raster = Raster { nx, ny, bytes: text.left() };
    raster.raw(&text, Bits::stride(nx) as u64)?;
    let at = text.at;
    bytes.drain(..at);
    Domain::of_bits(nx, ny, Bits::of_rows(nx, bytes))
}

fn raw_weights(bytes: &[u8]) -> Result<Domain, DomainError> {
    let mut text = Scanner::after_magic(bytes)?;
    let (nx, ny) = text.sides()?;
    let maxval = text.maxval()?;
    text.header_end()?;
    let raster = Raster { nx, ny, bytes: text.left() };
    let value_bytes = if maxval < 256 { 1 } else { 2 };
    let data = raster.raw(&text, u64::from(nx) * value_bytes)?;
    let weights: Vec<u16> = if value_bytes == 1 {
        data.iter().map(|v| u16::from(*v)).collect()
    } else {
        data.as_chunks::<2>().0.iter().map(|v| u16::from_be_bytes(*v)).collect()
    };
    if let Some(at) = weights.iter().position(|v| *v > maxval) {
        let (x, y) = (at as u64 % u64::from(nx), at as u64 / u64::from(nx));
        return Err(DomainError::AboveMaxval { x, y, value: weights[at].into(), maxval });
    }
    Domain::from_weights(nx, ny, weights)
}

fn weight(value: u64, maxval: u16, x: u32, y: u32) -> Result<u16, DomainError> {
    let above = DomainError::AboveMaxval { x: x.into(), y: y.into(), value, maxval };
    u16::try_from(value).ok().filter(|v| *v <= maxval).ok_or(above)
}

/// What the header says of the raster, and how many bytes follow it.
struct Raster {
    nx: u32,
    ny: u32,
    bytes: u64,
}

impl Raster {
    fn cells(&self) -> u64 {
        u64::from(self.nx) * u64::from(self.ny)
    }

    /// The raw raster of `row_bytes` a row, which must end where the file does.
    fn raw<'a>(&self, text: &Scanner<'a>, row_bytes: u64) -> Result<&'a [u8], DomainError> {
        let (nx, ny, found) = (self.nx, self.ny, self.bytes);
        // Sides are below 2^31 and a value has at most two bytes.
        let expected = row_bytes * u64::from(ny);
        if found < expected {
            return Err(DomainError::Truncated { nx, ny, expected, found });
        }
        if found > expected {
            return Err(DomainError::Trailing { nx, ny, extra: found - expected });
        }
        Ok(text.bytes.get(text.at..).unwrap_or_default())
    }

    fn check_end(&self, text: &mut Scanner<'_>) -> Result<(), DomainError> {
        match text.skip_space() {
            None => Ok(()),
            Some(_) => Err(DomainError::Trailing { nx: self.nx, ny: self.ny, extra: text.left() }),
        }
    }

    fn too_few(&self, x: u32, y: u32) -> DomainError {
        DomainError::TooFewValues {
            nx: self.nx,
            ny: self.ny,
            expected: self.cells(),
            found: u64::from(y) * u64::from(self.nx) + u64::from(x),
            bytes: self.bytes,
        }
    }

    fn value_error(&self, what: &'static str, at: usize, found: u8, x: u32, y: u32) -> DomainError {
        DomainError::Value { what, at, found, x: x.into(), y: y.into() }
    }
}

enum Number {
    None,
    Value(u64),
    Overflow,
}

/// A place in the text.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// White space as C's isspace has it, which the formats name.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

impl<'a> Scanner<'a> {
    fn after_magic(bytes: &'a [u8]) -> Result<Self, DomainError> {
        let scanner = Self { bytes, at: 2 };
        match scanner.peek() {
            Some(byte) if is_space(byte) || byte == b'#' => Ok(scanner),
            None => Err(DomainError::HeaderCut { what: "width" }),
            Some(_) => Err(DomainError::NotNetpbm { begin: bytes.iter().take(4).copied().collect() }),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn left(&self) -> u64 {
        self.bytes.len().saturating_sub(self.at) as u64
    }

    /// Goes on to the next byte that is neither space nor comment, and tells it.
    fn skip_space(&mut self) -> Option<u8> {
        loop {
            match self.peek()? {
                b'#' => self.skip_comment(),
                byte if is_space(byte) => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Goes on to the end of the line, not beyond it.
    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|byte| !matches!(byte, b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Digits from here on.
    fn number(&mut self) -> Number {
        let (mut value, mut digits) = (Some(0u64), false);
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            value = value.and_then(|v| v.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
            digits = true;
            self.at += 1;
        }
        match (digits, value) {
            (false, _) => Number::None,
            (true, Some(value)) => Number::Value(value),
            (true, None) => Number::Overflow,
        }
    }

    fn header_number(&mut self, what: &'static str) -> Result<u64, DomainError> {
        let Some(found) = self.skip_space() else { return Err(DomainError::HeaderCut { what }) };
        match self.number() {
            Number::Value(value) => Ok(value),
            Number::Overflow => Err(DomainError::HeaderOverflow { what }),
            Number::None => Err(DomainError::HeaderNumber { what, at: self.at, found }),
        }
    }

    fn sides(&mut self) -> Result<(u32, u32), DomainError> {
        let nx = self.header_number("width")?;
        let ny = self.header_number("height")?;
        check_sides(nx, ny)?;
        // Checked just now.
        Ok((nx as u32, ny as u32))
    }

    fn maxval(&mut self) -> Result<u16, DomainError> {
        let maxval = self.header_number("maxval")?;
        u16::try_from(maxval).ok().filter(|v| *v > 0).ok_or(DomainError::Maxval { maxval })
    }

    /// The one white space before a raw raster. A comment right after the last number ends with it.
    fn header_end(&mut self) -> Result<(), DomainError> {
        if self.peek() == Some(b'#') {
            self.skip_comment();
        }
        match self.peek() {
            Some(byte) if is_space(byte) => {
                self.at += 1;
                Ok(())
            }
            Some(found) => Err(DomainError::HeaderEnd { at: self.at, found }),
            None => Err(DomainError::HeaderCut { what: "raster" }),
        }
    }
}
