//! Sums over measured times, from which the core fits what a kernel costs; kept between runs by spool.

/// Observations are counted in units of 1/4096, so that old ones can be made to count for less without their sums
/// losing their digits.
pub const WEIGHT_ONE: u64 = 1 << 12;
/// The most observations that are counted; beyond, all sums are halved.
pub const OBSERVATIONS_MAX: u64 = 1024;
/// Cells are kept with this many bits at most.
pub const CELLS_BITS: u32 = 28;
/// 2^52 ns are 52 days; longer times count as that.
pub const NS_BITS: u32 = 52;

/// Weighted sums over observations of x cells (in units of 2^shift) that took y nanoseconds. Two of them are added up
/// field by field once their shifts are equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CostSums {
    /// Cells are counted in units of 2^shift, grown with the largest seen.
    pub shift: u32,
    /// How many observations, in units of 1/4096.
    pub weight: u64,
    /// Σ w·x
    pub x: u128,
    /// Σ w·y
    pub y: u128,
    /// Σ w·x²
    pub xx: u128,
    /// Σ w·x·y
    pub xy: u128,
}

impl CostSums {
    /// Whether observations can have given these sums: what comes from a file is held against it, so that nothing
    /// computed from it overflows.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let weight = u128::from(self.weight);
        let fits = |sum: u128, bits: u32| sum <= weight << bits;
        self.shift <= u64::BITS - CELLS_BITS
            && self.weight <= OBSERVATIONS_MAX * WEIGHT_ONE
            && fits(self.x, CELLS_BITS)
            && fits(self.y, NS_BITS)
            && fits(self.xx, 2 * CELLS_BITS)
            && fits(self.xy, CELLS_BITS + NS_BITS)
    }

    /// Observations, rounded.
    #[must_use]
    pub fn observations(&self) -> u64 {
        (self.weight + WEIGHT_ONE / 2) / WEIGHT_ONE
    }

    /// Makes them count for at most so many observations.
    pub fn weigh_at_most(&mut self, observations: u64) {
        let max = observations.min(OBSERVATIONS_MAX) * WEIGHT_ONE;
        if self.weight <= max {
            return;
        }
        let (numerator, denominator) = (u128::from(max), u128::from(self.weight));
        for sum in [&mut self.x, &mut self.y, &mut self.xx, &mut self.xy] {
            // At most 2^(22 + 80) · 2^22.
            *sum = *sum * numerator / denominator;
        }
        self.weight = max;
    }

    /// Counts cells in units of 2^shift, where that is coarser than now.
    pub fn coarsen(&mut self, shift: u32) {
        let more = shift.saturating_sub(self.shift).min(u64::BITS - 1);
        self.shift += more;
        self.x >>= more;
        self.xx = self.xx.checked_shr(2 * more).unwrap_or(0);
        self.xy >>= more;
    }

    /// Adds others up with these. Beyond [`OBSERVATIONS_MAX`] all count for less.
    pub fn add(&mut self, mut other: Self) {
        self.coarsen(other.shift);
        other.coarsen(self.shift);
        self.weight += other.weight;
        self.x += other.x;
        self.y += other.y;
        self.xx += other.xx;
        self.xy += other.xy;
        if self.weight > OBSERVATIONS_MAX * WEIGHT_ONE {
            self.weight /= 2;
            for sum in [&mut self.x, &mut self.y, &mut self.xx, &mut self.xy] {
                *sum /= 2;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(cells: u64, ns: u64) -> CostSums {
        let (w, x, y) = (u128::from(WEIGHT_ONE), u128::from(cells), u128::from(ns));
        CostSums { shift: 0, weight: WEIGHT_ONE, x: w * x, y: w * y, xx: w * x * x, xy: w * x * y }
    }

    #[test]
    fn adding_is_counting_all() {
        let mut sums = one(3, 10);
        sums.add(one(5, 20));
        assert_eq!(sums.observations(), 2);
        assert_eq!(sums.x, 8 * 4096);
        assert_eq!(sums.xy, 130 * 4096);
        sums.add(CostSums { shift: 1, ..one(4, 7) });
        assert_eq!((sums.shift, sums.x), (1, 8 * 4096), "8 cells and 4 units of 2 cells");
        assert!(sums.is_possible());
    }

    #[test]
    fn less_weight_leaves_the_means() {
        let mut sums = CostSums::default();
        (0..100).for_each(|_| sums.add(one(7, 1001)));
        sums.weigh_at_most(3);
        assert_eq!((sums.observations(), sums.x, sums.y), (3, 3 * 7 * 4096, 3 * 1001 * 4096));
        let before = sums;
        sums.weigh_at_most(3);
        assert_eq!(sums, before);
    }

    #[test]
    fn the_sums_stay_within_their_bounds() {
        let mut sums = CostSums::default();
        let largest = one((1 << CELLS_BITS) - 1, 1 << NS_BITS);
        (0..5000).for_each(|_| sums.add(largest));
        assert!(sums.is_possible());
        assert!(!CostSums { weight: u64::MAX, ..sums }.is_possible());
        assert!(!CostSums { xy: u128::MAX, ..sums }.is_possible());
        assert!(!CostSums { shift: 64, ..sums }.is_possible());
    }
}
