//! Reads an `.npy` grid row by row; a file of any size needs the memory of one row.

use super::{Header, NpyError, header};
use crate::Dtype;
use crate::value;
use dc_model::npy::HeaderError;
use std::io::{ErrorKind, Read};

/// A grid being read, from its first row on.
#[derive(Debug)]
pub struct NpyReader<R> {
    input: R,
    dtype: Dtype,
    nx: usize,
    ny: u64,
    rows_read: u64,
}

impl<R: Read> NpyReader<R> {
    /// Reads the header; `input` is best buffered.
    ///
    /// # Errors
    /// When the input is not an `.npy` file of two dimensions that dc reads.
    pub fn try_new(mut input: R) -> Result<Self, NpyError> {
        let Header { dtype, shape } = header::try_decode(&mut input)?;
        let [ny, nx] = shape[..] else { return Err(NpyError::Dimensions(shape.len())) };
        let nx = usize::try_from(nx).map_err(|_| HeaderError::Shape)?;
        if nx == 0 || ny == 0 {
            return Err(NpyError::Empty);
        }
        Ok(Self { input, dtype, nx, ny, rows_read: 0 })
    }

    /// Type of the values.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Columns.
    #[must_use]
    pub fn nx(&self) -> u64 {
        self.nx as u64
    }

    /// Rows.
    #[must_use]
    pub fn ny(&self) -> u64 {
        self.ny
    }

    /// Puts the bytes of the next row into `row`; `false` after the last one, when the input has ended there too.
    ///
    /// # Errors
    /// When the input ends too early, goes on after the last row, or cannot be read.
    pub fn read_row(&mut self, row: &mut Vec<u8>) -> Result<bool, NpyError> {
        row.clear();
        if self.rows_read == self.ny {
            return match read_some(&mut self.input, &mut [0])? {
                0 => Ok(false),
                _ => Err(NpyError::Length("longer")),
            };
        }
        // Through take, so that a header which lies about its shape allocates no more than the file holds.
        let row_bytes = self.nx as u64 * self.dtype.bytes() as u64;
        self.input.by_ref().take(row_bytes).read_to_end(row)?;
        if (row.len() as u64) < row_bytes {
            return Err(NpyError::Length("shorter"));
        }
        self.rows_read += 1;
        Ok(true)
    }

    /// All values as f64, row by row; integers beyond 2^53 are rounded.
    ///
    /// # Errors
    /// As [`Self::read_row`].
    pub fn read_all(mut self) -> Result<Vec<f64>, NpyError> {
        let (mut values, mut row) = (Vec::new(), Vec::new());
        while self.read_row(&mut row)? {
            values.extend(row.chunks_exact(self.dtype.bytes()).map(|v| value::to_f64(self.dtype, v)));
        }
        Ok(values)
    }
}

fn read_some(input: &mut impl Read, bytes: &mut [u8]) -> Result<usize, std::io::Error> {
    loop {
        match input.read(bytes) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
