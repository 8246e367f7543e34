//! What is begun at once, beside everything else: asking hwloc for the topology takes a millisecond, and so does the
//! starter's first breath.

use super::SetupError;
use crate::run::starter::Link;
use dc_model::{JobUuid, Topology};
use dc_spool::progress::Slots;
use dcd::topology;
use dcd::topology::TopologyError;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;

/// The topology and, where nothing can go wrong before it is needed, the starter: on their way in a thread, while the
/// job's directory is made.
#[derive(Debug)]
pub struct Machine {
    thread: Option<JoinHandle<Asked>>,
    topology: Option<Topology>,
    crew: Option<Crew>,
}

/// What the thread comes back with.
type Asked = (Option<Result<Crew, SetupError>>, Result<Topology, TopologyError>);

impl Machine {
    /// Begins to ask, and to start a starter for so many lanes of this job.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn ask(crew_for: Option<(u32, JobUuid)>) -> Result<Self, SetupError> {
        let ask = move || (crew_for.map(|(ranks, job)| Crew::start(ranks, job)), topology::discover());
        let thread = std::thread::Builder::new().name("machine".to_owned()).spawn(ask);
        let thread = Some(thread.map_err(SetupError::system("start a thread"))?);
        Ok(Self { thread, topology: None, crew: None })
    }

    /// Waits for the thread.
    fn await_answer(&mut self) -> Result<(), SetupError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let Ok((crew, topology)) = thread.join() else { return Err(TopologyError::Load.into()) };
        self.crew = crew.transpose()?;
        self.topology = Some(topology?);
        Ok(())
    }

    /// The answer, waited for.
    ///
    /// # Errors
    /// When hwloc does not say, or there is no starter.
    pub fn topology(&mut self) -> Result<Topology, SetupError> {
        self.await_answer()?;
        self.topology.clone().ok_or(TopologyError::Load.into())
    }

    /// The starter, waited for or started now.
    ///
    /// # Errors
    /// When hwloc does not say, or there is no starter.
    pub fn crew(&mut self, ranks: u32, job: JobUuid) -> Result<Crew, SetupError> {
        self.await_answer()?;
        self.crew.take().map_or_else(|| Crew::start(ranks, job), Ok)
    }

    /// Ends a starter that nobody needs.
    pub fn dismiss(mut self) {
        // Whatever else went wrong is told already.
        let _ = self.await_answer();
        if let Some(crew) = self.crew.take() {
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
