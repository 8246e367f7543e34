//! `dcd run`: the daemon, as dc.toml has it.

use super::node::NodeArgs;
use super::{Failed, log, topology};
use dc_model::exit;
use dcd::abilities::Abilities;
use dcd::daemon::{Daemon, Ending, Settings};

/// Raw arguments.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    pub node: NodeArgs,
}

/// Serves until a signal asks for the end.
pub(super) fn run(args: &NodeArgs) -> Result<u8, Failed> {
    let config = args.load()?;
    let node = args.of(&config)?;
    Abilities::detect().choose(node.kill).map_err(Failed::Own)?;
    let source = topology::source(&node.topology);
    let found = topology::found(&source, node.cpus.as_ref())?;
    let settings = Settings::of_node(&node, !source.is_here()).with_checkpoints(&config.checkpoints);
    log::start();
    let again = args.clone();
    let read = move || {
        again.load().and_then(|config| again.of(&config)).map_err(|failed| match failed {
            Failed::Output(error) => error.to_string(),
            Failed::Own(lines) => lines.replace('\n', "; "),
        })
    };
    match Daemon::begin(settings, found)?.reloading(node, read).serve() {
        Ending::Asked(_) => Ok(exit::OK),
        Ending::Broken(_) => Ok(exit::DC_ERROR),
    }
}
