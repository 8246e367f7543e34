//! Where the scheduler's files are: as dc.toml says, or below a state directory that was named.

use super::Failed;
use dc_config::{Config, Surroundings};
use std::path::{Path, PathBuf};

/// Raw arguments of every command that looks at who is who.
#[derive(clap::Args, Debug)]
pub struct PlaceArgs {
    /// The file to read in the place of the dc.toml that is found
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The scheduler's state directory, with its key, peers and tokens in it; no dc.toml is read then
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    state: Option<PathBuf>,
}

/// The files.
#[derive(Debug)]
pub struct Place {
    pub state: PathBuf,
    pub key: PathBuf,
    pub peers: PathBuf,
    pub tokens: PathBuf,
}

impl Place {
    /// All below one directory.
    pub fn below(state: &Path) -> Self {
        let at = |name: &str| state.join(name);
        Self { state: state.to_owned(), key: at("key"), peers: at("peers"), tokens: at("tokens") }
    }

    /// As a configuration has them.
    pub fn of(config: &Config) -> Self {
        let scheduler = config.scheduler.clone();
        Self { state: scheduler.state, key: scheduler.key, peers: scheduler.peers, tokens: scheduler.tokens }
    }
}

impl PlaceArgs {
    /// What was asked for.
    pub fn place(&self) -> Result<Place, Failed> {
        match &self.state {
            Some(state) => Ok(Place::below(state)),
            None => Ok(Place::of(&load(self.config.as_deref())?)),
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
