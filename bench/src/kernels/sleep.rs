//! The kernel that sleeps in proportion to its cells.

use std::process::ExitCode;
use std::time::Duration;

/// Sleeps `ns` for each cell: of the argument, else of DC_CELLS.
pub fn run(ns: u64, cells: Option<u64>) -> ExitCode {
    let told = || std::env::var("DC_CELLS").ok()?.parse().ok();
    match cells.or_else(told).and_then(|cells| cells.checked_mul(ns)) {
        Some(total_ns) => {
            std::thread::sleep(Duration::from_nanos(total_ns));
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("dc-bench sleep: how many cells? DC_CELLS is not set, or the product is too large");
            ExitCode::FAILURE
        }
    }
}
