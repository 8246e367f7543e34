//! dcctl: see dcctl(8).

use dc_client::tools::{ctl, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run("dcctl", ctl::run)
}
