//! Sums over any rectangle of a domain in bounded time, at a fraction of a byte a cell: sums from the grid's corner
//! along every row, but only at each `tile`-th column, and along every column, but only at each `strip`-th row; what
//! lies between is counted in the domain.

use super::numbers::Numbers;
use dc_model::{Block, Domain};

/// Up to this many cells the index is fine: 1 byte a cell, and sums that cost next to nothing.
const FINE_CELLS_MAX: u64 = 1 << 24;

/// What is summed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Quantity {
    /// Effective cells.
    Count,
    /// Weights.
    Cost,
}

/// Sums over the rectangles of one domain.
#[derive(Debug)]
pub(super) struct Index<'a> {
    domain: &'a Domain,
    quantity: Quantity,
    /// Columns between two sums of a row: divides 64, or is a multiple of it.
    tile: u32,
    /// Rows between two sums of a column.
    strip: u32,
    nx: usize,
    /// The sum over rows below `strip * (i / (nx + 1) + 1)` and columns below `i % (nx + 1)`, by i.
    by_column: Numbers,
    /// The sum over rows below `i / across` and columns below `tile * (i % across + 1)`, by i.
    by_row: Numbers,
    /// Whole tiles across.
    across: usize,
}

impl<'a> Index<'a> {
    pub(super) fn new(domain: &'a Domain, quantity: Quantity) -> Self {
        let cells = domain.block().area();
        // Bits between the sums are counted 64 at once, weights one by one.
        let words = domain.is_mask() || quantity == Quantity::Count;
        let (tile, strip) = match (cells <= FINE_CELLS_MAX, words) {
            (true, _) => (8, 8),
            // A row's tile is half of a cache line; to each of a strip's rows there is one.
            (false, true) => (256, 128),
            (false, false) => (16, 16),
        };
        Self::with_tile(domain, quantity, tile, strip)
    }

    fn with_tile(domain: &'a Domain, quantity: Quantity, tile: u32, strip: u32) -> Self {
        let (nx, across) = (domain.nx() as usize, (domain.nx() / tile) as usize);
        let most = match quantity {
            Quantity::Count => domain.effective(),
            Quantity::Cost => domain.cost(),
        };
        let mut index = Self {
            domain,
            quantity,
            tile,
            strip,
            nx,
            by_column: Numbers::new(most, (domain.ny() / strip) as usize * (nx + 1)),
            by_row: Numbers::new(most, (domain.ny() as usize + 1) * across),
            across,
        };
        index.fill();
        index
    }

    fn fill(&mut self) {
        let mut columns = vec![0u64; self.nx];
        (0..self.across).for_each(|_| self.by_row.push(0));
        for y in 0..self.domain.ny() {
            self.add_row(y, &mut columns);
            if (y + 1).is_multiple_of(self.strip) {
                let mut sum = 0;
                self.by_column.push(0);
                for column in &columns {
                    sum += column;
                    self.by_column.push(sum);
                }
            }
            let above = self.by_row.len() - self.across;
            let mut sum = 0;
            for tile in 0..self.across {
                let x = tile as u32 * self.tile;
                sum += self.in_row(y, x, x + self.tile);
                self.by_row.push(self.by_row.get(above + tile) + sum);
            }
        }
    }

    /// Adds a row's cells to the columns' sums.
    fn add_row(&self, y: u32, columns: &mut [u64]) {
        match self.domain.row_weights(y) {
            Some(weights) if self.quantity == Quantity::Cost => weights.add_to(columns),
            _ => {
                for (word, columns) in (0..).zip(columns.chunks_mut(64)) {
                    let bits = self.domain.row_word(y, word);
                    for (i, column) in columns.iter_mut().enumerate() {
                        *column += bits >> (63 - i) & 1;
                    }
                }
            }
        }
    }

