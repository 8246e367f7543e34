//! Lines are found again, with and without noise; nothing overflows; what is known orders as costs do.

use super::*;
use crate::cost::{Cost, order};
use proptest::prelude::*;

/// Pseudo-random numbers; a test that fails tells its seed.
struct Noise(u64);

impl Noise {
    /// From -`most` to `most`.
    fn next(&mut self, most: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as i64 % (2 * most + 1) - most
    }
}

fn assert_near(model: &CostModel, cells: u64, wanted: u64, per_mille: u64) {
    assert_near_of(0, model, cells, wanted, per_mille);
}

fn assert_near_of(seed: u64, model: &CostModel, cells: u64, wanted: u64, per_mille: u64) {
    let found = model.predict_ns(cells).unwrap();
    let is_near = found.abs_diff(wanted) <= wanted * per_mille / 1000;
    assert!(is_near, "{cells}: {found} is not {wanted} (seed {seed})");
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
        assert_near(&model, cells, 2_000_000 + cells / 4, 1);
    }
}

#[test]
fn a_hundredfold_range_is_found_exactly() {
    // 5 ms to start, 40 ns a cell, blocks from 1,000 to 100,000 cells.
    let mut model = CostModel::default();
    for cells in (1..=100u64).map(|i| i * 1000) {
        model.observe(cells, 5_000_000 + 40 * cells);
    }
    for cells in [1000, 17_000, 100_000, 10_000_000] {
        assert_near(&model, cells, 5_000_000 + 40 * cells, 1);
    }
}

#[test]
fn a_hundredfold_range_is_found_under_noise_and_outliers() {
    for seed in 1..=20 {
        let (mut noise, mut model) = (Noise(seed), CostModel::default());
        for i in 0..400u64 {
            let cells = 1000 * (1 + i * 37 % 100);
            let true_ns = (5_000_000 + 4_000 * cells) as i64;
            let noisy = true_ns + true_ns / 1000 * noise.next(100);
            // Each fiftieth hung for an hour.
            let ns = if i % 50 == 49 { 3_600_000_000_000 } else { noisy };
            model.observe(cells, ns as u64);
        }
        for cells in [10_000, 50_000, 100_000] {
            assert_near_of(seed, &model, cells, 5_000_000 + 4_000 * cells, 350);
        }
    }
}

#[test]
fn noise_alone_averages_out() {
    for seed in 1..=20 {
        let (mut noise, mut model) = (Noise(seed), CostModel::default());
        for i in 0..400u64 {
            let cells = 1000 * (1 + i * 37 % 100);
            let true_ns = (5_000_000 + 4_000 * cells) as i64;
            model.observe(cells, (true_ns + true_ns / 1000 * noise.next(100)) as u64);
        }
        for cells in [10_000, 50_000, 100_000] {
            assert_near_of(seed, &model, cells, 5_000_000 + 4_000 * cells, 50);
        }
    }
}

#[test]
fn what_two_runs_learned_is_added_up() {
    let (mut one, mut two, mut both) = (CostModel::default(), CostModel::default(), CostModel::default());
    for (i, cells) in [3u64, 90, 1 << 30, 77, 1 << 40, 5].into_iter().enumerate() {
        let run = if i % 2 == 0 { &mut one } else { &mut two };
        run.observe(cells, 1000 + cells * 3);
        both.observe(cells, 1000 + cells * 3);
    }
    one.add(&two);
    assert_eq!(one.observations(), both.observations());
    assert_near(&one, 1 << 40, both.predict_ns(1 << 40).unwrap(), 1);
}

#[test]
fn old_observations_give_way() {
    let mut model = CostModel::default();
    (1..=500u64).for_each(|cells| model.observe(cells, cells * 1000));
    model.weigh_at_most(16);
    assert_eq!(model.observations(), 16);
    assert_near(&model, 100, 100_000, 2);
    (1..=160u64).for_each(|cells| model.observe(cells * 3, cells * 6000));
    assert!(model.predict_ns(100).unwrap() > 180_000, "twice as slow: {:?}", model.predict_ns(100));
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
fn cells_that_hardly_differ_give_no_line() {
    let mut model = CostModel::default();
    for (cells, ns) in [(1000, 90), (1010, 110), (1005, 100), (995, 100)] {
        model.observe(cells, ns);
    }
    // Noise of a tenth over cells that differ by a hundredth: not 10 ns for 100,000 cells, nor 0.
    assert_near(&model, 100_000, 9_975, 10);
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
    (0..5000).for_each(|_| model.observe(10, 30_000));
    assert!(model.predict_ns(10).unwrap() > 29_000, "beyond what one outlier may be, too");
}

proptest! {
    #[test]
    fn no_numbers_overflow(
        seen in prop::collection::vec((any::<u64>(), any::<u64>()), 0..40),
        repeats in 1usize..100,
        cells in any::<u64>(),
        weight in 0u64..2000,
    ) {
        let mut model = CostModel::default();
        for (cells, ns) in seen.iter().cycle().take(seen.len() * repeats) {
            model.observe(*cells, *ns);
        }
        let known = seen.iter().any(|(cells, _)| *cells > 0);
        prop_assert_eq!(model.predict_ns(cells).is_some(), known);
        prop_assert!(model.sums().is_possible());
        let mut twice = model.clone();
        twice.weigh_at_most(weight);
        twice.add(&model);
        prop_assert!(twice.sums().is_possible());
        let _ = twice.predict_ns(cells);
    }

    /// Whatever was learned, `a` included: who has more cells a core is never predicted to be sooner, so that the
    /// order by predicted time is the order by cost.
    #[test]
    fn the_order_by_predicted_time_is_that_by_cost(
        seen in prop::collection::vec((1u64..100_000, 1u64..1_000_000_000), 1..40),
        costs in prop::collection::vec((1u64..1_000_000, 1u32..5), 1..40),
    ) {
        let mut model = CostModel::default();
        seen.iter().for_each(|(cells, ns)| model.observe(*cells, *ns));
        let ns: Vec<u64> = order(costs.iter().copied())
            .iter()
            .map(|id| Cost::from(costs[id.index()]))
            .map(|cost| model.predict_ns(cost.cells / u64::from(cost.cores)).unwrap())
            .collect();
        prop_assert!(ns.windows(2).all(|pair| pair[0] >= pair[1]), "{ns:?}");
    }
}
