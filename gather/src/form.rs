//! The files a grid can be: numpy's array, raw values, or a PGM image; and how a result's values stand in each.

use crate::fill::{Fill, fill_bytes};
use crate::{Dtype, FillError, npy, value};

/// What file a grid becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Numpy's, of shape (ny, nx), or (ny, nx, k) with k values a cell.
    Npy,
    /// The same values without a header: little-endian, row by row, the values of a cell together.
    Raw,
    /// An image: integers as they are, floats scaled onto 1 to 65535.
    Pgm,
}

/// The smallest and the largest value of a scaled image.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scale {
    /// It is 1 in the image.
    pub min: f64,
    /// It is 65535 in the image.
    pub max: f64,
}

/// The value of a scaled image where there is none.
const GRAY_NONE: u16 = 0;
const GRAY_MAX: u16 = u16::MAX;

/// Values on their way into the file.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Form {
    dtype: Dtype,
    /// Bytes of a cell in the file.
    pub(crate) cell_bytes: usize,
    /// A cell without a result.
    pub(crate) fill: Vec<u8>,
    pub(crate) header: Vec<u8>,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum How {
    AsIs,
    /// Integers as big-endian ones of 2 bytes.
    Gray,
    Scaled(Scale),
}

impl Form {
    /// Of arrays and raw values.
    pub(crate) fn array(
        format: Format,
        shape: &[u64; 3],
        dtype: Dtype,
        fill: Option<&Fill>,
    ) -> Result<Option<Self>, FillError> {
        let values = shape[2] as usize;
        let fill = fill_bytes(fill, dtype)?.repeat(values);
        let axes = if values == 1 { &shape[..2] } else { &shape[..] };
        let header = match format {
            Format::Npy => npy::encode(&npy::Header { dtype, shape: axes.to_vec() }).ok(),
            _ => Some(Vec::new()),
        };
        let cell_bytes = dtype.bytes() * values;
        Ok(header.map(|header| Self { dtype, cell_bytes, fill, header, how: How::AsIs }))
    }

    /// Of an image with one value a cell. A scaled one has no place for a fill value of the user's.
    pub(crate) fn image(
        nx: u32,
        ny: u32,
        dtype: Dtype,
        fill: Option<&Fill>,
        scale: Option<Scale>,
    ) -> Result<Self, FillError> {
        let gray = if dtype == Dtype::U1 { Dtype::U1 } else { Dtype::U2 };
        let zero: Fill = "0".parse()?;
        let fill = match scale {
            Some(_) => GRAY_NONE.to_be_bytes().to_vec(),
            None => {
                let mut bytes = fill.unwrap_or(&zero).bytes(gray)?;
                bytes.reverse();
                bytes
            }
        };
        let (maxval, how) = match (scale, gray) {
            (Some(scale), _) => (GRAY_MAX, How::Scaled(scale)),
            (None, Dtype::U1) => (u8::MAX.into(), How::AsIs),
            (None, _) => (GRAY_MAX, How::Gray),
        };
        let comment = scale.map_or_else(String::new, |Scale { min, max }| {
            format!(
                "# {dtype}: 1 is {min:e}, {GRAY_MAX} is {max:e}, linear between; {GRAY_NONE} is no value\n"
            )
        });
        let header = format!("P5\n{comment}{nx} {ny}\n{maxval}\n").into_bytes();
        Ok(Self { dtype, cell_bytes: gray.bytes(), fill, header, how })
    }

    /// Appends values of the results' type as the file has them.
    ///
    /// # Errors
    /// The place among these values, and the value, of one that the file cannot hold.
    pub(crate) fn put(&self, values: &[u8], out: &mut Vec<u8>) -> Result<(), (usize, f64)> {
        if self.how == How::AsIs {
            out.extend_from_slice(values);
            return Ok(());
        }
        for (at, bytes) in values.chunks_exact(self.dtype.bytes()).enumerate() {
            let real = value::to_f64(self.dtype, bytes);
            let gray = match self.how {
                How::Scaled(scale) => scaled(real, scale),
                // No integer is rounded into the range of 16 bits: those beyond 2^53 are far away from it.
                _ if (0.0..=f64::from(GRAY_MAX)).contains(&real) => real as u16,
                _ => return Err((at, real)),
            };
            out.extend_from_slice(&gray.to_be_bytes());
        }
        Ok(())
    }
}

fn scaled(real: f64, Scale { min, max }: Scale) -> u16 {
    if !real.is_finite() {
        return GRAY_NONE;
    }
    // Halves first: the difference of two doubles may be beyond all doubles.
    let (span, above) = (max / 2.0 - min / 2.0, real / 2.0 - min / 2.0);
    let share = if span > 0.0 { (above / span).clamp(0.0, 1.0) } else { 0.0 };
    1 + (share * f64::from(GRAY_MAX - 1)).round() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_fill_the_range_and_nothing_is_0() {
        let scale = Scale { min: -2.0, max: 30.0 };
        let grays: Vec<_> =
            [-2.0, 30.0, 14.0, f64::NAN, f64::INFINITY].iter().map(|v| scaled(*v, scale)).collect();
        assert_eq!(grays, [1, 65_535, 32_768, 0, 0]);
        assert_eq!(scaled(5.0, Scale { min: 5.0, max: 5.0 }), 1);
        let wide = Scale { min: -f64::MAX, max: f64::MAX };
        assert_eq!((scaled(-f64::MAX, wide), scaled(0.0, wide), scaled(f64::MAX, wide)), (1, 32_768, 65_535));
    }

    #[test]
    fn an_image_says_what_its_values_are() {
        let form = Form::image(3, 2, Dtype::F8, None, Some(Scale { min: -1.5, max: 20.0 })).unwrap();
        assert_eq!(
            String::from_utf8(form.header).unwrap(),
            "P5\n# f8: 1 is -1.5e0, 65535 is 2e1, linear between; 0 is no value\n3 2\n65535\n"
        );
        let form = Form::image(3, 2, Dtype::I4, Some(&"7".parse().unwrap()), None).unwrap();
        assert_eq!(form.fill, [0, 7], "big-endian");
        let mut out = Vec::new();
        form.put(&[1, 2, 0, 0], &mut out).unwrap();
        assert_eq!(out, [2, 1]);
        assert_eq!(form.put(&(-3i32).to_le_bytes(), &mut out), Err((0, -3.0)));
        assert!(Form::image(3, 2, Dtype::U1, Some(&"256".parse().unwrap()), None).is_err());
    }
}
