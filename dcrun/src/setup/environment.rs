//! The environment that all ranks share: dcrun's own, without what an outer job told its ranks about themselves.
//! The table here is the one list of what is left out.

use dcsched_brief::OPENMP;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Names, and beginnings of names (with a `*`), that describe a rank of an outer job or its bootstrap. An inner MPI
/// that finds them takes itself for that rank.
const STRIPPED: &[&str] = &[
    // Slurm: the task and the step; not the job.
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "SLURM_GTIDS",
    "SLURM_TASK_PID",
    "SLURM_NTASKS",
    "SLURM_NPROCS",
    "SLURM_STEP_*",
    "SLURM_STEPID",
    "SLURM_STEPMGR",
    "SLURM_SRUN_COMM_HOST",
    "SLURM_SRUN_COMM_PORT",
    "SLURM_LAUNCH_NODE_IPADDR",
    "SLURM_CPU_BIND*",
    "SLURM_MEM_BIND*",
    "SLURM_DISTRIBUTION",
    "SLURM_LABELIO",
    "SLURM_MPI_TYPE",
    "SLURM_PMI*",
    // PMI-1, PMI-2, PMIx.
    "PMI_*",
    "PMI2_*",
    "PMIX_*",
    // Open MPI.
    "OMPI_COMM_*",
    "OMPI_UNIVERSE_SIZE",
    "OMPI_APP_CTX_NUM_PROCS",
    "OMPI_NUM_APP_CTX",
    "OMPI_FIRST_RANKS",
    "OMPI_ARGV",
    "OMPI_COMMAND",
    "OMPI_FILE_LOCATION",
    // MPICH, Intel MPI, MVAPICH.
    "MPI_LOCALRANKID",
    "MPI_LOCALNRANKS",
    "HYDI_CONTROL_FD",
    "HYDRA_CONTROL_FD",
    "I_MPI_HYDRA_*",
    "MV2_COMM_WORLD_*",
    "JSM_NAMESPACE_*",
    "PRTE_LAUNCHED",
    // Flux, PALS, ALPS.
    "FLUX_TASK_*",
    "FLUX_JOB_SIZE",
    "FLUX_PMI_*",
    "PALS_*",
    "ALPS_APP_*",
    // An outer dcrun.
    "DC_COMPAT_ENV",
    "DC_JOB_ID",
    "DC_JOB_NAME",
    "DC_JOB_UUID",
    "DC_RANK",
    "DC_NTASKS",
    "DC_LOCALID",
    "DC_NODEID",
    "DC_NODELIST",
    "DC_SUBTASK",
    "DC_SUBTASKS",
    "DC_SUBTASKS_TOTAL",
    "DC_SUBTASK_FILE",
    "DC_CELLS",
    "DC_BLOCK",
    "DC_DOMAIN",
    "DC_DOMAIN_KIND",
    "DC_GRID",
    "DC_ATTEMPT",
    "DC_RESTART_FROM",
    "DC_RESTART_FROM_OLDER",
    "DC_CPUS",
    "DC_SPOOL",
    "DC_BCAST_DIR",
    "DC_BCAST_FILES",
    "DC_GANG",
    "DC_PROGRESS",
    "DC_MERGE",
    "DC_MERGE_LIST",
    "DC_MERGE_DIR",
    "DC_MERGE_RESULTS",
    "DC_MERGE_BYTES",
];

/// Settings that a launcher makes for the ranks it starts, each under a name that a user may set too: left out where
/// the variable that is named first shows that this is a rank of that launcher. An Open MPI that finds them looks for
/// a daemon that is not its own, and gives up.
const STRIPPED_IN_RANK: &[(&str, &[&str])] = &[
    (
        "OMPI_COMM_WORLD_RANK",
        &[
            "OMPI_MCA_ess",
            "OMPI_MCA_ess_base_*",
            "OMPI_MCA_initial_wdir",
            "OMPI_MCA_orte_app_num",
            "OMPI_MCA_orte_bound_at_launch",
            "OMPI_MCA_orte_ess_*",
            "OMPI_MCA_orte_hnp_uri",
            "OMPI_MCA_orte_jobfam_session_dir",
            "OMPI_MCA_orte_launch",
            "OMPI_MCA_orte_local_daemon_uri",
            "OMPI_MCA_orte_num_nodes",
            "OMPI_MCA_orte_precondition_transports",
            "OMPI_MCA_orte_top_session_dir",
            "OMPI_MCA_pmix",
            "OMPI_MCA_shmem_RUNTIME_QUERY_hint",
        ],
    ),
    ("HYDI_CONTROL_FD", &["MPIR_CVAR_CH3_INTERFACE_HOSTNAME"]),
    ("FLUX_TASK_RANK", &["OMPI_MCA_pmix", "OMPI_MCA_schizo"]),
];

/// What stays although [`STRIPPED`] has it: settings that a user makes.
const KEPT: &[&str] = &["PMIX_MCA_*"];

/// What is left of an environment for the ranks of a new job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment {
    /// The variables, in their order.
    pub vars: Vec<(OsString, OsString)>,
    /// The OpenMP variable that the user has set, so that dc sets none.
    pub openmp: Option<&'static str>,
    /// The names of what was left out.
    pub stripped: Vec<String>,
}

/// Leaves out what an outer job told its rank.
#[must_use]
pub fn strip(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Environment {
    let mut vars: Vec<_> = vars.into_iter().collect();
    let has = |name: &str, vars: &[(OsString, OsString)]| vars.iter().any(|(n, _)| n == name);
    let is_in_rank = has("DC_RANK", &vars) && has("DC_CPUS", &vars);
    // All three together come from an outer dcrun.
    if is_in_rank && OPENMP.iter().all(|name| has(name, &vars)) {
        vars.retain(|(name, _)| !OPENMP.iter().any(|own| name == own));
    }
    let of_launchers: Vec<&[&str]> =
        STRIPPED_IN_RANK.iter().filter(|(rank, _)| has(rank, &vars)).map(|(_, names)| *names).collect();
    let mut stripped = Vec::new();
    vars.retain(|(name, _)| {
        let stays = (!is_any(name, STRIPPED) || is_any(name, KEPT))
            && !of_launchers.iter().any(|names| is_any(name, names));
        if !stays {
            stripped.push(name.to_string_lossy().into_owned());
        }
        stays
    });
    let openmp = OPENMP.into_iter().find(|name| has(name, &vars));
    Environment { vars, openmp, stripped }
}

fn is_any(name: &OsStr, table: &[&str]) -> bool {
    let name = name.as_bytes();
    // Most names share no first letter with the table: look no further for those.
    if !matches!(name.first(), Some(b'A' | b'D' | b'F' | b'H' | b'I' | b'J' | b'M' | b'O' | b'P' | b'S')) {
        return false;
    }
    table.iter().any(|entry| match entry.strip_suffix('*') {
        Some(begin) => name.starts_with(begin.as_bytes()),
        None => name == entry.as_bytes(),
    })
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
