//! A domain: a mask or weight field over a grid, from which subtasks are cut.
//! Bytes of a PBM, PGM or `.npy` file come in ([`Domain::read`], or piece by piece [`DomainReader`]); kept packed, at 1
//! bit a cell of a mask, and 2 or 4 bytes a weight.

mod bits;
mod error;
mod netpbm;
mod npy;
mod reader;
mod weights;

#[cfg(test)]
#[path = "domain_tests.rs"]
mod tests;

use crate::Block;
use bits::Bits;
pub use error::DomainError;
pub use reader::DomainReader;
use std::ops::Range;
use weights::Weights;
pub use weights::{RowWeights, WEIGHT_MAX};

/// The longest side of a grid, in cells. The formats' own tools stop there too.
pub const SIDE_MAX: u32 = i32::MAX as u32;

/// A grid of `nx` columns and `ny` rows whose cells are effective or not.
///
/// Two notions are kept apart. A cell is *effective* when its weight is above 0; results hold one entry for each
/// such cell. The *cost* of a set of cells is the sum of their weights. In a mask every weight is 0 or 1, and the
/// two are equal. There is at least one effective cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Domain {
    nx: u32,
    ny: u32,
    cells: Cells,
    effective: u64,
    cost: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Cells {
    /// 1 bit a cell.
    Mask(Bits),
    /// 2 or 4 bytes a cell, row-major.
    Weights(Weights),
}

/// How the values of a file are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Meaning {
    /// As the format says: bits and truth values are a mask, numbers are weights.
    #[default]
    AsFound,
    /// As a mask: a cell is effective whose value is not 0.
    Mask,
    /// As weights.
    Weights,
}

impl Domain {
    /// Reads a PBM (P1, P4; 1 is effective), a PGM (P2, P5; the value is the weight) or an `.npy` file of two axes, rows
    /// and columns (truth values are a mask, whole numbers weights).
    ///
    /// # Errors
    /// What is wrong with the bytes; nothing is allocated from a header that the data do not bear out.
    pub fn read(bytes: &[u8]) -> Result<Self, DomainError> {
        Self::read_as(bytes, Meaning::AsFound)
    }

    /// As [`Domain::read`], with the values taken as they are told to be.
    ///
    /// # Errors
    /// As [`Domain::read`], and where the values cannot be taken so.
    pub fn read_as(bytes: &[u8], meaning: Meaning) -> Result<Self, DomainError> {
        let mut reader = DomainReader::new(meaning, bytes.len() as u64);
        reader.push(bytes)?;
        reader.finish()
    }

    /// A mask made cell by cell: `effective(x, y)`.
    ///
    /// # Errors
    /// A side that is 0 or too long, or no effective cell at all.
    pub fn from_mask(
        nx: u32,
        ny: u32,
        mut effective: impl FnMut(u32, u32) -> bool,
    ) -> Result<Self, DomainError> {
        check_sides(u64::from(nx), u64::from(ny))?;
        let mut bits = Bits::new(nx, ny)?;
        for y in 0..ny {
            for x in 0..nx {
                if effective(x, y) {
                    bits.set(x, y);
                }
            }
        }
        Self::of_bits(nx, ny, bits)
    }

    /// A field of weights, row-major, `nx` × `ny` of them.
    ///
    /// # Errors
    /// A side that is 0 or too long, a count other than `nx` × `ny`, or no effective cell at all.
    pub fn from_weights(nx: u32, ny: u32, weights: Vec<u16>) -> Result<Self, DomainError> {
        check_sides(u64::from(nx), u64::from(ny))?;
        let expected = u64::from(nx) * u64::from(ny);
        let found = weights.len() as u64;
        if expected != found {
            return Err(DomainError::Values { expected, found });
        }
        Self::of_weights(nx, ny, Weights::Narrow(weights))
    }

    /// As many weights as the grid has cells.
    fn of_weights(nx: u32, ny: u32, weights: Weights) -> Result<Self, DomainError> {
        let (effective, cost) = weights.totals()?;
        if effective == 0 {
            return Err(DomainError::Empty { nx, ny });
        }
        Ok(Self { nx, ny, cells: Cells::Weights(weights), effective, cost })
    }

    fn of_bits(nx: u32, ny: u32, bits: Bits) -> Result<Self, DomainError> {
        let effective = bits.count_all();
        if effective == 0 {
            return Err(DomainError::Empty { nx, ny });
        }
        Ok(Self { nx, ny, cells: Cells::Mask(bits), effective, cost: effective })
    }

    /// Columns.
    #[must_use]
    pub fn nx(&self) -> u32 {
        self.nx
    }

    /// Rows.
    #[must_use]
    pub fn ny(&self) -> u32 {
        self.ny
    }

    /// The whole grid.
    #[must_use]
    pub fn block(&self) -> Block {
        Block { x0: 0, y0: 0, x1: self.nx, y1: self.ny }
    }

    /// Whether it is a mask, so that every weight is 0 or 1 and cost is the count of effective cells.
    #[must_use]
    pub fn is_mask(&self) -> bool {
        matches!(self.cells, Cells::Mask(_))
    }

