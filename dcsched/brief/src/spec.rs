//! What the core is told of a job.

use dc_model::{Subtask, Topology};
use dc_spool::job::JobRecord;
use dcsched_core::job::{JobSpec, Need};
use dcsched_core::place::{Bind, count_units};

/// The job as the core has it, on these cores; without any it is a job whose parts join and go. What the node has besides (limits on memory, other jobs) is the
/// caller's to add.
#[must_use]
pub fn spec(record: &JobRecord, topology: Topology) -> JobSpec {
    let options = &record.options;
    let need =
        |subtask: &Subtask| Need { cells: subtask.cells, cores: subtask.cores, mem_bytes: subtask.mem_bytes };
    let needs: Vec<_> = record.subtasks.iter().map(need).collect();
    let bind = options.bind.clone().unwrap_or_default();
    let ranks_per_core = match bind {
        _ if !options.oversubscribe => 1,
        // Entries may overlap as they like.
        Bind::Fixed(_) => options.ranks,
        _ => {
            let cores_most = needs.iter().map(|need| need.cores).max().unwrap_or(1);
            let wanted = u64::from(options.ranks) * u64::from(cores_most);
            let cores = u64::from(count_units(&topology, &bind).max(1));
            u32::try_from(wanted.div_ceil(cores)).unwrap_or(u32::MAX).max(1)
        }
    };
    // Without a machine it is a job of a cluster.
    let releases = topology.cores.is_empty();
    JobSpec {
        needs,
        ranks: options.ranks,
        restarts: options.restarts,
        restart_on: options.failure.restart_on,
        keep_going: options.keep_going,
        gang: options.mpi.is_some(),
        merge: !options.merges.is_empty(),
        topology,
        bind,
        distribution: options.distribution,
        ranks_per_core,
        crowd: Vec::new(),
        releases,
        memory_max_bytes: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::record;

    #[test]
    fn ranks_share_cores_only_where_that_is_asked_for() {
        let mut job = record();
        job.options.ranks = 5;
        assert_eq!(spec(&job, Topology::uniform(2, 2, 2)).ranks_per_core, 1);
        job.options.oversubscribe = true;
        assert_eq!(spec(&job, Topology::uniform(2, 2, 2)).ranks_per_core, 3);
        assert_eq!(spec(&job, Topology::uniform(64, 64, 64)).ranks_per_core, 1);
    }
}
