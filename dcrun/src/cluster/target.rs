//! Which scheduler is meant: what the command line says, then `DC_SCHED`, then dc.toml. Without any of them, or inside of
//! a rank, the job is this machine's.

use super::ClusterError;
use crate::request::Sched;
use crate::setup::Surroundings;
use dc_config::{Config, Place, SCHEDULER_VARIABLE, Surroundings as ConfigSurroundings};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

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
}

impl Target {
    /// The scheduler to ask; none: the job is this machine's.
    ///
    /// # Errors
    /// When what names it cannot be used.
    pub fn find(sched: &Sched, at: &Surroundings) -> Result<Option<Self>, ClusterError> {
        let surroundings = ConfigSurroundings::of(|name| at.var(name).map(OsStr::to_owned));
        let named = |what, given: &str| {
            let place = Place::parse(given, &at.cwd).map_err(|why| ClusterError::Address {
                what,
                given: given.to_owned(),
                why,
            })?;
            // dc.toml may say which key; one that is broken is an error all the same.
            let config = dc_config::load(&surroundings)?;
            Ok(Some(Self::of(config, Some(place))))
        };
        match sched {
            Sched::Local => Ok(None),
            Sched::At(given) => named("--sched", given),
            // A rank's own dcrun uses its rank's cores.
            Sched::AsFound if at.var("DC_JOB_UUID").is_some() => Ok(None),
            Sched::AsFound => match at.var(SCHEDULER_VARIABLE).filter(|value| !value.is_empty()) {
                Some(given) => named(SCHEDULER_VARIABLE, &given.to_string_lossy()),
                None => {
                    let Some(file) = dc_config::find(&surroundings)? else { return Ok(None) };
                    let config = dc_config::read(&file, &surroundings)?;
                    Ok(config.has_scheduler.then(|| Self::of(config, None)))
                }
            },
        }
    }

    fn of(config: Config, place: Option<Place>) -> Self {
        let client = config.client;
        Self {
            places: place.map_or(client.schedulers, |place| vec![place]),
            key: client.key,
            peers: client.peers,
            timeout: client.connect_timeout,
        }
    }

    /// Its address, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        self.places.first().map(Place::to_string).unwrap_or_default()
    }
}
