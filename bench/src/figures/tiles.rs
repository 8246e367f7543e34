//! 64 lanes, 512 equal tiles of the real mask, kernels that sleep in proportion to their cells: how near the makespan
//! comes to the sum over 64. Beside it the same tiles in file order, as `xargs -P 64` takes them.

use super::split::read_mask;
use crate::error::BenchError;
use crate::runner;
use crate::target::Target;
use crate::{Setting, table};
use dc_model::Block;
use dc_model::domain::Domain;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::process::Command;
use std::time::Duration;

const LANES: usize = 64;
/// Tiles: columns and rows of them.
const TILES: (u32, u32) = (32, 16);
/// What the lanes would take if none ever waited.
const IDEAL: Duration = Duration::from_secs(20);
const TARGET: Target = Target::at_most("dcrun's time of sum/64", 1.02);
const DEADLINE: Duration = Duration::from_secs(120);

/// Effective cells of each tile, row by row; tiles without any too.
fn tiles(domain: &Domain) -> Vec<u64> {
    let cut = |i: u32, n: u32, side: u32| (u64::from(side) * u64::from(i) / u64::from(n)) as u32;
    let (columns, rows) = TILES;
    let block = |x, y| Block {
        x0: cut(x, columns, domain.nx()),
        y0: cut(y, rows, domain.ny()),
        x1: cut(x + 1, columns, domain.nx()),
        y1: cut(y + 1, rows, domain.ny()),
    };
    (0..rows)
        .flat_map(|y| (0..columns).map(move |x| (x, y)))
        .map(|(x, y)| domain.effective_in(block(x, y)))
        .collect()
}

pub fn measure(setting: &Setting) -> Result<Value, BenchError> {
    let cells = tiles(&read_mask(setting)?);
    let sum: u64 = cells.iter().sum();
    let ns_per_cell = IDEAL.as_nanos() as u64 * LANES as u64 / sum;
    let ideal = Duration::from_nanos(sum * ns_per_cell / LANES as u64);
    println!(
        "{} tiles of the mask on {LANES} lanes, kernels that sleep {ns_per_cell} ns a cell:",
        cells.len()
    );

    let this = std::env::current_exe().map_err(BenchError::io("find", "this program".as_ref()))?;
    let list = setting.dir.join("tiles");
    let mut text = String::new();
    for (i, n) in cells.iter().enumerate() {
        let _ = writeln!(text, "tile{i} {n}");
    }
    fs::write(&list, text).map_err(BenchError::io("write", &list))?;
    let mut command = Command::new(setting.dcrun()?);
    command
        .args(["-q", "-n", &LANES.to_string(), "--oversubscribe", "--bind", "none", "--subtasks"])
        .arg(&list)
        .arg(&this)
        .args(["sleep", &ns_per_cell.to_string()])
        .env("XDG_STATE_HOME", &setting.dir);
    let dcrun = runner::took(&mut command, DEADLINE)?;

    let lines = setting.dir.join("cells");
    let text: String = cells.iter().filter(|n| **n > 0).map(|n| format!("{n}\n")).collect();
    fs::write(&lines, text).map_err(BenchError::io("write", &lines))?;
    let mut command = Command::new("xargs");
    command
        .args(["-P", &LANES.to_string(), "-n", "1"])
        .arg(&this)
        .args(["sleep", &ns_per_cell.to_string()])
        .stdin(File::open(&lines).map_err(BenchError::io("open", &lines))?);
    let file_order = runner::took(&mut command, DEADLINE)?;

    let ratio = |took: Duration| took.as_secs_f64() / ideal.as_secs_f64();
    let row = |name: &str, took: Duration| {
        vec![name.to_owned(), format!("{:.3}", took.as_secs_f64()), format!("{:.4}", ratio(took))]
    };
    table::print(
        &["", "s", "of sum/64"],
        &[row("sum/64", ideal), row("dcrun", dcrun), row("file order: xargs -P 64", file_order)],
    );
    let target = TARGET.judge(ratio(dcrun), 4);
    Ok(json!({
        "targets": [target],
        "tiles": cells.len(),
        "lanes": LANES,
        "ideal_s": ideal.as_secs_f64(),
        "dcrun_s": dcrun.as_secs_f64(),
        "dcrun_ratio": ratio(dcrun),
        "file_order_s": file_order.as_secs_f64(),
        "file_order_ratio": ratio(file_order),
    }))
}
