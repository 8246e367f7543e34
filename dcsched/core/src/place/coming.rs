//! What changes who has which cores beside launches and their ends: attempts that run already, and cores that the job
//! gives away.

use super::{CorePool, Placement};
use crate::job::Need;
use dc_model::Bind;

impl CorePool {
    /// These units, which something has already that runs: what a node says of it after the scheduler has forgotten.
    /// Memory that is not left is not counted. Nothing when one of the units is not there, or not free.
    pub fn adopt(&mut self, units: &[u32], need: Need) -> Option<Placement> {
        let mut units = units.to_vec();
        units.sort_unstable();
        units.dedup();
        let is_open = |index: &u32| self.units.get(*index as usize).is_some_and(|unit| self.is_open(unit));
        if units.is_empty() || !units.iter().all(is_open) {
            return None;
        }
        // Parts of a node count its domains' memory each on its own: what is not left here comes from another domain.
        let mem_bytes = need.mem_bytes.min(self.memory.node_left_bytes());
        let memory = self.memory.shares(mem_bytes, &self.domains_of(&units), true).unwrap_or_default();
        Some(self.give(units, memory, need))
    }

    /// Takes away all cores that no rank is on, and gives them: indices into [`Topology::cores`], rising. Where ranks are
    /// bound to more than their own cores nothing is taken away while any runs.
    pub fn release(&mut self) -> Vec<u32> {
        let is_shared = !matches!(self.bind, Bind::Core | Bind::Thread | Bind::Fixed(_));
        if is_shared && self.ranks_of_cores.iter().any(|ranks| *ranks > 0) {
            return Vec::new();
        }
        let mut cores = Vec::new();
        for unit in &mut self.units {
            if unit.is_gone || self.ranks_of_cores[unit.core as usize] > 0 {
                continue;
            }
            unit.is_gone = true;
            self.groups[unit.group].units -= 1;
            self.domains[unit.domain].share.units -= 1;
            self.free -= u64::from(self.ranks_per_core);
            self.open -= 1;
            self.present -= 1;
            cores.push(unit.core);
        }
        cores.dedup();
        cores
    }
}
