//! A mask with a coast line that is rough at every scale, of any size, from a seed: heights at the corners of large
//! squares, and halfway between two corners their mean with a displacement that shrinks with the square. A square whose
//! corners are so high or so low that nothing within can cross the sea's level is filled at once; so the cost is that
//! of the coast, and not of the area.

/// Side of the largest squares, a power of two.
const SIDE: u32 = 8192;
/// How far a height lies from the mean at most, in the largest squares.
const SWING: i64 = 1 << 40;
/// The displacement of a square half as large, in 16ths: rougher with more.
const ROUGHNESS: i64 = 10;
/// Of the swing, in 16ths: above that is land, so that about two thirds are sea.
const LEVEL: i64 = 3;

/// A packed mask: as P4 has it, 1 is sea.
struct Mask {
    nx: u32,
    ny: u32,
    stride: usize,
    bytes: Vec<u8>,
}

/// The raster of such a mask, each row padded to whole bytes.
pub fn raster(nx: u32, ny: u32, seed: u64) -> Vec<u8> {
    let stride = nx.div_ceil(8) as usize;
    let mut mask = Mask { nx, ny, stride, bytes: vec![0; stride * ny as usize] };
    for y in (0..ny).step_by(SIDE as usize) {
        for x in (0..nx).step_by(SIDE as usize) {
            let corner = |x, y| displacement(seed, x, y, SWING);
            let (x1, y1) = (x + SIDE, y + SIDE);
            let corners = [corner(x, y), corner(x1, y), corner(x, y1), corner(x1, y1)];
            mask.square(seed, (x, y), SIDE, corners, SWING * ROUGHNESS / 16);
        }
    }
    mask.bytes
}

impl Mask {
    /// `swing` is how far the middle of a side may be from its ends' mean.
    fn square(&mut self, seed: u64, (x, y): (u32, u32), side: u32, corners: [i64; 4], swing: i64) {
        if x >= self.nx || y >= self.ny {
            return;
        }
        let [a, b, c, d] = corners;
        let level = SWING * LEVEL / 16;
        // All displacements that are still to come, one within another.
        let reach = swing * 16 / (16 - ROUGHNESS);
        let (lowest, highest) = (a.min(b).min(c).min(d), a.max(b).max(c).max(d));
        if side == 1 || lowest - reach > level || highest + reach < level {
            if a < level {
                self.fill(x, y, side);
            }
            return;
        }
        let half = side / 2;
        let middle = |p: i64, q: i64, x: u32, y: u32| (p + q) / 2 + displacement(seed, x, y, swing);
        let (north, south) = (middle(a, b, x + half, y), middle(c, d, x + half, y + side));
        let (west, east) = (middle(a, c, x, y + half), middle(b, d, x + side, y + half));
        let centre = (a + b + c + d) / 4 + displacement(seed, x + half, y + half, swing);
        let swing = swing * ROUGHNESS / 16;
        self.square(seed, (x, y), half, [a, north, west, centre], swing);
        self.square(seed, (x + half, y), half, [north, b, centre, east], swing);
        self.square(seed, (x, y + half), half, [west, centre, c, south], swing);
        self.square(seed, (x + half, y + half), half, [centre, east, south, d], swing);
    }

    /// Makes a square sea, as far as it lies in the grid.
    fn fill(&mut self, x: u32, y: u32, side: u32) {
        let end = (x + side).min(self.nx);
        for row in y..(y + side).min(self.ny) {
            let row = &mut self.bytes[row as usize * self.stride..][..self.stride];
            let mut at = x;
            while at < end {
                let next = (at / 8 + 1) * 8;
                let to = next.min(end);
                let bits = (0xff_u32 >> (at % 8)) & (0xff << (next - to));
                row[(at / 8) as usize] |= bits as u8;
                at = to;
            }
        }
    }
}

/// Between -`swing` and `swing`, the same for a place whichever square asks.
fn displacement(seed: u64, x: u32, y: u32, swing: i64) -> i64 {
    let mut z = seed ^ (u64::from(x) << 32 | u64::from(y)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let unit = ((z ^ z >> 31) >> 48) as i64 - (1 << 15);
    (swing >> 15) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_sea_and_the_same_seed_makes_the_same() {
        let (nx, ny) = (30_001, 15_000);
        let mask = raster(nx, ny, 7);
        let sea: u64 = mask.iter().map(|byte| u64::from(byte.count_ones())).sum();
        let all = u64::from(nx) * u64::from(ny);
        assert!(sea > all / 4 && sea < all * 9 / 10, "{sea} of {all}");
        assert_eq!(raster(300, 200, 7), raster(300, 200, 7));
        assert_ne!(raster(30_001, 99, 8), raster(30_001, 99, 7));
        let padding =
            mask.chunks(nx.div_ceil(8) as usize).all(|row| row.last().is_some_and(|b| b & 0x7f == 0));
        assert!(padding, "30,001 columns leave one bit in the last byte");
    }
}