    /// Effective cells of the whole grid; at least 1.
    #[must_use]
    pub fn effective(&self) -> u64 {
        self.effective
    }

    /// The sum of all weights; at least 1.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// The weight of a cell; 0 outside the grid.
    #[must_use]
    pub fn weight(&self, x: u32, y: u32) -> u32 {
        if x >= self.nx || y >= self.ny {
            return 0;
        }
        match &self.cells {
            Cells::Mask(bits) => u32::from(bits.get(x, y)),
            Cells::Weights(_) => self.weights_of(y).get(x as usize),
        }
    }

    /// Whether a cell is effective; none is outside the grid.
    #[must_use]
    pub fn is_effective(&self, x: u32, y: u32) -> bool {
        self.weight(x, y) > 0
    }

    /// Effective cells in the part of `block` that lies in the grid.
    #[must_use]
    pub fn effective_in(&self, block: Block) -> u64 {
        self.rows(block)
            .map(|(y, xs)| match &self.cells {
                Cells::Mask(bits) => bits.count(y, xs),
                Cells::Weights(_) => self.weights_in(y, &xs).count(),
            })
            .sum()
    }

    /// The sum of the weights in the part of `block` that lies in the grid.
    #[must_use]
    pub fn cost_in(&self, block: Block) -> u64 {
        self.rows(block)
            .map(|(y, xs)| match &self.cells {
                Cells::Mask(bits) => bits.count(y, xs),
                Cells::Weights(_) => self.weights_of(y).sum(xs.start as usize..xs.end as usize),
            })
            .sum()
    }

    /// Which cells of row `y` are effective, from the first column of `columns` to its last.
    /// Cells outside the grid are not.
    pub fn row_mask(&self, y: u32, columns: Range<u32>) -> impl Iterator<Item = bool> + '_ {
        columns.map(move |x| self.is_effective(x, y))
    }

    /// The runs of effective cells of row `y` within `columns`, from left to right: what a merge copies at once.
    pub fn row_runs(&self, y: u32, columns: Range<u32>) -> impl Iterator<Item = Range<u32>> + '_ {
        let end = columns.end.min(self.nx);
        let mut at = columns.start;
        std::iter::from_fn(move || {
            if y >= self.ny {
                return None;
            }
            let start = self.next(y, at..end, true)?;
            let stop = self.next(y, start..end, false).unwrap_or(end);
            at = stop;
            Some(start..stop)
        })
    }

    /// 64 cells of row `y` from column `64 * word` on, the leftmost in the highest bit: set where effective.
    /// Bits outside the grid are 0.
    #[must_use]
    pub fn row_word(&self, y: u32, word: u32) -> u64 {
        if y >= self.ny {
            return 0;
        }
        match &self.cells {
            Cells::Mask(bits) => bits.word(y, word),
            Cells::Weights(_) => {
                let first = word.saturating_mul(64);
                let columns = first..first.saturating_add(64).min(self.nx).max(first);
                let row = self.weights_in(y, &columns);
                let bit = |i: u32| u64::from(row.get(i as usize) != 0) << (63 - i);
                (0..columns.end - first).fold(0, |w, i| w | bit(i))
            }
        }
    }

    /// The weights of row `y`, where the domain is a field of weights and has that row.
    #[must_use]
    pub fn row_weights(&self, y: u32) -> Option<RowWeights<'_>> {
        (!self.is_mask() && y < self.ny).then(|| self.weights_of(y))
    }

    /// The first column in `columns`, all of them in the grid, whose cell is effective or is not.
    fn next(&self, y: u32, columns: Range<u32>, effective: bool) -> Option<u32> {
        match &self.cells {
            Cells::Mask(bits) => bits.next(y, columns, effective),
            Cells::Weights(_) => {
                let found = self.weights_in(y, &columns).position(effective)?;
                Some(columns.start + found as u32)
            }
        }
    }

    /// Row by row the columns of `block` that lie in the grid.
    fn rows(&self, block: Block) -> impl Iterator<Item = (u32, Range<u32>)> + use<> {
        let (x0, x1) = (block.x0, block.x1.min(self.nx));
        (block.y0..block.y1.min(self.ny)).filter(move |_| x0 < x1).map(move |y| (y, x0..x1))
    }

    /// A row of the weights; empty in a mask. `y` is in the grid.
    fn weights_of(&self, y: u32) -> RowWeights<'_> {
        self.weights_in(y, &(0..self.nx))
    }

    fn weights_in(&self, y: u32, columns: &Range<u32>) -> RowWeights<'_> {
        let Cells::Weights(weights) = &self.cells else { return RowWeights::Narrow(&[]) };
        let row = y as usize * self.nx as usize;
        weights.part(row + columns.start as usize..row + columns.end as usize)
    }
}

/// Sides that a grid may have.
fn check_sides(nx: u64, ny: u64) -> Result<(), DomainError> {
    if nx == 0 || ny == 0 {
        return Err(DomainError::NoCells { nx, ny });
    }
    if nx > u64::from(SIDE_MAX) || ny > u64::from(SIDE_MAX) {
        return Err(DomainError::Grid { nx, ny });
    }
    Ok(())
}
