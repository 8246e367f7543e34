//! The kernel that counts what it computes: each step mixes its state once more, and adds one byte to a file of the
//! subtask that outlives every attempt. So the file's length is the number of steps computed, twice or not.

use dc_spool::checkpoint::{Region, RegionMut};
use dc_spool::kernel::Kernel;
use dc_spool::result::{Dtype, Layout};
use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// How long a step takes.
const STEP: Duration = Duration::from_millis(1);

/// Goes through `steps` steps with a checkpoint every `interval`; the files of counts are in `counts`.
pub fn run(steps: u64, interval: u64, counts: &Path) -> ExitCode {
    match try_run(steps, interval, counts) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dc-bench step: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(steps: u64, interval: u64, counts: &Path) -> Result<(), Box<dyn Error>> {
    let mut kernel = Kernel::from_env()?;
    let subtask = kernel.subtask();
    let mut count = OpenOptions::new().append(true).create(true).open(counts.join(subtask.to_string()))?;
    let mut state = (u64::from(subtask.0) + 1).to_le_bytes();
    let first = kernel.restore(&mut [RegionMut { id: 1, data: &mut state }])?.unwrap_or(0);
    for step in first + 1..=steps {
        std::thread::sleep(STEP);
        let mixed = (u64::from_le_bytes(state) ^ step).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state = (mixed ^ mixed >> 29).to_le_bytes();
        count.write_all(b".")?;
        if step % interval == 0 && step < steps {
            kernel.checkpoint(step, &[Region { id: 1, data: &state }])?;
        }
    }
    kernel.result(Dtype::U8, Layout::Effective, 1, &state)?;
    Ok(())
}
