//! dccancel: see dccancel(1).

use dc_client::tools::{cancel, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run("dccancel", cancel::run)
}
