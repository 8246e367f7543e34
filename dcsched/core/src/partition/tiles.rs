//! Uniform tiles: the same rectangle again and again from the upper left, for codes that want blocks of one shape.

use super::Piece;
use dc_model::{Block, Domain};

/// How many tiles of `width` × `height` the grid takes, those without an effective cell counted too.
#[must_use]
pub fn tiles_total(domain: &Domain, width: u32, height: u32) -> u64 {
    let along = |side: u32, tile: u32| u64::from(side.div_ceil(tile.max(1)));
    along(domain.nx(), width) * along(domain.ny(), height)
}

/// Cuts a domain into tiles of `width` × `height` cells (0 counts as 1), from the upper left and row by row; those at
/// the right and lower edge are smaller. A tile without an effective cell vanishes; the others are not shrunk.
#[must_use]
pub fn tiles(domain: &Domain, width: u32, height: u32) -> Vec<Piece> {
    let (width, height) = (width.max(1), height.max(1));
    let starts = |side: u32, tile: u32| (0..side).step_by(tile as usize);
    let end = |start: u32, tile: u32, side: u32| start.saturating_add(tile).min(side);
    let (nx, ny) = (domain.nx(), domain.ny());
    let mut pieces = Vec::new();
    for y0 in starts(ny, height) {
        for x0 in starts(nx, width) {
            let block = Block { x0, y0, x1: end(x0, width, nx), y1: end(y0, height, ny) };
            let cells = domain.cost_in(block);
            if cells > 0 {
                pieces.push(Piece { block, cells, effective: domain.effective_in(block) });
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_by_row_with_smaller_ones_at_the_edges() {
        // 7 x 5, with land in the second tile of the first row.
        let domain = Domain::from_mask(7, 5, |x, y| !((3..6).contains(&x) && y < 2)).unwrap();
        let blocks: Vec<_> = tiles(&domain, 3, 2).iter().map(|piece| piece.block.to_string()).collect();
        let wanted = ["0 0 3 2", "6 0 7 2", "0 2 3 4", "3 2 6 4", "6 2 7 4", "0 4 3 5", "3 4 6 5", "6 4 7 5"];
        assert_eq!(blocks, wanted);
        assert_eq!(tiles_total(&domain, 3, 2), 9);
        let sum: u64 = tiles(&domain, 3, 2).iter().map(|piece| piece.effective).sum();
        assert_eq!(sum, domain.effective());
    }

    #[test]
    fn a_tile_larger_than_the_grid_is_the_grid() {
        let domain = Domain::from_weights(2, 1, vec![0, 9]).unwrap();
        let whole = Piece { block: domain.block(), cells: 9, effective: 1 };
        assert_eq!(tiles(&domain, u32::MAX, u32::MAX), [whole]);
        assert_eq!(tiles(&domain, 0, 0).len(), 1, "0 counts as 1, and a tile of weight 0 vanishes");
    }
}
