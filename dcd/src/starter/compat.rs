//! The variables by which other launchers tell a rank about itself, for kernels that look at those and know nothing of
//! dc. None of a bootstrap: an MPI that finds no way to a launcher in its environment does not look for one.

use super::env::Var;

/// The variable that asks for them; the kernel sees it too.
pub const ASKED: &str = "DC_COMPAT_ENV";

/// What is the same for all ranks of a job on one node.
pub(super) fn shared(ranks: u32) -> Vec<Var> {
    let of_all = [
        "FLUX_JOB_SIZE",
        "MPI_LOCALNRANKS",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
        "OMPI_COMM_WORLD_SIZE",
        "PMI_SIZE",
        "SLURM_NPROCS",
        "SLURM_NTASKS",
        "SLURM_STEP_NUM_TASKS",
        "SLURM_STEP_TASKS_PER_NODE",
        "SLURM_TASKS_PER_NODE",
    ];
    let of_node =
        [("FLUX_JOB_NNODES", 1), ("SLURM_NNODES", 1), ("SLURM_NODEID", 0), ("SLURM_STEP_NUM_NODES", 1)];
    let of_all = of_all.into_iter().map(|name| (name, ranks));
    of_all.chain(of_node).collect()
}

/// What is one rank's own.
pub(super) fn own(rank: u32, cores: u32) -> Vec<Var> {
    let names = [
        "FLUX_TASK_LOCAL_ID",
        "FLUX_TASK_RANK",
        "MPI_LOCALRANKID",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_NODE_RANK",
        "OMPI_COMM_WORLD_RANK",
        "PMI_RANK",
        "SLURM_LOCALID",
        "SLURM_PROCID",
    ];
    let of_rank = names.into_iter().map(|name| (name, rank));
    of_rank.chain([("SLURM_CPUS_PER_TASK", cores.max(1))]).collect()
}

/// Whether it is one of those above: what the user's environment says of it is left out.
pub(super) fn is_any(name: &[u8]) -> bool {
    shared(0).into_iter().chain(own(0, 0)).any(|(own, _)| own.as_bytes() == name)
}
