//! `dcd --check-config`: reads dc.toml, and prints what is in force on this node.

use super::Failed;
use super::node::NodeArgs;
use dc_model::exit;
use dc_spool::files::shown;
use std::io::Write;
use std::path::PathBuf;

/// Prints it as a file; a file with mistakes is an error that names each.
pub fn run(args: &NodeArgs, named: Option<PathBuf>, out: &mut dyn Write) -> Result<u8, Failed> {
    let args = NodeArgs { config: named, ..args.clone() };
    let config = args.load()?;
    let node = args.of(&config)?;
    match &config.file {
        Some(path) => writeln!(out, "# {} is good", shown(path))?,
        None => writeln!(out, "# there is no dc.toml; these are the defaults")?,
    }
    out.write_all(config.written(Some(&node)).as_bytes())?;
    Ok(exit::OK)
}
