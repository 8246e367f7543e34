//! Which scheduler is meant: what an option says, then `DC_SCHED`, then dc.toml.

use super::ClusterError;
use dc_config::{Config, HostPort, Place, Relay, SCHEDULER_VARIABLE, Surroundings};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a command line says of the scheduler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named<'a> {
    /// `--sched` and an address.
    Option(&'a str),
    /// Nothing: the variable and dc.toml do.
    Elsewhere,
}

/// A scheduler, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it may be, to be tried in this order; never empty.
    pub places: Vec<Place>,
    /// This side's key file, for TLS.
    pub key: PathBuf,
    /// The peers file, for TLS.
    pub peers: PathBuf,
    /// How long connecting may take.
    pub timeout: Duration,
    /// What is asked for nodes that cannot be reached.
    pub relay: Option<HostPort>,
}

impl Target {
    /// The scheduler to ask; none where nothing names one.
    ///
    /// # Errors
    /// When what names it cannot be used.
    pub fn find(
        named: Named<'_>,
        surroundings: &Surroundings,
        var: impl Fn(&str) -> Option<OsString>,
        cwd: &Path,
    ) -> Result<Option<Self>, ClusterError> {
        let at = |what, given: &str| {
            let place = Place::parse(given, cwd).map_err(|why| ClusterError::Address {
                what,
                given: given.to_owned(),
                why,
            })?;
            // dc.toml may say which key; one that is broken is an error all the same.
            let config = dc_config::load(surroundings)?;
            Ok(Some(Self::of(config, Some(place))))
        };
        match named {
            Named::Option(given) => at("--sched", given),
            Named::Elsewhere => match var(SCHEDULER_VARIABLE).filter(|value| !value.is_empty()) {
                Some(given) => at(SCHEDULER_VARIABLE, &given.to_string_lossy()),
                None => {
                    let Some(file) = dc_config::find(surroundings)? else { return Ok(None) };
                    let config = dc_config::read(&file, surroundings)?;
                    Ok(config.has_scheduler.then(|| Self::of(config, None)))
                }
            },
        }
    }

    fn of(config: Config, place: Option<Place>) -> Self {
        let client = config.client;
        let relay = match config.streams.relay {
            Relay::At(at) => Some(at),
            Relay::None => None,
        };
        Self {
            places: place.map_or(client.schedulers, |place| vec![place]),
            key: client.key,
            peers: client.peers,
            timeout: client.connect_timeout,
            relay,
        }
    }

    /// Its address, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        self.places.first().map(Place::to_string).unwrap_or_default()
    }
}
