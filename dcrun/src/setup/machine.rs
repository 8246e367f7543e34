//! What is begun at once, beside everything else: asking hwloc for the topology takes a millisecond, and so does the
//! starter's first breath.

use super::SetupError;
use crate::run::starter::Link;
use dc_model::Topology;
use dc_spool::progress::Slots;
use dcd::topology;
use dcd::topology::TopologyError;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;

/// The topology, on its way.
#[derive(Debug)]
pub enum Machine {
    /// A thread is asking.
    Asked(Option<JoinHandle<Result<Topology, TopologyError>>>),
    /// It is known.
    Known(Topology),
}

impl Machine {
    /// Begins to ask.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn ask() -> Result<Self, SetupError> {
        let thread = std::thread::Builder::new().name("topology".to_owned()).spawn(topology::discover);
        Ok(Self::Asked(Some(thread.map_err(SetupError::system("start a thread"))?)))
    }

    /// The answer, waited for.
    ///
    /// # Errors
    /// When hwloc does not say.
    pub fn topology(&mut self) -> Result<Topology, SetupError> {
        if let Self::Asked(thread) = self {
            let answer = thread.take().and_then(|thread| thread.join().ok());
            *self = Self::Known(answer.unwrap_or(Err(TopologyError::Load))?);
        }
        match self {
            Self::Known(topology) => Ok(topology.clone()),
            Self::Asked(_) => Err(TopologyError::Load.into()),
        }
    }
}

/// A starter that was started early, and what it shares with dcrun.
#[derive(Debug)]
pub struct Crew {
    /// Its file, to start another.
    pub exe: PathBuf,
    /// The way to it.
    pub link: Link,
    /// Its ranks' output.
    pub output: UnixStream,
    /// What ranks say of themselves.
    pub slots: Slots,
}

impl Crew {
    /// Starts one for so many lanes.
    ///
    /// # Errors
    /// When it cannot be found or started.
    pub fn start(ranks: u32) -> Result<Self, SetupError> {
        let slots = Slots::create(ranks).map_err(SetupError::system("make the progress file"))?;
        let exe = dcd::spawn::find_starter()?;
        let (link, output) = Link::start(&exe, slots.as_fd())?;
        Ok(Self { exe, link, output, slots })
    }
}
