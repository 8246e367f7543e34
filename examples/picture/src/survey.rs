//! One walk over a grid: its shape, and least, mean and greatest of its values.

use crate::error::PictureError;
use dc_gather::npy::NpyReader;
use dc_gather::value;
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// What is known of a grid before it is drawn.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Survey {
    pub nx: u64,
    pub ny: u64,
    /// Over the values that are numbers; meaningless when there are none.
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    /// Cells that hold a finite number.
    pub finite: u64,
    /// Cells that hold NaN.
    pub nan: u64,
}

/// Opens a grid at its first row.
pub fn try_open(path: &Path) -> Result<NpyReader<BufReader<File>>, PictureError> {
    let file = File::open(path).map_err(|source| PictureError::Open { path: path.to_owned(), source })?;
    NpyReader::try_new(BufReader::with_capacity(1 << 20, file)).map_err(PictureError::npy(path))
}

impl Survey {
    pub fn try_of(path: &Path) -> Result<Self, PictureError> {
        let mut grid = try_open(path)?;
        let dtype = grid.dtype();
        let (mut min, mut max, mut sum) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
        let (mut finite, mut nan) = (0, 0);
        let mut row = Vec::new();
        while grid.read_row(&mut row).map_err(PictureError::npy(path))? {
            // Summed a row at a time, so that the mean of many cells keeps its digits.
            let mut row_sum = 0.0;
            for bytes in row.chunks_exact(dtype.bytes()) {
                let v = value::to_f64(dtype, bytes);
                if v.is_finite() {
                    (min, max) = (min.min(v), max.max(v));
                    row_sum += v;
                    finite += 1;
                } else if v.is_nan() {
                    nan += 1;
                }
            }
            sum += row_sum;
        }
        Ok(Self { nx: grid.nx(), ny: grid.ny(), min, max, mean: sum / finite as f64, finite, nan })
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = self.nx.saturating_mul(self.ny);
        write!(f, "{} x {} = {cells} cells, {} of them NaN", self.nx, self.ny, self.nan)?;
        if self.finite > 0 {
            write!(f, "; min {:.3}, mean {:.3}, max {:.3}", self.min, self.mean, self.max)?;
        }
        let other = cells - self.finite - self.nan;
        if other > 0 { write!(f, "; {other} infinite") } else { Ok(()) }
    }
}
