//! The cores and the memory of a node, and which of them are free to be given to jobs.

use dc_model::{CpuSet, Topology};

/// A node's.
#[derive(Clone, Default, Debug)]
pub(super) struct Cores {
    topology: Option<Topology>,
    /// By [`Topology::cores`].
    is_free: Vec<bool>,
    free: u32,
    memory_bytes: u64,
    memory_free_bytes: u64,
}

impl Cores {
    /// As the node says. Where it is another than before, all of its cores are free: who had some has lost them.
    pub fn set_topology(&mut self, topology: &Topology, memory_max_bytes: u64) {
        let all: u64 = topology.numa.iter().fold(0, |sum, numa| sum.saturating_add(numa.memory_bytes));
        let memory_bytes = if memory_max_bytes > 0 { memory_max_bytes.min(all) } else { all };
        let is_same = self.topology.as_ref().is_some_and(|known| known.cores == topology.cores);
        if is_same {
            let used = self.memory_bytes - self.memory_free_bytes;
            self.memory_free_bytes = memory_bytes.saturating_sub(used);
        } else {
            self.is_free = vec![true; topology.cores.len()];
            self.free = topology.cores.len() as u32;
            self.memory_free_bytes = memory_bytes;
        }
        self.memory_bytes = memory_bytes;
        self.topology = Some(topology.clone());
    }

    /// Whether these are the cores that it had.
    pub fn is_same(&self, topology: &Topology) -> bool {
        self.topology.as_ref().is_none_or(|known| known.cores == topology.cores)
    }

    pub fn all(&self) -> u32 {
        self.is_free.len() as u32
    }

    pub fn free(&self) -> u32 {
        self.free
    }

    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    pub fn memory_free_bytes(&self) -> u64 {
        self.memory_free_bytes
    }

    /// The part of the topology that these cores are.
    pub fn part(&self, cores: &[u32]) -> Option<Topology> {
        let topology = self.topology.as_ref()?;
        let of = |core: &u32| topology.cores.get(*core as usize).cloned();
        Some(Topology { cores: cores.iter().filter_map(of).collect(), ..topology.clone() })
    }

    /// Free cores that have one of these CPUs.
    pub fn with_cpus(&self, cpus: &CpuSet) -> Vec<u32> {
        let Some(topology) = &self.topology else { return Vec::new() };
        let has = |core: &CpuSet| !core.and(cpus).is_empty();
        (0..).zip(&topology.cores).filter(|(_, core)| has(&core.cpus)).map(|(index, _)| index).collect()
    }

    /// Whether all of these are free.
    pub fn are_free(&self, cores: &[u32]) -> bool {
        cores.iter().all(|core| self.is_free.get(*core as usize).copied().unwrap_or(false))
    }

    /// So many free ones, close together: of the domain with the fewest free ones that has enough, else of those with the most.
    pub fn pick(&self, count: u32) -> Vec<u32> {
        let Some(topology) = &self.topology else { return Vec::new() };
        let mut domains: Vec<Vec<u32>> = vec![Vec::new(); topology.numa.len().max(1)];
        for ((index, core), is_free) in (0..).zip(&topology.cores).zip(&self.is_free) {
            if *is_free && let Some(domain) = domains.get_mut(core.numa as usize) {
                domain.push(index);
            }
        }
        let enough = domains.iter().filter(|domain| domain.len() >= count as usize);
        let mut picked: Vec<u32> = match enough.min_by_key(|domain| domain.len()) {
            Some(domain) => domain.iter().copied().take(count as usize).collect(),
            None => {
                domains.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
                domains.into_iter().flatten().take(count as usize).collect()
            }
        };
        picked.sort_unstable();
        picked
    }

    pub fn take(&mut self, cores: &[u32], memory_bytes: u64) {
        for core in cores {
            let is_free = &mut self.is_free[*core as usize];
            assert!(*is_free, "core {core} is given twice");
            *is_free = false;
        }
        self.free -= cores.len() as u32;
        self.memory_free_bytes = self.memory_free_bytes.saturating_sub(memory_bytes);
    }

    pub fn give_back(&mut self, cores: &[u32], memory_bytes: u64) {
        for core in cores {
            let is_free = &mut self.is_free[*core as usize];
            assert!(!*is_free, "core {core} is given back twice");
            *is_free = true;
        }
        self.free += cores.len() as u32;
        self.memory_free_bytes = (self.memory_free_bytes.saturating_add(memory_bytes)).min(self.memory_bytes);
    }
}
