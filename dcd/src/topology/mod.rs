//! What cores there are: this machine's, as far as this process may use them, or those of a machine that hwloc's
//! variables describe. Where they are described is in `source`, whether hwloc survives it in `probe`, what hwloc says in
//! `hwloc` (the only file that knows it), what dc makes of that in `reading`.

mod hwloc;
mod probe;
mod reading;
mod source;

pub use source::{Source, prepare_described, prepare_environment};

use crate::process::calls::affinity;
use dc_model::{CpuSet, Topology};
use nix::unistd::Pid;
use std::path::PathBuf;
use thiserror::Error;

/// Why the cores are not known.
#[derive(Debug, Error)]
pub enum TopologyError {
    /// The process's own affinity cannot be read.
    #[error("cannot read this process's CPU affinity: {0}")]
    Affinity(#[source] std::io::Error),
    /// hwloc gave up.
    #[error("hwloc cannot read this machine's topology: try `lstopo`, and see that /sys is mounted")]
    Load,
    /// Nothing is left.
    #[error(
        "hwloc shows no CPU that this process may run on (CPUs {0}): look at `lstopo` and `taskset -cp $$`"
    )]
    NoneAllowed(CpuSet),
    /// A described machine has nothing to run on.
    #[error("{0} describes a machine without a CPU that may be used")]
    NoCpu(&'static str),
    /// A CPU number that no Linux has.
    #[error("hwloc shows a CPU numbered {0}: numbers from {max} on are not taken", max = dc_model::cpuset::CPUS_MAX)]
    CpuNumber(u32),
    /// What a variable describes is another machine, and nothing can run there from here.
    #[error(
        "{0} describes another machine, on which nothing can be run from here: unset it, or look with --plan"
    )]
    Elsewhere(&'static str),
    /// The file of a description is not to be read.
    #[error("{variable}={}: {source}", path.to_string_lossy().escape_debug())]
    Read {
        /// The variable that names it.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A description that describes nothing.
    #[error("{variable}={value}: {why}")]
    Description {
        /// The variable that holds or names it.
        variable: &'static str,
        /// Its value, fit to be shown.
        value: String,
        /// What is wrong with it, and what helps.
        why: &'static str,
    },
}

/// A machine, and what a plan tells of it beside its cores.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The cores that may be used.
    pub topology: Topology,
    /// The variable that describes the machine; none for this one as it is.
    pub described_by: Option<&'static str>,
    /// What kind of cache [`dc_model::Core::l3`] counts, such as `L3`; none where there is none to share.
    pub cache: Option<&'static str>,
    /// NUMA nodes that hold no core which may be used.
    pub memory_only: Vec<MemoryNode>,
    /// CPUs that the machine is known to have, and that are not in the topology: offline, hidden, or not allowed.
    pub left_out: CpuSet,
}

impl Found {
    /// Of this, what is on these CPUs: cores keep those of their hardware threads that are named, and go when they have
    /// none left; so do NUMA domains.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn restricted(mut self, cpus: &CpuSet) -> Result<Self, TopologyError> {
        for core in &mut self.topology.cores {
            let kept: CpuSet = core.cpus.iter().filter(|cpu| cpus.contains(*cpu)).collect();
            let gone: Vec<u32> = core.cpus.iter().filter(|cpu| !cpus.contains(*cpu)).collect();
            self.left_out = self.left_out.iter().chain(gone).collect();
            core.cpus = kept;
        }
        self.topology.cores.retain(|core| !core.cpus.is_empty());
        if self.topology.cores.is_empty() {
            return Err(TopologyError::NoneAllowed(cpus.clone()));
        }
        let used = |at: u32| self.topology.cores.iter().any(|core| core.numa == at);
        let kept: Vec<u32> = (0..self.topology.numa.len() as u32).filter(|at| used(*at)).collect();
        let new = |at: u32| kept.iter().position(|kept| *kept == at).map(|at| at as u32);
        for node in &mut self.memory_only {
            node.near = node.near.iter().filter_map(|at| new(*at)).collect();
        }
        let domains: Vec<_> =
            kept.iter().filter_map(|at| self.topology.numa.get(*at as usize).cloned()).collect();
        for core in &mut self.topology.cores {
            core.numa = new(core.numa).unwrap_or(0);
        }
        self.topology.numa = domains;
        Ok(self)
    }
}

/// A NUMA node to which no core belongs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryNode {
    /// The OS's node number.
    pub os_index: u32,
    /// Its memory, in bytes.
    pub memory_bytes: u64,
    /// What hwloc calls it, such as `HBM`: a text from outside.
    pub kind: Option<String>,
    /// The domains whose cores it is local to: indices into [`Topology::numa`], rising; all where nothing is known.
    pub near: Vec<u32>,
}

/// The cores of the machine that `source` names: of this one those that this process may use now, hwloc's allowed ones
/// within the process's affinity; of another one all that it allows.
///
/// # Errors
/// When hwloc or the kernel does not say, the description is none, or nothing is left. Never is this machine taken for
/// one that is described badly.
pub fn discover(source: &Source) -> Result<Found, TopologyError> {
    source.check()?;
    let shape = hwloc::load(source.is_described())
        .map_err(|error| if let TopologyError::Load = error { source.unread() } else { error })?;
    source.check_loaded(shape.is_native)?;
    let allowed = match source.is_here() {
        true => Some(affinity(Pid::from_raw(0)).map_err(|errno| TopologyError::Affinity(errno.into()))?),
        false => None,
    };
    let (cores, numa, memory_only) = reading::read(&shape, allowed.as_ref());
    if cores.is_empty() {
        return Err(match (allowed, source.variable()) {
            (Some(allowed), _) => TopologyError::NoneAllowed(allowed),
            (None, variable) => TopologyError::NoCpu(variable.unwrap_or("hwloc")),
        });
    }
    let host = source.host(shape.host);
    let topology = Topology { host, cores, numa };
    let used = topology.cpus();
    let left_out = shape.known.iter().filter(|cpu| !used.contains(*cpu)).collect();
    Ok(Found { topology, described_by: source.variable(), cache: shape.cache, memory_only, left_out })
}
