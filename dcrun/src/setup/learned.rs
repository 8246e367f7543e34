//! What runs before have taught of a kernel: found when a job begins, added to when it ends. Only a hint: whatever is
//! wrong with it, the job runs.

use super::Surroundings;
use super::place_of_files::state_directory;
use dc_model::Topology;
use dc_spool::cost::{CostDir, CostError, CostKey, KernelCost};
use dc_spool::hash::{ContentHash, short};
use dc_spool::job::JobRecord;
use dcsched_core::cost::CostModel;
use std::time::{SystemTime, UNIX_EPOCH};

/// Runs whose ranks ran for less than this in all teach nothing: what they measure is mostly the surroundings, and they
/// should not wait for a file.
const TAUGHT_NS_MIN: u64 = 100_000_000;
/// What was known counts at most for so many observations, so that the run's own soon outweigh it.
const KNOWN_OBSERVATIONS_MAX: u64 = 16;
/// Directory of the cost files, beside those of jobs.
const COST: &str = "cost";

/// Whose times a prediction rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The same kernel, on this node, with these arguments.
    Same,
    /// The same kernel, on this node, with other arguments.
    OtherArguments,
    /// The same kernel, on another node.
    OtherNode,
}

impl Source {
    /// Its word in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::OtherArguments => "other_arguments",
            Self::OtherNode => "other_node",
        }
    }
}

/// What is known of a kernel.
#[derive(Clone, PartialEq, Debug)]
pub struct Known {
    /// What subtasks take.
    pub model: CostModel,
    /// Whose times it rests on.
    pub source: Source,
    /// How many subtasks.
    pub observations: u64,
    /// When the last of them ran, in seconds since 1970.
    pub last_s: u64,
}

/// Where a job's times belong, and what is known so far.
#[derive(Debug)]
pub struct Learning {
    dir: Option<CostDir>,
    kernel: ContentHash,
    /// What the node is, as hwloc has it.
    shape: String,
    arguments: u64,
    /// What is known; nothing of a kernel not seen before.
    pub known: Option<Known>,
    /// Why what is there cannot be used.
    pub trouble: Option<CostError>,
}

impl Learning {
    /// Looks for what is known of a job's kernel.
    #[must_use]
    pub fn look(record: &JobRecord, topology: &Topology, at: &Surroundings) -> Self {
        let dir = state_directory(|name| at.var(name).map(std::ffi::OsStr::to_owned))
            .map(|state| CostDir::new(state.join(COST)));
        let kernel = record.kernel.hash;
        let (shape, arguments) = (shape(topology), arguments(record));
        let (found, trouble) = match dir.as_ref().map(|dir| dir.read(kernel)) {
            Some(Ok(found)) => (found, None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        // Where nothing is known, nothing more need be asked at a job's start.
        let known = found.and_then(|cost| choose(&cost, CostKey { node: node(&shape), arguments }));
        Self { dir, kernel, shape, arguments, known, trouble }
    }

    /// What the core may count on from the first subtask on: of this very kernel, node and arguments only.
    #[must_use]
    pub fn seed(&self) -> CostModel {
        match &self.known {
            Some(Known { model, source: Source::Same, .. }) => {
                let mut model = model.clone();
                model.weigh_at_most(KNOWN_OBSERVATIONS_MAX);
                model
            }
            _ => CostModel::default(),
        }
    }

    /// Keeps what a run has taught, where that is worth it.
    ///
    /// # Errors
    /// When it cannot be kept; nothing depends on it.
    pub fn keep(&self, taught: &CostModel, ran_ns: u64) -> Result<(), CostError> {
        let Some(dir) = self.dir.as_ref().filter(|_| taught.observations() > 0 && ran_ns >= TAUGHT_NS_MIN)
        else {
            return Ok(());
        };
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let key = CostKey { node: node(&self.shape), arguments: self.arguments };
        dir.add(self.kernel, key, taught.sums(), now_s)
    }
}

/// The nearest there is: the same, else all with other arguments, else all of other nodes.
fn choose(cost: &KernelCost, key: CostKey) -> Option<Known> {
    let sources: [(Source, &dyn Fn(CostKey) -> bool); 3] = [
        (Source::Same, &|other| other == key),
        (Source::OtherArguments, &|other| other.node == key.node),
        (Source::OtherNode, &|_| true),
    ];
    sources.into_iter().find_map(|(source, is_meant)| {
        let mut model = CostModel::default();
        let mut last_s = 0;
        for entry in cost.entries.iter().filter(|entry| is_meant(entry.key)) {
            model.add(&CostModel::from(entry.sums));
            last_s = last_s.max(entry.last_s);
        }
        let observations = model.observations();
        (observations > 0).then_some(Known { model, source, observations, last_s })
    })
}

/// A node by what makes it fast or slow. A name alone says little where containers get a new one each time, and a
/// processor alone little where two nodes share a home.
fn node(shape: &str) -> u64 {
    short(format!("{shape}\n{}", processor()).as_bytes())
}

fn shape(topology: &Topology) -> String {
    format!(
        "{}\n{} cores, {} threads, {} NUMA domains",
        topology.host,
        topology.cores.len(),
        topology.cpus().iter().count(),
        topology.numa.len()
    )
}

/// The arguments that all subtasks share, and the cores a subtask.
fn arguments(record: &JobRecord) -> u64 {
    let mut bytes = Vec::with_capacity(256);
    for arg in record.argv.iter().skip(1) {
        bytes.extend_from_slice(arg);
        bytes.push(0);
    }
    bytes.extend_from_slice(&record.options.cores.to_le_bytes());
    short(&bytes)
}

/// The processor's make, by the short file that names its family, model and features: /proc/cpuinfo takes milliseconds
/// where there are many. Nothing where there is no such file.
fn processor() -> String {
    let paths =
        ["/sys/devices/system/cpu/modalias", "/sys/devices/system/cpu/cpu0/regs/identification/midr_el1"];
    paths.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taught(ns: u64) -> dc_model::CostSums {
        let mut model = CostModel::default();
        model.observe(10, ns);
        model.sums()
    }

    #[test]
    fn the_nearest_is_taken() {
        let key = |node, arguments| CostKey { node, arguments };
        let mut cost = KernelCost::new(ContentHash(1));
        assert_eq!(choose(&cost, key(1, 1)), None);
        cost.add(key(2, 1), taught(100), 5);
        let known = |cost: &KernelCost, key| choose(cost, key).unwrap();
        assert_eq!(known(&cost, key(1, 1)).source, Source::OtherNode);
        cost.add(key(1, 2), taught(200), 6);
        cost.add(key(1, 3), taught(400), 7);
        let other = known(&cost, key(1, 1));
        assert_eq!((other.source, other.observations, other.last_s), (Source::OtherArguments, 2, 7));
        assert_eq!(other.model.predict_ns(10), Some(300));
        cost.add(key(1, 1), taught(800), 4);
        let same = known(&cost, key(1, 1));
        assert_eq!((same.source, same.model.predict_ns(10)), (Source::Same, Some(800)));
    }
}
