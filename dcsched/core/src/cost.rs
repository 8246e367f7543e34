//! What work costs: the order in which subtasks start, the makespan that follows from it, and what measured times
//! teach of a kernel. Integers only, so that every machine decides alike.

use dc_model::SubtaskId;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A subtask's cost: its time is `cells / cores`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Effective cells (the sum of the weights).
    pub cells: u64,
    /// Cores that share them; 0 counts as 1.
    pub cores: u32,
}

impl Cost {
    /// Compares times, exactly: `cells / cores` without dividing.
    #[must_use]
    pub fn cmp_time(self, other: Self) -> Ordering {
        let crossed = |a: Self, b: Self| u128::from(a.cells) * u128::from(b.cores.max(1));
        crossed(self, other).cmp(&crossed(other, self))
    }
}

impl From<u64> for Cost {
    fn from(cells: u64) -> Self {
        Self { cells, cores: 1 }
    }
}

impl From<(u64, u32)> for Cost {
    fn from((cells, cores): (u64, u32)) -> Self {
        Self { cells, cores }
    }
}

/// All subtasks, longest first, ties by id. Costs come in the order of ids, as cells or as `(cells, cores)`.
/// Those that cost nothing come last; they never run.
#[must_use]
pub fn order<C: Into<Cost>>(costs: impl IntoIterator<Item = C>) -> Vec<SubtaskId> {
    let costs: Vec<Cost> = costs.into_iter().map(Into::into).collect();
    let mut ids: Vec<SubtaskId> = (0..costs.len()).map(|id| SubtaskId(id as u32)).collect();
    ids.sort_by(|a, b| costs[b.index()].cmp_time(costs[a.index()]).then(a.cmp(b)));
    ids
}

/// The time that `slots` equal slots take for `costs` in the order given, each pulled by the first slot to be free;
/// in the unit of the costs. With [`order`]'s order that is the longest-first makespan. No slots count as one.
#[must_use]
pub fn makespan(costs: impl IntoIterator<Item = u64>, slots: u32) -> u128 {
    let slots = slots.max(1) as usize;
    // Slots that have not run yet are not in the heap, so that a huge count of them costs nothing.
    let mut ends: BinaryHeap<Reverse<u128>> = BinaryHeap::new();
    let mut last = 0;
    for cost in costs {
        let start = if ends.len() < slots { 0 } else { ends.pop().map_or(0, |Reverse(end)| end) };
        let end = start + u128::from(cost);
        last = last.max(end);
        ends.push(Reverse(end));
    }
    last
}

/// Cells are kept with this many bits at most, times with [`NS_BITS`]; so all sums and products below fit.
const CELLS_BITS: u32 = 28;
/// 2^52 ns are 52 days; longer times count as that.
const NS_BITS: u32 = 52;
/// After so many observations all sums are halved: a kernel that changes its pace is followed.
const COUNT_MAX: u64 = 1024;
/// Bits after the point of a slope.
const SLOPE_BITS: u32 = 24;

/// What measured times say of a kernel on a node: `a + b · cells` nanoseconds, by least squares, where that makes
/// sense; else the mean time a cell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CostModel {
    /// Cells are counted in units of 2^shift, grown with the largest seen.
    shift: u32,
    count: u64,
    /// Sums over x = cells >> shift (below 2^28) and y = ns (at most 2^52), at most 1024 of each.
    x: u128,
    y: u128,
    xx: u128,
    xy: u128,
}

impl CostModel {
    /// A subtask of so many cells took so many nanoseconds. With several cores: its cells a core.
    pub fn observe(&mut self, cells: u64, ns: u64) {
        if cells == 0 {
            return;
        }
        self.fit(cells);
        let x = u128::from(cells >> self.shift);
        let y = u128::from(ns.min(1 << NS_BITS));
        self.count += 1;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.xy += x * y;
        if self.count >= COUNT_MAX {
            self.count /= 2;
            for sum in [&mut self.x, &mut self.y, &mut self.xx, &mut self.xy] {
                *sum /= 2;
            }
        }
    }

