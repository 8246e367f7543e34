//! Partition: a domain cut into rectangles of equal cost.
//!
//! Weighted recursive bisection. Each region is cut down to the smallest rectangle that holds its effective cells,
//! then in two, across its longer side or, where that balances better, its shorter one; what holds no effective cell
//! vanishes. Cuts are sought together under a limit on the dearest block, which is brought down in bounded steps
//! (`search.rs`). Costs are integers, so that every machine cuts alike.

mod auto;
mod index;
mod numbers;
mod region;
mod search;
mod tiles;

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;

pub use auto::{Choice, GOOD_PER_MILLE};
use dc_model::{Block, Domain};
use region::Sums;
pub use tiles::{tiles, tiles_total};

/// A block of the domain, made to be a subtask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The smallest rectangle that holds its effective cells.
    pub block: Block,
    /// Its cost: the sum of its cells' weights. In a mask that is the number of its effective cells.
    pub cells: u64,
    /// Its effective cells: the number of entries of its result.
    pub effective: u64,
}

/// Splits a domain into at most `parts` blocks (0 counts as 1): as many, unless there are fewer effective cells.
///
/// Every effective cell is in exactly one block, and no block is without one. Blocks do not overlap; they come row by
/// row from the top, by (y0, x0), and a block's place here is its subtask's id. The same domain and number always
/// give the same blocks.
#[must_use]
pub fn split(domain: &Domain, parts: u32) -> Vec<Piece> {
    Splitter::new(domain).split(parts)
}

/// The number of blocks for `slots` subtasks at a time; see [`Splitter::choose_parts`].
#[must_use]
pub fn choose_parts(domain: &Domain, slots: u32) -> Choice {
    Splitter::new(domain).choose_parts(slots)
}

/// A domain made ready to be split several times.
#[derive(Debug)]
pub struct Splitter<'a> {
    domain: &'a Domain,
    sums: Sums<'a>,
}

impl<'a> Splitter<'a> {
    /// Sums up the domain, in about a nanosecond a cell. The sums take a byte a cell up to 16 million cells, above
    /// that a twentieth; for weights 2 bytes, and above that 0.55. Where the whole is beyond 32 bits they take twice
    /// that.
    #[must_use]
    pub fn new(domain: &'a Domain) -> Self {
        Self { domain, sums: Sums::new(domain) }
    }

    /// As [`split`].
    #[must_use]
    pub fn split(&self, parts: u32) -> Vec<Piece> {
        let regions = search::split(&self.sums, parts);
        let piece = |r: region::Region| Piece { block: r.block, cells: r.cost, effective: r.count };
        let mut pieces: Vec<Piece> = regions.into_iter().map(piece).collect();
        pieces.sort_unstable_by_key(|piece| (piece.block.y0, piece.block.x0));
        pieces
    }
}
