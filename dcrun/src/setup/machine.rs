//! What is begun at once, beside everything else: asking hwloc for the topology takes a millisecond, and so does the
//! starter's first breath.

use super::SetupError;
use crate::run::starter::Link;
use dc_model::{JobUuid, Topology};
use dc_spool::progress::Slots;
use dcd::topology::{self, Found, Source, TopologyError};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;

/// Something on its way in a thread of its own.
#[derive(Debug)]
enum Pending<T, E> {
    Coming(JoinHandle<Result<T, E>>),
    Here(T),
    /// It failed, and that was told; or it was taken.
    Gone,
}

impl<T: Send + 'static, E: Send + 'static> Pending<T, E> {
    fn start(name: &str, make: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<Self, SetupError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(make);
        Ok(Self::Coming(thread.map_err(SetupError::system("start a thread"))?))
    }

    /// Waits for it.
    fn wait(&mut self) -> Result<(), E> {
        match std::mem::replace(self, Self::Gone) {
            Self::Coming(thread) => {
                if let Ok(made) = thread.join() {
                    *self = Self::Here(made?);
                }
            }
            other => *self = other,
        }
        Ok(())
    }
}

/// The topology and, where nothing can go wrong before it is needed, the starter: on their way while the command line
/// is read and the job's directory is made.
#[derive(Debug)]
pub struct Machine {
    source: Source,
    found: Pending<Found, TopologyError>,
    crew: Pending<Crew, SetupError>,
}

impl Machine {
    /// Begins to ask for the topology.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn ask(source: Source) -> Result<Self, SetupError> {
        let asked = source.clone();
        let found = Pending::start("topology", move || topology::discover(&asked))?;
        Ok(Self { source, found, crew: Pending::Gone })
    }

    /// Refuses to run on a machine that is only described.
    ///
    /// # Errors
    /// When it is not this one.
    pub fn must_be_here(&self) -> Result<(), SetupError> {
        Ok(self.source.must_be_here()?)
    }

    /// Whether the machine is this one, and not a described one.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.source.is_here()
    }

    /// The topology, waited for.
    ///
    /// # Errors
    /// When hwloc does not say.
    pub fn topology(&mut self) -> Result<Topology, SetupError> {
        Ok(self.found()?.topology.clone())
    }

    /// The machine and what a plan tells of it, waited for.
    ///
    /// # Errors
    /// When hwloc does not say.
    pub fn found(&mut self) -> Result<&Found, SetupError> {
        self.found.wait()?;
        match &self.found {
            Pending::Here(found) => Ok(found),
            _ => Err(TopologyError::Load.into()),
        }
    }

    /// Begins to start a starter.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn call_crew(&mut self, ranks: u32, job: JobUuid) -> Result<(), SetupError> {
        self.crew = Pending::start("crew", move || Crew::start(ranks, job))?;
        Ok(())
    }

    /// The starter, waited for or started now.
    ///
    /// # Errors
    /// When there is none to be had.
    pub fn crew(&mut self, ranks: u32, job: JobUuid) -> Result<Crew, SetupError> {
        self.crew.wait()?;
        match std::mem::replace(&mut self.crew, Pending::Gone) {
            Pending::Here(crew) => Ok(crew),
            _ => Crew::start(ranks, job),
        }
    }

    /// Ends a starter that nobody needs.
    pub fn dismiss(&mut self) {
        // Whatever else went wrong is told already.
        let _ = self.crew.wait();
        if let Pending::Here(crew) = std::mem::replace(&mut self.crew, Pending::Gone) {
            let _ = crew.link.bury();
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
    /// Starts one for so many lanes of this job.
    ///
    /// # Errors
    /// When it cannot be found or started.
    pub fn start(ranks: u32, job: JobUuid) -> Result<Self, SetupError> {
        let slots = Slots::create(ranks).map_err(SetupError::system("make the progress file"))?;
        let exe = dcd::spawn::find_starter()?;
        let (link, output) = Link::start(&exe, slots.as_fd(), job)?;
        Ok(Self { exe, link, output, slots })
    }
}
