//! dcqueue: see dcqueue(1).

use dc_client::tools::{queue, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run("dcqueue", queue::run)
}
