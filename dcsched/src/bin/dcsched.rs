//! dcsched: the scheduler of a cluster, and what makes, checks and prints its state directory. The table of contents; each
//! subcommand is a file in `cli/`.

use std::process::ExitCode;

#[path = "../cli/mod.rs"]
mod cli;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli) => cli::run(cli),
        Err(status) => status,
    }
}
