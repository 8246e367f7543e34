//! Balance of the split of the 0.25 degree mask, and the time it takes. Each split is first held against the mask.

use crate::error::BenchError;
use crate::statistics::Sample;
use crate::target::Target;
use crate::{Setting, table};
use dc_model::domain::Domain;
use dcsched_core::partition::{Piece, split};
use serde_json::{Value, json};
use std::time::Instant;

/// Blocks, and the balance (dearest block by the mean) that is promised.
const SPLITS: [(u32, Target); 2] = [
    (64, Target::at_most("max/mean of 64 blocks", 1.008)),
    (256, Target::at_most("max/mean of 256 blocks", 1.02)),
];
const TIME: Target = Target::at_most("the slower one, ms (median)", 100.0);

pub fn read_mask(setting: &Setting) -> Result<Domain, BenchError> {
    let bytes = std::fs::read(&setting.mask).map_err(BenchError::io("read", &setting.mask))?;
    Domain::read(&bytes)
        .map_err(|error| BenchError::Mask { path: setting.mask.clone(), why: error.to_string() })
}

/// Whether the blocks are apart and hold every effective cell.
fn check(domain: &Domain, pieces: &[Piece]) -> Result<(), BenchError> {
    let mut seen = vec![false; domain.block().area() as usize];
    let mut cells = 0;
    for piece in pieces {
        let b = piece.block;
        let mut here = 0;
        for y in b.y0..b.y1 {
            for x in (b.x0..b.x1).filter(|x| domain.is_effective(*x, y)) {
                let at = (u64::from(y) * u64::from(domain.nx()) + u64::from(x)) as usize;
                if std::mem::replace(&mut seen[at], true) {
                    return Err(BenchError::Split(format!("cell {x} {y} is in two blocks")));
                }
                here += 1;
            }
        }
        if here != piece.cells {
            return Err(BenchError::Split(format!("block {b} has {here} cells, not {}", piece.cells)));
        }
        cells += here;
    }
    if cells == domain.effective() {
        return Ok(());
    }
    Err(BenchError::Split(format!("{cells} of {} cells are in blocks", domain.effective())))
}

pub fn measure(setting: &Setting) -> Result<Value, BenchError> {
    let domain = read_mask(setting)?;
    println!("split of {} ({} x {}):", setting.mask.display(), domain.nx(), domain.ny());
    let (mut rows, mut values, mut seen, mut slowest_ms) = (Vec::new(), Vec::new(), Vec::new(), 0.0f64);
    for (parts, promised) in SPLITS {
        let pieces = split(&domain, parts);
        check(&domain, &pieces)?;
        let dearest = pieces.iter().map(|piece| piece.cells).max().unwrap_or(0);
        let balance = dearest as f64 * pieces.len() as f64 / domain.effective() as f64;
        let times = (0..setting.repeats(9)).map(|_| {
            let start = Instant::now();
            std::hint::black_box(split(std::hint::black_box(&domain), parts));
            start.elapsed().as_secs_f64() * 1e3
        });
        let times = Sample::new(times.collect());
        rows.push(vec![
            format!("{parts} blocks: {} made", pieces.len()),
            format!("{balance:.4}"),
            times.shown(1),
        ]);
        seen.push((promised, balance));
        slowest_ms = slowest_ms.max(times.median());
        let blocks = pieces.len();
        let ms = times.to_json();
        values.push(json!({ "parts": parts, "blocks": blocks, "balance": balance, "split_ms": ms }));
    }
    table::print(&["", "max/mean", "ms"], &rows);
    let mut targets: Vec<Value> = seen.iter().map(|(target, balance)| target.judge(*balance, 4)).collect();
    targets.push(TIME.judge(slowest_ms, 1));
    Ok(json!({ "targets": targets, "splits": values }))
}
