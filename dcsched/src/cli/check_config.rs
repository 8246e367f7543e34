//! `dcsched --check-config`: reads dc.toml, and prints what is in force.

use super::{Failed, place};
use dc_model::exit;
use dc_spool::files::shown;
use std::io::Write;
use std::path::Path;

/// Prints it as a file; a file with mistakes is an error that names each.
pub fn run(named: Option<&Path>, out: &mut dyn Write) -> Result<u8, Failed> {
    let config = place::load(named)?;
    match &config.file {
        Some(path) => writeln!(out, "# {} is good", shown(path))?,
        None => writeln!(out, "# there is no dc.toml; these are the defaults")?,
    }
    out.write_all(config.written(None).as_bytes())?;
    Ok(exit::OK)
}
