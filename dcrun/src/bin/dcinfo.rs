//! dcinfo: see dcinfo(1).

use dc_client::tools::{info, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run("dcinfo", info::run)
}
