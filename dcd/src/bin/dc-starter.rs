//! The starter's process: takes over what dcrun left at descriptors 3, 4 and 5, and serves until all has ended.
//! With `serve DIRECTORY` it outlives who started it, and is talked to by a socket there. As the program that an MPI's
//! launcher starts it is a rank's shim.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        Some(word) if word == dcd::shim::words::SHIM_WORD => dcd::shim::main(),
        Some(word) if word == dcd::starters::SERVE_WORD => dcd::starter::serve(words),
        Some(word) if word == dcd::starters::SWEEP_WORD => dcd::starters::errand::main(words),
        _ => dcd::starter::main(),
    }
}
