//! `dcd run`: the daemon, as dc.toml has it.

use super::{Failed, log};
use clap::Args as ClapArgs;
use dc_config::{Surroundings, Topology};
use dc_link::Name;
use dc_model::exit;
use dcd::daemon::{Daemon, Ending, Settings};
use dcd::topology;
use std::path::PathBuf;

/// What it takes.
#[derive(ClapArgs, Debug)]
pub struct Args {
    /// The configuration; by default the first dc.toml that is found, see dc.toml(5)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// This node's name in the cluster; by default the host's, up to its first dot
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Serves until a signal asks for the end.
pub(super) fn run(args: &Args) -> Result<u8, Failed> {
    let surroundings = Surroundings::of_environment();
    let config = match &args.config {
        Some(path) => dc_config::read(path, &surroundings)?,
        None => dc_config::load(&surroundings)?,
    };
    let host = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    let short = host.split('.').next().unwrap_or_default();
    let name = args.name.as_deref().unwrap_or(short);
    let name = Name::parse(name).map_err(|_| {
        Failed(format!("{} cannot be a node's name: say another with --name", name.escape_debug()))
    })?;
    let node = config.node(&name, &host)?;
    let source = match &node.topology {
        Topology::Auto => topology::prepare_environment(),
        Topology::Synthetic(text) => topology::prepare_described(text),
    };
    let mut found = topology::discover(&source)?;
    if let Some(cpus) = &node.cpus {
        found = found.restricted(cpus)?;
    }
    let settings = Settings::of_node(&node, !source.is_here());
    log::start();
    match Daemon::begin(settings, found)?.serve() {
        Ending::Asked(_) => Ok(exit::OK),
        Ending::Broken(_) => Ok(exit::DC_ERROR),
    }
}
