//! Amounts of memory as people write them: Slurm's numbers with K, M, G or T, megabytes without.

/// Why a text is no amount of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SizeError {
    /// Another form.
    #[error("wanted a whole number of megabytes, or one with K, M, G or T")]
    Form,
    /// More bytes than a u64 holds.
    #[error("more memory than can be counted")]
    Overflow,
}

/// Reads an amount, in bytes: `4G`, `512M`, `512` (megabytes, as in Slurm). A unit may be followed by `B` or `iB`; all
/// are powers of 1024.
///
/// # Errors
/// Another form, or too much.
pub fn parse(text: &str) -> Result<u64, SizeError> {
    parse_with(text, 20)
}

/// Reads a number of bytes: as [`parse`], but that a number without a unit is one of bytes.
///
/// # Errors
/// As [`parse`].
pub fn parse_bytes(text: &str) -> Result<u64, SizeError> {
    parse_with(text, 0)
}

fn parse_with(text: &str, shift_without_unit: u32) -> Result<u64, SizeError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" => shift_without_unit,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(SizeError::Form),
    };
    if number.is_empty() {
        return Err(SizeError::Form);
    }
    let number: u64 = number.parse().map_err(|_| SizeError::Overflow)?;
    number.checked_mul(1 << shift).ok_or(SizeError::Overflow)
}

/// An amount as people read it and [`parse`] takes it: in the largest unit in which it is whole, or else in megabytes,
/// rounded up.
#[must_use]
pub fn shown(bytes: u64) -> String {
    let whole = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    match whole.into_iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift)) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{}M", bytes.div_ceil(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_without_a_unit() {
        assert_eq!(["0", "512", "64M"].map(parse_bytes), [Ok(0), Ok(512), Ok(64 << 20)]);
        assert_eq!(parse_bytes("-1"), Err(SizeError::Form));
    }

    #[test]
    fn slurms_units() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512 << 20),
            ("1K", 1 << 10),
            ("2m", 2 << 20),
            ("4G", 4 << 30),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for bad in ["", "G", "-1", "1.5G", "1P", "4 G", "1GG", "+1"] {
            assert_eq!(parse(bad), Err(SizeError::Form), "{bad}");
        }
        for bad in ["99999999999999999999", "18446744073709551615", "16777216T"] {
            assert_eq!(parse(bad), Err(SizeError::Overflow), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_is_accepted() {
        for (bytes, text) in [(0, "0M"), (1, "1M"), (1 << 30, "1G"), (3 << 20, "3M"), (1025 << 10, "1025K")] {
            assert_eq!(shown(bytes), text);
            assert!(parse(text).unwrap() >= bytes);
        }
    }
}
