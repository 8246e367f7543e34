use super::*;

fn left(names: &[&str]) -> Vec<String> {
    let vars = names.iter().map(|name| (OsString::from(name), OsString::from("1")));
    strip(vars).vars.into_iter().map(|(name, _)| name.into_string().unwrap()).collect()
}

#[test]
fn every_entry_is_left_out() {
    for entry in STRIPPED {
        let name = entry.replace('*', "X");
        assert_eq!(left(&["HOME", &name]), ["HOME"], "{entry}");
        assert!(entry.starts_with(['A', 'D', 'F', 'H', 'I', 'J', 'M', 'O', 'P', 'S']), "{entry}");
    }
}

#[test]
fn what_belongs_to_the_job_or_the_user_stays() {
    let stay = [
        "PATH",
        "SLURM_JOB_ID",
        "SLURM_SUBMIT_DIR",
        "SLURM_JOB_NODELIST",
        "SLURM_ARRAY_TASK_ID",
        "OMPI_MCA_btl",
        "OMPI_MCA_pmix",
        "OMPI_MCA_ess",
        "MPIR_CVAR_CH3_INTERFACE_HOSTNAME",
        "OMPI_ALLOW_RUN_AS_ROOT",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
        "PMIX_MCA_gds",
        "PMI",
        "DC_CGROUP",
        "DC_CLAIMS",
        "DC_GRACE",
        "DC_LOG",
        "DC_STARTER",
        "DC_MY_OWN",
        "OMP_NUM_THREADS",
    ];
    assert_eq!(left(&stay), stay);
}

#[test]
fn openmp_of_an_outer_rank_is_not_the_users() {
    let all = ["OMP_NUM_THREADS", "OMP_PLACES", "OMP_PROC_BIND"];
    assert_eq!(left(&all), all);
    assert_eq!(left(&["DC_RANK", "DC_CPUS", all[0], all[1], all[2], "OMP_STACKSIZE"]), ["OMP_STACKSIZE"]);
    assert_eq!(left(&["DC_RANK", "DC_CPUS", all[0]]), [all[0]], "one alone is the user's");
    let vars = [(OsString::from(all[1]), OsString::new())];
    assert_eq!(strip(vars).openmp, Some(all[1]));
}

/// What launchers and batch systems give to their ranks and scripts, each variable with what becomes of it.
const RECORDED: &[(&str, &str)] = &[
    ("flux", include_str!("../../tests/environments/flux.env")),
    ("mpich", include_str!("../../tests/environments/mpich.env")),
    ("openmpi", include_str!("../../tests/environments/openmpi.env")),
    ("pbs", include_str!("../../tests/environments/pbs.env")),
    ("slurm-batch", include_str!("../../tests/environments/slurm-batch.env")),
    ("slurm-salloc", include_str!("../../tests/environments/slurm-salloc.env")),
    ("slurm-task", include_str!("../../tests/environments/slurm-task.env")),
];

#[test]
fn of_recorded_environments_the_right_part_is_left() {
    for (name, text) in RECORDED {
        let lines = || text.lines().filter(|line| !line.starts_with('#'));
        let vars = lines().map(|line| line[2..].split_once('=').unwrap());
        let vars: Vec<_> = vars.map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        let stay = lines().filter_map(|line| line.strip_prefix("+ ")).map(str::to_owned);
        let found = strip(vars);
        let left = found.vars.iter().map(|(n, v)| format!("{}={}", n.to_string_lossy(), v.to_string_lossy()));
        assert_eq!(left.collect::<Vec<_>>(), stay.collect::<Vec<_>>(), "{name}");
        let gone = lines().filter_map(|line| line.strip_prefix("- ")?.split('=').next());
        assert_eq!(found.stripped, gone.collect::<Vec<_>>(), "{name}");
    }
}
