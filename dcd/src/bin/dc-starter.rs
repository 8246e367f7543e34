//! The starter's process: takes over what dcrun left at descriptors 3, 4 and 5, and serves until all has ended.
//! As the program that an MPI's launcher starts it is a rank's shim.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == dcd::shim::words::SHIM_WORD) {
        return dcd::shim::main();
    }
    dcd::starter::main()
}