    /// The sum over columns `x0 ≤ x < x1` of a row, which lie within one tile.
    fn in_row(&self, y: u32, x0: u32, x1: u32) -> u64 {
        if x0 >= x1 {
            return 0;
        }
        match self.domain.row_weights(y) {
            Some(weights) if self.quantity == Quantity::Cost => weights.sum(x0 as usize..x1 as usize),
            _ => {
                let (mut x, mut sum) = (x0, 0);
                while x < x1 {
                    let end = x1.min((x / 64 + 1) * 64);
                    let bits = self.domain.row_word(y, x / 64) << (x % 64);
                    sum += u64::from((bits >> (64 - (end - x))).count_ones());
                    x = end;
                }
                sum
            }
        }
    }

    /// The sum over rows below `y` and columns below `x`; both within the grid. It goes from the nearer one of the two
    /// rows that have sums of columns.
    fn corner(&self, x: u32, y: u32) -> u64 {
        let above = y / self.strip;
        let below = above + 1;
        let nearer_below = y % self.strip > self.strip / 2 && below <= self.domain.ny() / self.strip;
        if nearer_below {
            self.in_strips(x, below) - self.in_rows(x, y, below * self.strip)
        } else {
            self.in_strips(x, above) + self.in_rows(x, above * self.strip, y)
        }
    }

    /// The sum over the first `strips` strips and columns below `x`.
    fn in_strips(&self, x: u32, strips: u32) -> u64 {
        let Some(last) = strips.checked_sub(1) else { return 0 };
        self.by_column.get(last as usize * (self.nx + 1) + x as usize)
    }

    /// The sum over rows `y0 ≤ y < y1` and columns below `x`.
    fn in_rows(&self, x: u32, y0: u32, y1: u32) -> u64 {
        let tile = (x / self.tile) as usize;
        let mut sum = (y0..y1).map(|y| self.in_row(y, tile as u32 * self.tile, x)).sum::<u64>();
        if tile > 0 && y0 < y1 {
            let at = |y: u32| self.by_row.get(y as usize * self.across + tile - 1);
            sum += at(y1) - at(y0);
        }
        sum
    }

    /// The sum over a block of the grid.
    pub(super) fn sum(&self, block: Block) -> u64 {
        // In this order no difference falls below 0.
        (self.corner(block.x1, block.y1) - self.corner(block.x0, block.y1))
            - (self.corner(block.x1, block.y0) - self.corner(block.x0, block.y0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields() -> impl Strategy<Value = (Domain, Vec<Block>)> {
        (1u32..600, 1u32..40).prop_flat_map(|(nx, ny)| {
            let weight = prop_oneof![Just(0u16), any::<u16>()];
            let block = (0..=nx, 0..=nx, 0..=ny, 0..=ny).prop_map(|(a, b, c, d)| Block {
                x0: a.min(b),
                x1: a.max(b),
                y0: c.min(d),
                y1: c.max(d),
            });
            let weights = prop::collection::vec(weight, (nx * ny) as usize).prop_map(|mut weights| {
                weights[0] |= 1;
                weights
            });
            (weights, prop::collection::vec(block, 20))
                .prop_map(move |(weights, blocks)| (Domain::from_weights(nx, ny, weights).unwrap(), blocks))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn sums_are_those_of_the_cells((field, blocks) in fields(), tile in prop::sample::select(&[8u32, 16, 64, 256]),
            strip in prop::sample::select(&[8u32, 16, 32])) {
            let mask = Domain::from_mask(field.nx(), field.ny(), |x, y| field.is_effective(x, y)).unwrap();
            for (domain, quantity) in
                [(&field, Quantity::Cost), (&field, Quantity::Count), (&mask, Quantity::Cost), (&mask, Quantity::Count)]
            {
                let index = Index::with_tile(domain, quantity, tile, strip);
                for block in &blocks {
                    let wanted = match quantity {
                        Quantity::Cost => domain.cost_in(*block),
                        Quantity::Count => domain.effective_in(*block),
                    };
                    prop_assert_eq!(index.sum(*block), wanted);
                }
            }
        }
    }
}
