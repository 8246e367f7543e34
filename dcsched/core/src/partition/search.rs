//! The search for cuts: recursive bisection under a limit on what a part may cost, with backtracking. The limit is
//! brought down by halving, from what plain bisection gives towards the mean; every try has its bound on steps.

use super::region::{Region, Sums};

/// How long a block's longer side may be, in terms of its shorter one. The next is tried where blocks of the one
/// before are not there or not within [`GOOD_PER_MILLE`]; the last takes what coasts and odd grids force.
/// 3 costs the ocean masks nothing in balance, and keeps a block's edge within 1.16 of a square's.
const ASPECTS: [u32; 3] = [3, 6, u32::MAX];

/// A dearest part so near to the mean needs no looser shape.
const GOOD_PER_MILLE: u64 = 1020;

/// Cuts looked at in one try: this many, and [`STEPS_A_PART`] a part.
const STEPS: u64 = 8_000;
/// Without backtracking a split takes one a part.
const STEPS_A_PART: u64 = 2;
/// No further try begins after so many cuts.
const STEPS_TOTAL: u64 = 50_000;

/// A search over one domain.
#[derive(Debug)]
pub(super) struct Search<'a> {
    sums: &'a Sums<'a>,
    /// No part may cost more.
    limit: u64,
    /// Nor be longer, in terms of its width.
    aspect: u32,
    /// Cuts that this try may still look at.
    steps_left: u64,
    leaves: Vec<Region>,
}

/// Splits the whole domain into at least 1 part, at most `parts` and no more than there are effective cells.
/// Each region returned is shrunk.
pub(super) fn split(sums: &Sums<'_>, parts: u32) -> Vec<Region> {
    let whole = sums.whole();
    let parts = parts.min(u32::try_from(whole.count).unwrap_or(u32::MAX)).max(1);
    let mean = whole.cost.div_ceil(u64::from(parts));
    let good = mean.saturating_mul(GOOD_PER_MILLE) / 1000;
    let steps = STEPS + STEPS_A_PART * u64::from(parts);
    let mut search = Search { sums, limit: 0, aspect: 0, steps_left: 0, leaves: Vec::new() };
    let (mut best, mut most, mut used) = (vec![whole], u64::MAX, 0);
    for aspect in ASPECTS {
        search.aspect = aspect;
        // Nothing is below the mean; `most` has been reached.
        let mut below = mean - 1;
        while most - below > 1 && (used < STEPS_TOTAL || most == u64::MAX) {
            search.limit = if most == u64::MAX { u64::MAX } else { below + (most - below) / 2 };
            // The last shape must come to an end somehow.
            search.steps_left = if aspect == u32::MAX && most == u64::MAX { u64::MAX } else { steps };
            let before = search.steps_left;
            search.leaves.clear();
            let found = search.try_fit(whole, parts);
            used = used.saturating_add(before - search.steps_left);
            if found {
                most = search.leaves.iter().map(|leaf| leaf.cost).max().unwrap_or(whole.cost);
                std::mem::swap(&mut best, &mut search.leaves);
            } else if search.limit == u64::MAX {
                break;
            } else {
                below = search.limit;
            }
        }
        if most <= good {
            break;
        }
    }
    best
}

impl Search<'_> {
    /// Splits a region into parts within the limits, onto `leaves`; else leaves those as they are.
    /// `parts` is at most the region's effective cells. A side with more than two thirds of the cost owes them to one
    /// line of cells, which the next cuts set apart; so the depth grows with the logarithm of the cost.
    fn try_fit(&mut self, region: Region, parts: u32) -> bool {
        let region = self.sums.shrunk(region);
        if parts <= 1 {
            let fits = region.cost <= self.limit && region.is_within(self.aspect);
            if fits {
                self.leaves.push(region);
            }
            return fits;
        }
        let mark = self.leaves.len();
        for axis in region.axes(self.aspect) {
            for share in shares(parts) {
                for at in self.sums.positions(region, axis, share, parts).into_iter().flatten() {
                    if self.steps_left == 0 {
                        return false;
                    }
                    self.steps_left -= 1;
                    let cut = self.sums.cut(region, parts, axis, at);
                    let fits = cut.is_within(self.limit)
                        && self.try_fit(cut.low, cut.low_parts)
                        && self.try_fit(cut.high, cut.high_parts);
                    if fits {
                        return true;
                    }
                    self.leaves.truncate(mark);
                }
            }
        }
        false
    }
}

/// The parts that the low side may get: half, the nearest first, and one more or less where that leaves the sides
/// alike in size. Shares that are not half make more cuts fit well.
fn shares(parts: u32) -> impl Iterator<Item = u32> {
    let (down, up) = (parts / 2, parts.div_ceil(2));
    let also_up = (up > down).then_some(up);
    let uneven = if parts >= 6 { [Some(down - 1), Some(up + 1)] } else { [None, None] };
    [Some(down), also_up].into_iter().chain(uneven).flatten()
}
