//! dcd: a node's daemon, and what an operator asks of a node. The table of contents; each subcommand is a file in `cli/`.

use std::process::ExitCode;

#[path = "../cli/mod.rs"]
mod cli;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli) => cli::run(cli),
        Err(status) => status,
    }
}
