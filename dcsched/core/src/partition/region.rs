//! A part of the domain that is still to be split, and the ways to cut it in two.

use super::index::{Index, Quantity};
use dc_model::{Block, Domain};

/// Along which a cut divides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Axis {
    /// Columns to the left and to the right.
    X,
    /// Rows above and below.
    Y,
}

/// A rectangle with effective cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Region {
    pub(super) block: Block,
    /// The sum of its weights.
    pub(super) cost: u64,
    /// Its effective cells.
    pub(super) count: u64,
}

impl Region {
    /// Its longer side and its shorter one.
    fn sides(&self) -> (u32, u32) {
        let (width, height) = (self.block.width(), self.block.height());
        (width.max(height), width.min(height))
    }

    /// Whether it is no longer than `aspect` times its width.
    pub(super) fn is_within(&self, aspect: u32) -> bool {
        let (longer, shorter) = self.sides();
        u64::from(longer) <= u64::from(aspect) * u64::from(shorter)
    }

    /// The axes along which it may be cut, shrunk as it is: across the longer side, and across the shorter one where
    /// halves are still within `aspect`.
    pub(super) fn axes(&self, aspect: u32) -> impl Iterator<Item = Axis> + use<> {
        let (longer, shorter) = self.sides();
        let (long, short) =
            if self.block.width() >= self.block.height() { (Axis::X, Axis::Y) } else { (Axis::Y, Axis::X) };
        let halves = shorter > 1 && u64::from(longer) * 2 <= u64::from(aspect) * u64::from(shorter);
        [(longer > 1).then_some(long), halves.then_some(short)].into_iter().flatten()
    }
}

/// A region cut in two, and how many parts each side is to become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cut {
    pub(super) low: Region,
    pub(super) low_parts: u32,
    pub(super) high: Region,
    pub(super) high_parts: u32,
}

impl Cut {
    /// The larger cost a part of the two sides, as a fraction.
    fn worst(&self) -> (u64, u32) {
        let (low, high) = ((self.low.cost, self.low_parts), (self.high.cost, self.high_parts));
        if less(low, high) { high } else { low }
    }

    /// Whether parts no dearer than `limit` can hold both sides, as far as sums tell.
    pub(super) fn is_within(&self, limit: u64) -> bool {
        let (cost, parts) = self.worst();
        u128::from(cost) <= u128::from(parts) * u128::from(limit)
    }
}

/// Whether one fraction is less than another.
fn less(a: (u64, u32), b: (u64, u32)) -> bool {
    u128::from(a.0) * u128::from(b.1) < u128::from(b.0) * u128::from(a.1)
}

/// Sums over the rectangles of a domain: of cost, and of effective cells where that is not the same.
#[derive(Debug)]
pub(super) struct Sums<'a> {
    cost: Index<'a>,
    count: Option<Index<'a>>,
    whole: Block,
}

impl<'a> Sums<'a> {
    pub(super) fn new(domain: &'a Domain) -> Self {
        Self {
            cost: Index::new(domain, Quantity::Cost),
            count: (!domain.is_mask()).then(|| Index::new(domain, Quantity::Count)),
            whole: domain.block(),
        }
    }

    /// All of the domain.
    pub(super) fn whole(&self) -> Region {
        self.region(self.whole)
    }

    fn region(&self, block: Block) -> Region {
        let cost = self.cost.sum(block);
        Region { block, cost, count: self.count.as_ref().map_or(cost, |count| count.sum(block)) }
    }

    /// The same cells in the smallest rectangle that holds them. The region has effective cells.
    pub(super) fn shrunk(&self, region: Region) -> Region {
        let mut block = region.block;
        let some = |block: Block| self.cost.sum(block) > 0;
        block.x0 += beyond(block.width(), |n| some(Block { x1: block.x0 + n, ..block })) - 1;
        block.x1 -= beyond(block.width(), |n| some(Block { x0: block.x1 - n, ..block })) - 1;
        block.y0 += beyond(block.height(), |n| some(Block { y1: block.y0 + n, ..block })) - 1;
        block.y1 -= beyond(block.height(), |n| some(Block { y0: block.y1 - n, ..block })) - 1;
        Region { block, ..region }
    }

    /// The two cut positions along `axis` between which the low side's cost passes `share` / `of` of the whole, the
    /// nearer one first; either only where both sides keep something. In a shrunk region every cut within it does.
    pub(super) fn positions(&self, region: Region, axis: Axis, share: u32, of: u32) -> [Option<u32>; 2] {
        let wanted = u128::from(region.cost) * u128::from(share);
        let low = |at: u32| u128::from(self.cost.sum(halves(region.block, axis, at).0)) * u128::from(of);
        let (from, to) = ends(region.block, axis);
        let next = first(from, to, |at| low(at) > wanted);
        let within = |at: u32| (at > from && at < to).then_some(at);
        let pair = [within(next - 1), within(next)];
        match pair {
            [Some(below), Some(above)] if low(above) - wanted < wanted - low(below) => {
                [Some(above), Some(below)]
            }
            pair => pair,
        }
    }

    /// The cut there; parts go to the sides in proportion to their cost, at least one to each, and to none more
    /// than it has effective cells. `parts` is at least 2 and at most the region's effective cells.
    pub(super) fn cut(&self, region: Region, parts: u32, axis: Axis, at: u32) -> Cut {
        let (low_block, high_block) = halves(region.block, axis, at);
        let low = self.region(low_block);
        let high =
            Region { block: high_block, cost: region.cost - low.cost, count: region.count - low.count };
        let least = u64::from(parts).saturating_sub(high.count).max(1);
        let most = low.count.min(u64::from(parts - 1));
        let with = |low_parts: u64| {
            // `most` is below `parts`.
            let low_parts = low_parts.max(least).min(most) as u32;
            Cut { low, low_parts, high, high_parts: parts - low_parts }
        };
        // At most `parts`.
        let share = (u128::from(low.cost) * u128::from(parts) / u128::from(region.cost.max(1))) as u64;
        let (down, up) = (with(share), with(share + 1));
        if less(up.worst(), down.worst()) { up } else { down }
    }
}

/// Where the block begins and ends along the axis.
fn ends(block: Block, axis: Axis) -> (u32, u32) {
    match axis {
        Axis::X => (block.x0, block.x1),
        Axis::Y => (block.y0, block.y1),
    }
}

fn halves(block: Block, axis: Axis, at: u32) -> (Block, Block) {
    match axis {
        Axis::X => (Block { x1: at, ..block }, Block { x0: at, ..block }),
        Axis::Y => (Block { y1: at, ..block }, Block { y0: at, ..block }),
    }
}

/// The first of `from + 1 ..= to` for which `holds`, which once true stays true; `to` if it never is.
fn first(from: u32, to: u32, holds: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (from, to);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// As [`first`] from 0 on, for answers that are mostly small.
fn beyond(to: u32, holds: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, 1);
    while high < to && !holds(high) {
        (low, high) = (high, high.saturating_mul(2));
    }
    first(low, high.min(to), holds)
}
