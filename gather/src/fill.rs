//! The value of cells that no result covers: NaN, or what `--fill` says.

use crate::{Dtype, value};
use std::str::FromStr;
use thiserror::Error;

/// Why a fill value cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FillError {
    /// The text is no number.
    #[error("the fill value '{}' is not a number", .0.escape_debug())]
    NotANumber(String),
    /// The number does not fit into the results' type.
    #[error("the fill value {text} is not a value of the results' type {dtype}")]
    NotOfType {
        /// As it was given.
        text: String,
        /// The results'.
        dtype: Dtype,
    },
    /// Integers have no NaN.
    #[error("the results are of type {0}, which has no NaN for masked cells: give a value with --fill")]
    Needed(Dtype),
}

/// A fill value as it was given: a number, whose type is known only when the results are.
#[derive(Clone, PartialEq, Debug)]
pub struct Fill {
    text: String,
    number: Number,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Number {
    Integer(i128),
    Float(f64),
}

impl FromStr for Fill {
    type Err = FillError;

    fn from_str(text: &str) -> Result<Self, FillError> {
        let number = match (text.parse::<i128>(), text.parse::<f64>()) {
            (Ok(n), _) => Number::Integer(n),
            (_, Ok(v)) => Number::Float(v),
            _ => return Err(FillError::NotANumber(text.to_owned())),
        };
        Ok(Self { text: text.to_owned(), number })
    }
}

impl Fill {
    /// The value as the bytes of a dtype. Floats take the nearest value, integers only their own.
    ///
    /// # Errors
    /// [`FillError::NotOfType`] when the dtype cannot hold it.
    pub fn bytes(&self, dtype: Dtype) -> Result<Vec<u8>, FillError> {
        let real = match self.number {
            Number::Integer(n) => n as f64,
            Number::Float(v) => v,
        };
        let bytes = match (dtype, self.number) {
            (Dtype::F8, _) => Some(real.to_le_bytes().to_vec()),
            // A finite number that only infinity would stand for does not fit.
            (Dtype::F4, _) => {
                let single = real as f32;
                (single.is_finite() || !real.is_finite()).then(|| single.to_le_bytes().to_vec())
            }
            (_, Number::Integer(n)) => value::exact(dtype, n).map(|v| v[..dtype.bytes()].to_vec()),
            (_, Number::Float(_)) => None,
        };
        bytes.ok_or_else(|| FillError::NotOfType { text: self.text.clone(), dtype })
    }
}

/// The bytes of what stands in uncovered cells: the value given, else NaN.
///
/// # Errors
/// When the value does not fit, or there is none and the dtype has no NaN.
pub(crate) fn fill_bytes(fill: Option<&Fill>, dtype: Dtype) -> Result<Vec<u8>, FillError> {
    match (fill, dtype) {
        (Some(fill), _) => fill.bytes(dtype),
        (None, Dtype::F4) => Ok(f32::NAN.to_le_bytes().to_vec()),
        (None, Dtype::F8) => Ok(f64::NAN.to_le_bytes().to_vec()),
        (None, _) => Err(FillError::Needed(dtype)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str, dtype: Dtype) -> Result<Vec<u8>, FillError> {
        fill_bytes(Some(&text.parse()?), dtype)
    }

    #[test]
    fn numbers_become_bytes_of_the_type() {
        assert_eq!(bytes("-1", Dtype::I2), Ok(vec![0xff, 0xff]));
        assert_eq!(bytes("255", Dtype::U1), Ok(vec![0xff]));
        assert_eq!(bytes("-999", Dtype::F8), Ok((-999f64).to_le_bytes().to_vec()));
        assert_eq!(bytes("1e20", Dtype::F4), Ok(1e20f32.to_le_bytes().to_vec()));
        assert_eq!(bytes("inf", Dtype::F4), Ok(f32::INFINITY.to_le_bytes().to_vec()));
        assert!(f64::from_le_bytes(bytes("nan", Dtype::F8).unwrap().try_into().unwrap()).is_nan());
        assert_eq!(bytes("18446744073709551615", Dtype::U8), Ok(vec![0xff; 8]));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for (text, dtype) in [
            ("256", Dtype::U1),
            ("-1", Dtype::U8),
            ("1.5", Dtype::I4),
            ("nan", Dtype::I4),
            ("1e300", Dtype::F4),
        ] {
            assert_eq!(bytes(text, dtype), Err(FillError::NotOfType { text: text.to_owned(), dtype }));
        }
        for text in ["", "x", "1 ", "0x10"] {
            assert_eq!(text.parse::<Fill>(), Err(FillError::NotANumber(text.to_owned())), "{text:?}");
        }
        assert_eq!(fill_bytes(None, Dtype::U4), Err(FillError::Needed(Dtype::U4)));
        let line = FillError::NotANumber("\x1b[2J\n".to_owned()).to_string();
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    }

    #[test]
    fn nan_is_the_default_of_floats() {
        assert_eq!(fill_bytes(None, Dtype::F8), Ok(f64::NAN.to_le_bytes().to_vec()));
        assert_eq!(fill_bytes(None, Dtype::F4), Ok(f32::NAN.to_le_bytes().to_vec()));
    }
}
