//! Placeholder.

use super::Failed;
use std::io::Write;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The job's directory
    #[arg(value_name = "DIR")]
    pub dir: std::path::PathBuf,
}

pub fn run(_args: &Args, out: &mut dyn Write) -> Result<u8, Failed> {
    writeln!(out)?;
    Ok(0)
}
