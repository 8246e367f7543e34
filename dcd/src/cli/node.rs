//! Which node this is, and what dc.toml says of it.

use super::Failed;
use dc_config::{Config, Node, Surroundings};
use dc_link::Name;
use dc_spool::files::shown;
use std::path::{Path, PathBuf};

/// Raw arguments of every command.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct NodeArgs {
    /// The file to read in the place of the dc.toml that is found
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// This node's name in the cluster [default: the host's, up to its first dot]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

impl NodeArgs {
    /// All of the configuration.
    pub fn load(&self) -> Result<Config, Failed> {
        load(self.config.as_deref())
    }

    /// This node's part of it.
    pub fn of(&self, config: &Config) -> Result<Node, Failed> {
        Ok(config.node(&self.name_of_node()?, &host())?)
    }

    /// What this node is called.
    pub fn name_of_node(&self) -> Result<Name, Failed> {
        let host = host();
        match &self.name {
            Some(text) => {
                Name::parse(text).map_err(|error| Failed::Own(format!("--name {} is {error}", shown(text))))
            }
            None => {
                let short = host.split('.').next().unwrap_or_default();
                Name::parse(short).map_err(|error| {
                    Failed::Own(format!("this host's name, {}, is {error}; say --name NAME", shown(short)))
                })
            }
        }
    }
}

/// The configuration: of a file that was named, or of the one that is found.
pub fn load(named: Option<&Path>) -> Result<Config, Failed> {
    let surroundings = Surroundings::of_environment();
    Ok(match named {
        Some(path) => dc_config::read(path, &surroundings),
        None => dc_config::load(&surroundings),
    }?)
}

/// The host's name.
pub fn host() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
