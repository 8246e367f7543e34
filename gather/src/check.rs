//! The check of a merged grid whose kernel wrote each cell's own index: exact, cell by cell.

use crate::fill::{Fill, FillError, fill_bytes};
use crate::npy::{NpyError, NpyReader};
use crate::{Dtype, value};
use dc_model::domain::Domain;
use std::io::Read;
use thiserror::Error;

/// Why a grid is not the one of indices.
#[derive(Debug, Error)]
pub enum CheckError {
    /// It is no grid at all.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// It is not of the domain's shape.
    #[error("has {nx} x {ny} cells, the domain {domain_nx} x {domain_ny}")]
    Shape {
        /// Columns of the grid.
        nx: u64,
        /// Rows of the grid.
        ny: u64,
        /// Columns of the domain.
        domain_nx: u32,
        /// Rows of the domain.
        domain_ny: u32,
    },
    /// The fill value and the grid's type do not go together.
    #[error(transparent)]
    Fill(#[from] FillError),
    /// Some indices cannot be told from others in this type.
    #[error("is of type {0}, which cannot hold every index of the domain")]
    Type(Dtype),
    /// Cells that are not what they should be.
    #[error("is wrong in {count} cells, the first at column {x}, row {y}: {found} in place of {expected}")]
    Wrong {
        /// How many.
        count: u64,
        /// Column of the first.
        x: u32,
        /// Row of the first.
        y: u32,
        /// What stands there.
        found: f64,
        /// What should stand there.
        expected: f64,
    },
}

/// A grid that is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexReport {
    /// Cells that hold their own index.
    pub effective: u64,
    /// Cells that hold the fill value.
    pub filled: u64,
}

/// Whether every effective cell of the grid holds `y * nx + x` exactly, and every other one the fill value.
///
/// # Errors
/// How many cells are wrong, and the first of them; or what is wrong with the grid as a whole.
pub fn check_index(grid: impl Read, domain: &Domain, fill: Option<&Fill>) -> Result<IndexReport, CheckError> {
    let mut grid = NpyReader::try_new(grid)?;
    let dtype = grid.dtype();
    let (nx, ny) = (domain.nx(), domain.ny());
    if (grid.nx(), grid.ny()) != (nx.into(), ny.into()) {
        return Err(CheckError::Shape { nx: grid.nx(), ny: grid.ny(), domain_nx: nx, domain_ny: ny });
    }
    let fill = fill_bytes(fill, dtype)?;
    let last = i128::from(nx) * i128::from(ny) - 1;
    if !value::holds_all_up_to(dtype, last) {
        return Err(CheckError::Type(dtype));
    }
    let nan_fill = value::to_f64(dtype, &fill).is_nan();
    let mut report = IndexReport { effective: 0, filled: 0 };
    let mut wrong: Option<(u64, u32, u32, f64, f64)> = None;
    let mut row = Vec::new();
    for y in 0..ny {
        grid.read_row(&mut row)?;
        for ((x, found), effective) in
            (0..nx).zip(row.chunks_exact(dtype.bytes())).zip(domain.row_mask(y, 0..nx))
        {
            let index = i128::from(y) * i128::from(nx) + i128::from(x);
            let (right, count) = if effective {
                (value::exact(dtype, index) == Some(value::padded(found)), &mut report.effective)
            } else {
                // Any NaN is NaN: its bits mean nothing.
                let nan = nan_fill && value::to_f64(dtype, found).is_nan();
                (nan || fill == found, &mut report.filled)
            };
            if right {
                *count += 1;
                continue;
            }
            let expected = if effective { index as f64 } else { value::to_f64(dtype, &fill) };
            wrong.get_or_insert((0, x, y, value::to_f64(dtype, found), expected)).0 += 1;
        }
    }
    grid.read_row(&mut row)?;
    match wrong {
        None => Ok(report),
        Some((count, x, y, found, expected)) => Err(CheckError::Wrong { count, x, y, found, expected }),
    }
}
