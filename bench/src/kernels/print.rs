//! The kernel that prints lines as fast as it can, or keeps a core as busy without a word.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A line, with its end.
const LINE: &[u8; 64] = b"step 0123456789 residual 1.2345678901e-05 time 0.0123456789 sss\n";
/// Bytes of a write: what a pipe holds.
const WRITE_BYTES: usize = 64 << 10;

/// What it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Way {
    /// Prints.
    Lines,
    /// Computes.
    Spin,
    /// Ends at once.
    Nothing,
}

/// Goes on for so long, or until so many bytes are printed; of these it is silent for the rest of the time.
pub fn run(way: Way, time: Duration, bytes_max: u64) -> ExitCode {
    let start = Instant::now();
    match way {
        Way::Nothing => {}
        Way::Spin => {
            while start.elapsed() < time {
                std::hint::spin_loop();
            }
        }
        Way::Lines => {
            let lines = LINE.repeat(WRITE_BYTES / LINE.len());
            let mut printed = 0;
            let Ok(stdout) = std::io::stdout().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
            let mut stdout = std::fs::File::from(stdout);
            while start.elapsed() < time && printed < bytes_max {
                if stdout.write_all(&lines).is_err() {
                    return ExitCode::FAILURE;
                }
                printed += lines.len() as u64;
            }
        }
    }
    ExitCode::SUCCESS
}
