//! The starter's process: takes over what dcrun left at descriptors 3, 4 and 5, and serves until all has ended.

use std::process::ExitCode;

fn main() -> ExitCode {
    dcd::starter::main()
}
