//! Whether the ranks of a gang find room beside each other: asked before anything is made, and again when the job is
//! gone on with, perhaps on another machine. A gang that does not fit would wait for ever.

use super::MpiError;
use dcsched_core::job::{JobSpec, Need, gang_fits};
use dcsched_core::place::{CorePool, count_units};

/// Whether all ranks of a gang can run at once, each with something to do.
///
/// # Errors
/// When not.
pub fn check_gang(spec: &JobSpec) -> Result<(), MpiError> {
    let ranks = spec.ranks;
    let subtasks = spec.needs.iter().filter(|need| need.cells > 0).count();
    if subtasks < ranks as usize {
        return Err(MpiError::IdleRanks { ranks, subtasks });
    }
    if gang_fits(spec) {
        return Ok(());
    }
    let allowed = count_units(&spec.topology, &spec.bind) as usize;
    let cores = spec.needs.iter().map(|need| need.cores).max().unwrap_or(1);
    let needed = u64::from(ranks) * u64::from(cores);
    if needed > allowed as u64 && spec.ranks_per_core <= 1 {
        return Err(MpiError::Cores { ranks, cores, needed, allowed });
    }
    let without_memory = |need: &Need| Need { mem_bytes: 0, ..*need };
    let others = JobSpec { needs: spec.needs.iter().map(without_memory).collect(), ..spec.clone() };
    if !gang_fits(&others) {
        return Err(MpiError::Bind { ranks });
    }
    let wanted = spec.needs.iter().fold(0u64, |sum, need| sum.saturating_add(need.mem_bytes));
    let pool = CorePool::new(&spec.topology, spec.bind.clone(), spec.ranks_per_core, spec.memory_max_bytes);
    Err(MpiError::Memory { ranks, wanted, node: pool.memory_bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::{Bind, CpuSet, Topology};

    fn gang(ranks: u32, mem_bytes: u64) -> JobSpec {
        let needs = vec![Need { cells: 1, cores: 1, mem_bytes }; ranks as usize];
        let mut spec = JobSpec { gang: true, ..JobSpec::plain(needs, ranks) };
        spec.topology = Topology::uniform(4, 2, 2);
        spec.topology.numa.iter_mut().for_each(|numa| numa.memory_bytes = 1 << 30);
        spec
    }

    #[test]
    fn what_would_wait_for_ever_is_refused() {
        assert_eq!(check_gang(&gang(4, 0)), Ok(()));
        assert!(matches!(check_gang(&gang(5, 0)), Err(MpiError::Cores { needed: 5, allowed: 4, .. })));
        assert_eq!(check_gang(&gang(4, 1 << 29)), Ok(()));
        let wanted = 3 << 30;
        assert_eq!(
            check_gang(&gang(4, wanted / 4)),
            Err(MpiError::Memory { ranks: 4, wanted, node: 2 << 30 }),
            "each fits, but not all at once"
        );
        let map = |cpus: &[u32]| Bind::Fixed(cpus.iter().map(|cpu| CpuSet::from_iter([*cpu])).collect());
        let mapped = |cpus| JobSpec { bind: map(cpus), ..gang(4, 0) };
        assert_eq!(check_gang(&mapped(&[3, 2, 1, 0])), Ok(()));
        assert_eq!(check_gang(&mapped(&[0, 1])), Err(MpiError::Bind { ranks: 4 }), "two ranks on each CPU");
        assert_eq!(check_gang(&JobSpec { ranks_per_core: 2, ..mapped(&[0, 1]) }), Ok(()));
        let idle = JobSpec { ranks: 3, ..gang(2, 0) };
        assert_eq!(check_gang(&idle), Err(MpiError::IdleRanks { ranks: 3, subtasks: 2 }));
    }
}
