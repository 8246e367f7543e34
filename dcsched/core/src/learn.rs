//! What measured times teach of a kernel on a node: `a + b · cells` nanoseconds, by least squares over sums of
//! integers, so that every machine predicts alike and what several runs learned is added up.

use dc_model::CostSums;
use dc_model::cost::{CELLS_BITS, NS_BITS, WEIGHT_ONE};

/// Bits after the point of a slope.
const SLOPE_BITS: u32 = 24;
/// From so many observations on an outlier is cut: to so many times what was expected, and the mean time.
const TRUSTED: u64 = 8;
const OUTLIER: u64 = 2;
/// A line is believed where the cells' variance is at least their squared mean over this: a standard deviation of an
/// eighth of the mean. Cells closer together tell nothing but noise about the slope.
const SPREAD: u128 = 64;

/// What measured times say of a kernel on a node: a line where that makes sense, else the mean time a cell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CostModel {
    sums: CostSums,
}

impl From<CostSums> for CostModel {
    /// Sums that are not possible teach nothing.
    fn from(sums: CostSums) -> Self {
        Self { sums: if sums.is_possible() { sums } else { CostSums::default() } }
    }
}

impl CostModel {
    /// A subtask of so many cells took so many nanoseconds. With several cores: its cells a core.
    pub fn observe(&mut self, cells: u64, ns: u64) {
        if cells == 0 {
            return;
        }
        let ns = ns.min(self.most_believed_ns(cells)).min(1 << NS_BITS);
        let bits = u64::BITS - cells.leading_zeros();
        let shift = bits.saturating_sub(CELLS_BITS).max(self.sums.shift);
        let (w, x, y) = (u128::from(WEIGHT_ONE), u128::from(cells >> shift), u128::from(ns));
        self.sums.add(CostSums {
            shift,
            weight: WEIGHT_ONE,
            x: w * x,
            y: w * y,
            xx: w * x * x,
            xy: w * x * y,
        });
    }

    /// Adds what was learned elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.sums.add(other.sums);
    }

    /// Makes what was learned count for at most so many observations, so that newer ones soon outweigh it.
    pub fn weigh_at_most(&mut self, observations: u64) {
        self.sums.weigh_at_most(observations);
    }

    /// How many observations it rests on.
    #[must_use]
    pub fn observations(&self) -> u64 {
        self.sums.observations()
    }

    /// The sums, to be kept.
    #[must_use]
    pub fn sums(&self) -> CostSums {
        self.sums
    }

    /// The time that so many cells should take, in nanoseconds. Nothing before the first observation.
    #[must_use]
    pub fn predict_ns(&self, cells: u64) -> Option<u64> {
        if self.sums.weight == 0 {
            return None;
        }
        let ns = match self.line() {
            Some((base_ns, slope)) => base_ns.saturating_add(self.times(slope, cells)),
            // All cells were fewer than a unit: there is no slope to be had.
            None => self.times(self.mean_slope().unwrap_or(0), cells),
        };
        Some(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    /// The time until all of `remaining` are done on `slots` slots: each entry is the cells a subtask still has,
    /// running ones included. No less than the longest of them. In nanoseconds.
    #[must_use]
    pub fn predict_end_ns(&self, remaining: impl IntoIterator<Item = u64>, slots: u32) -> Option<u64> {
        let (mut sum, mut longest) = (0u128, 0);
        for cells in remaining {
            let ns = self.predict_ns(cells)?;
            sum += u128::from(ns);
            longest = longest.max(ns);
        }
        let share = sum.div_ceil(u128::from(slots.max(1)));
        Some(u64::try_from(share).unwrap_or(u64::MAX).max(longest))
    }

    /// Longer times than this are the surroundings' doing, and count as this.
    fn most_believed_ns(&self, cells: u64) -> u64 {
        if self.sums.weight < TRUSTED * WEIGHT_ONE {
            return u64::MAX;
        }
        let mean_ns = u64::try_from(self.sums.y / u128::from(self.sums.weight)).unwrap_or(u64::MAX);
        let expected_ns = self.predict_ns(cells).unwrap_or(u64::MAX);
        expected_ns.saturating_mul(OUTLIER).saturating_add(mean_ns)
    }

    /// `a` in ns and `b` in 2^-24 ns a unit of cells, where both are at least 0 and the cells differ enough.
    fn line(&self) -> Option<(u128, u128)> {
        let CostSums { x, y, xx, xy, .. } = self.sums;
        let n = u128::from(self.sums.weight);
        // All products stay below 2^(22 + 22 + 28 + 52) = 2^124.
        let spread = (n * xx).checked_sub(x * x).filter(|spread| *spread > 0)?;
        if spread < x * x / SPREAD {
            return None;
        }
        let rise = (n * xy).checked_sub(x * y)?;
        let whole = rise.leading_zeros().min(SLOPE_BITS);
        let slope = ((rise << whole) / spread) << (SLOPE_BITS - whole);
        let base = y.checked_sub(slope.checked_mul(x)? >> SLOPE_BITS)?;
        Some((base / n, slope))
    }

    /// The mean time of a unit of cells, in 2^-24 ns.
    fn mean_slope(&self) -> Option<u128> {
        (self.sums.y << SLOPE_BITS).checked_div(self.sums.x)
    }

    fn times(&self, slope: u128, cells: u64) -> u128 {
        slope.saturating_mul(u128::from(cells)) >> (SLOPE_BITS + self.sums.shift)
    }
}

#[cfg(test)]
#[path = "learn_tests.rs"]
mod tests;
