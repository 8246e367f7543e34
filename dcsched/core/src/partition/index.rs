//! Sums over any rectangle of a domain in bounded time, at a fraction of a byte a cell: sums from the grid's corner
//! along every row and every column, but only at each `tile`-th one; what lies between is counted in the domain.

use dc_model::{Block, Domain};

/// Up to this many cells the index is fine: 2 bytes a cell, and sums that cost next to nothing.
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
    /// Divides 64.
    tile: u32,
    nx: usize,
    /// The sum over rows below `tile * (i / (nx + 1) + 1)` and columns below `i % (nx + 1)`, by i.
    by_column: Vec<u64>,
    /// The sum over rows below `i / across` and columns below `tile * (i % across + 1)`, by i.
    by_row: Vec<u64>,
    /// Whole tiles across.
    across: usize,
}

impl<'a> Index<'a> {
    pub(super) fn new(domain: &'a Domain, quantity: Quantity) -> Self {
        let cells = domain.block().area();
        // Bits between the sums are counted 64 at once, weights one by one.
        let words = domain.is_mask() || quantity == Quantity::Count;
        let tile = match (cells <= FINE_CELLS_MAX, words) {
            (true, _) => 8,
            (false, true) => 64,
            (false, false) => 16,
        };
        Self::with_tile(domain, quantity, tile)
    }

    fn with_tile(domain: &'a Domain, quantity: Quantity, tile: u32) -> Self {
        let (nx, across) = (domain.nx() as usize, (domain.nx() / tile) as usize);
        let mut index = Self {
            domain,
            quantity,
            tile,
            nx,
            by_column: Vec::with_capacity((domain.ny() / tile) as usize * (nx + 1)),
            by_row: Vec::with_capacity((domain.ny() as usize + 1) * across),
            across,
        };
        index.fill();
        index
    }

    fn fill(&mut self) {
        let mut columns = vec![0u64; self.nx];
        self.by_row.resize(self.across, 0);
        for y in 0..self.domain.ny() {
            self.add_row(y, &mut columns);
            if (y + 1).is_multiple_of(self.tile) {
                let mut sum = 0;
                self.by_column.push(0);
                self.by_column.extend(columns.iter().map(|column| {
                    sum += column;
                    sum
                }));
            }
            let above = self.by_row.len() - self.across;
            let mut sum = 0;
            for tile in 0..self.across {
                let x = tile as u32 * self.tile;
                sum += self.in_row(y, x, x + self.tile);
                self.by_row.push(self.by_row[above + tile] + sum);
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
                let bits = self.domain.row_word(y, x0 / 64) << (x0 % 64);
                u64::from((bits >> (64 - (x1 - x0))).count_ones())
            }
        }
    }

    /// The sum over rows below `y` and columns below `x`; both within the grid.
    fn corner(&self, x: u32, y: u32) -> u64 {
        let (strip, tile) = ((y / self.tile) as usize, (x / self.tile) as usize);
        let (y0, x0) = (strip as u32 * self.tile, tile as u32 * self.tile);
        let mut sum = 0;
        if strip > 0 {
            sum += self.by_column[(strip - 1) * (self.nx + 1) + x as usize];
        }
        if tile > 0 && y > y0 {
            let at = |y: u32| self.by_row[y as usize * self.across + tile - 1];
            sum += at(y) - at(y0);
        }
        sum + (y0..y).map(|y| self.in_row(y, x0, x)).sum::<u64>()
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
        (1u32..150, 1u32..40).prop_flat_map(|(nx, ny)| {
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
        fn sums_are_those_of_the_cells((field, blocks) in fields(), tile in prop::sample::select(&[8u32, 16, 64])) {
            let mask = Domain::from_mask(field.nx(), field.ny(), |x, y| field.is_effective(x, y)).unwrap();
            for (domain, quantity) in
                [(&field, Quantity::Cost), (&field, Quantity::Count), (&mask, Quantity::Cost), (&mask, Quantity::Count)]
            {
                let index = Index::with_tile(domain, quantity, tile);
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
