//! Reads a mask, sums it up and splits it, each timed, in a process of its own whose memory is that of nothing else.

use crate::usage;
use dc_model::domain::Meaning;
use dc_spool::domain_file;
use dcsched_core::partition::Splitter;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Prints one JSON object.
pub fn run(mask: &Path, parts: u32) -> ExitCode {
    let begin = Instant::now();
    let domain = match domain_file::read(mask, Meaning::AsFound) {
        Ok((domain, _)) => domain,
        Err(error) => {
            eprintln!("dc-bench cut: {}: {error}", mask.display());
            return ExitCode::FAILURE;
        }
    };
    let read = begin.elapsed();
    let begin = Instant::now();
    let splitter = Splitter::new(&domain);
    let sums = begin.elapsed();
    let begin = Instant::now();
    let pieces = splitter.split(parts);
    let split = begin.elapsed();
    let dearest = pieces.iter().map(|piece| piece.cells).max().unwrap_or(0);
    let told = json!({
        "nx": domain.nx(),
        "ny": domain.ny(),
        "effective": domain.effective(),
        "in_blocks": pieces.iter().map(|piece| piece.effective).sum::<u64>(),
        "blocks": pieces.len(),
        "balance": dearest as f64 * pieces.len() as f64 / domain.effective() as f64,
        "read_s": read.as_secs_f64(),
        "sums_s": sums.as_secs_f64(),
        "split_s": split.as_secs_f64(),
        "peak_bytes": usage::peak_bytes(std::process::id() as i32),
    });
    println!("{told}");
    ExitCode::SUCCESS
}