    /// The time that so many cells should take, in nanoseconds. Nothing before the first observation.
    #[must_use]
    pub fn predict_ns(&self, cells: u64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let ns = match self.line() {
            Some((base_ns, slope)) => base_ns.saturating_add(self.times(slope, cells)),
            None => self.times(self.mean_slope()?, cells),
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

    /// Makes room for this many cells in [`CELLS_BITS`].
    fn fit(&mut self, cells: u64) {
        let bits = u64::BITS - cells.leading_zeros();
        let more = bits.saturating_sub(CELLS_BITS).saturating_sub(self.shift);
        self.shift += more;
        self.x >>= more;
        self.xx >>= 2 * more;
        self.xy >>= more;
    }

    /// `a` in ns and `b` in 2^-24 ns a unit of cells, where both are at least 0 and the cells differ at all.
    fn line(&self) -> Option<(u128, u128)> {
        let n = u128::from(self.count);
        let spread = (n * self.xx).checked_sub(self.x * self.x).filter(|s| *s > 0)?;
        // n · Σxy stays below 2^(10 + 10 + 28 + 52) = 2^100, and 2^124 after the shift.
        let rise = (n * self.xy).checked_sub(self.x * self.y)?;
        let slope = (rise << SLOPE_BITS) / spread;
        let base = self.y.checked_sub(slope.saturating_mul(self.x) >> SLOPE_BITS)?;
        Some((base / n, slope))
    }

    /// The mean time of a unit of cells, in 2^-24 ns.
    fn mean_slope(&self) -> Option<u128> {
        (self.y << SLOPE_BITS).checked_div(self.x)
    }

    fn times(&self, slope: u128, cells: u64) -> u128 {
        slope.saturating_mul(u128::from(cells)) >> (SLOPE_BITS + self.shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn longest_first_ties_by_id() {
        let ids = |order: Vec<SubtaskId>| order.iter().map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(ids(order([5u64, 9, 0, 9, 7])), [1, 3, 4, 0, 2]);
        // 12 cells on 4 cores are shorter than 4 cells on one.
        assert_eq!(ids(order([(12u64, 4), (4, 1), (u64::MAX, 1), (u64::MAX, 2)])), [2, 3, 1, 0]);
        assert_eq!(ids(order::<u64>([])), []);
    }

    #[test]
    fn slots_pull() {
        assert_eq!(makespan([3, 3, 2, 2, 2], 2), 7);
        assert_eq!(makespan([1; 64], 48), 2);
        assert_eq!(makespan([u64::MAX; 3], 1), 3 * u128::from(u64::MAX));
        assert_eq!(makespan([4, 4], u32::MAX), 4);
        assert_eq!(makespan([], 0), 0);
    }

    #[test]
    fn a_line_is_found_below_a_nanosecond_a_cell() {
        let mut model = CostModel::default();
        assert_eq!(model.predict_ns(1), None);
        // 2 ms to start, 0.25 ns a cell.
        for cells in [1_000_000u64, 2_000_000, 8_000_000, 3_000_000] {
            model.observe(cells, 2_000_000 + cells / 4);
        }
        for cells in [0u64, 500_000, 4_000_000, 1 << 32] {
            let (found, wanted) = (model.predict_ns(cells).unwrap(), 2_000_000 + cells / 4);
            assert!(found.abs_diff(wanted) <= wanted / 1000, "{cells}: {found} is not {wanted}");
        }
    }

    #[test]
    fn equal_cells_give_the_mean_time() {
        let mut model = CostModel::default();
        model.observe(100, 1000);
        model.observe(100, 3000);
        assert_eq!(model.predict_ns(100), Some(2000));
        assert_eq!(model.predict_ns(50), Some(1000));
        assert_eq!(model.predict_end_ns([100; 6], 4), Some(3000));
        assert_eq!(model.predict_end_ns([100, 1], 4), Some(2000), "no less than the longest");
        assert_eq!(model.predict_end_ns([], 4), Some(0));
    }

    #[test]
    fn a_fall_with_cells_is_not_believed() {
        let mut model = CostModel::default();
        model.observe(1000, 50);
        model.observe(10, 5000);
        assert_eq!(model.predict_ns(1010), Some(5050));
    }

    #[test]
    fn a_change_of_pace_is_followed() {
        let mut model = CostModel::default();
        (0..5000).for_each(|_| model.observe(10, 100));
        (0..5000).for_each(|_| model.observe(10, 300));
        assert!(model.predict_ns(10).unwrap() > 290);
    }

    proptest! {
        #[test]
        fn no_numbers_overflow(
            seen in prop::collection::vec((any::<u64>(), any::<u64>()), 0..40),
            repeats in 1usize..100,
            cells in any::<u64>(),
        ) {
            let mut model = CostModel::default();
            for (cells, ns) in seen.iter().cycle().take(seen.len() * repeats) {
                model.observe(*cells, *ns);
            }
            let known = seen.iter().any(|(cells, _)| *cells > 0);
            prop_assert_eq!(model.predict_ns(cells).is_some(), known);
        }

        /// List scheduling, longest first, is within 4/3 of what no schedule can beat.
        #[test]
        fn a_makespan_is_bounded(mut costs in prop::collection::vec(1u64..1000, 1..60), slots in 1u32..20) {
            costs.sort_unstable_by_key(|c| Reverse(*c));
            let found = makespan(costs.iter().copied(), slots);
            let sum: u128 = costs.iter().map(|c| u128::from(*c)).sum();
            let mut least = sum.div_ceil(u128::from(slots)).max(u128::from(costs[0]));
            if let Some(second) = costs.get(slots as usize) {
                least = least.max(u128::from(costs[slots as usize - 1]) + u128::from(*second));
            }
            prop_assert!(found >= sum.div_ceil(u128::from(slots)).max(u128::from(costs[0])));
            prop_assert!(3 * found <= 4 * least + 3 * u128::from(*costs.last().unwrap()));
        }
    }
}
