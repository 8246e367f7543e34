//! A node as hwloc has it, cut down to what this process may use: cores, their hardware threads, L3 and NUMA domains.

use crate::CpuSet;

/// A core that this process may use, in hwloc's logical order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Core {
    /// hwloc's logical index on the whole machine; shown beside the OS's CPU numbers.
    pub logical: u32,
    /// Its allowed hardware threads, by the OS's numbers; never empty.
    pub cpus: CpuSet,
    /// Index of its last-level cache, counted from 0 over the machine.
    pub l3: u32,
    /// Index into [`Topology::numa`].
    pub numa: u32,
    /// Index of its package.
    pub package: u32,
}

/// A NUMA domain that holds allowed cores.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NumaDomain {
    /// The OS's node number.
    pub os_index: u32,
    /// Its memory, in bytes.
    pub memory_bytes: u64,
}

/// The allowed part of one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topology {
    /// The host's name.
    pub host: String,
    /// Allowed cores in logical order; never empty.
    pub cores: Vec<Core>,
    /// NUMA domains of those cores.
    pub numa: Vec<NumaDomain>,
}

impl Topology {
    /// A machine for tests and simulations: `cores` cores of one thread, `per_l3` a cache, `per_numa` a domain.
    ///
    /// # Panics
    /// When a count is 0.
    #[must_use]
    pub fn uniform(cores: u32, per_l3: u32, per_numa: u32) -> Self {
        assert!(cores > 0 && per_l3 > 0 && per_numa > 0, "counts of a machine are positive");
        Self {
            host: "node".to_owned(),
            cores: (0..cores)
                .map(|i| Core {
                    logical: i,
                    cpus: CpuSet::from_iter([i]),
                    l3: i / per_l3,
                    numa: i / per_numa,
                    package: 0,
                })
                .collect(),
            numa: (0..cores.div_ceil(per_numa))
                .map(|os_index| NumaDomain { os_index, memory_bytes: 1 << 34 })
                .collect(),
        }
    }

    /// All allowed CPUs.
    #[must_use]
    pub fn cpus(&self) -> CpuSet {
        self.cores.iter().fold(CpuSet::new(), |all, core| all.or(&core.cpus))
    }
}
