//! What a rank finds in its environment, variable by variable.

use super::*;
use dc_model::{Attempt, Block, JobUuid, Rank, SubtaskId};

fn hello(env: &[&str], openmp: OpenMp) -> Hello {
    Hello {
        job: JobUuid([0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]),
        spool: b"/spool/job".to_vec(),
        cwd: b"/".to_vec(),
        program: b"/k".to_vec(),
        argv: vec![b"k".to_vec()],
        env: env.iter().map(|var| var.as_bytes().to_vec()).collect(),
        ranks: 4,
        grace_ms: 1,
        openmp,
        streams: dc_model::wire::StreamPlan::default(),
        limits: None,
    }
}

fn launch(cpus: &str, cores: u32) -> Launch {
    Launch {
        subtask: SubtaskId(9),
        attempt: Attempt(2),
        rank: Rank(3),
        cpus: CpuSet::parse(cpus).unwrap(),
        cores,
        numa: None,
        cells: 1234,
        block: Some(Block { x0: 1, y0: 2, x1: 3, y1: 4 }),
        args: Vec::new(),
        before: None,
        after: None,
    }
}

fn all(hello: &Hello, launch: &Launch, origin: Option<&Origin>) -> Vec<String> {
    let env = Environment::new(hello, "node7", 77, CpuSet::parse("0-7").unwrap()).unwrap();
    let own = env.own(launch, origin).unwrap();
    env.shared().iter().chain(&own).map(|var| var.to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_variable_is_there_once() {
    let hello = hello(&["HOME=/home/u", "DC_JOB_NAME=sst", "DC_RANK=17", "DC_SPOOL=/outer"], OpenMp::Untold);
    let origin = Origin {
        from: Restart { attempt: Attempt(1), step: 5 },
        path: "/spool/job/ckpt/x".into(),
        older: Some("/spool/job/ckpt/w".into()),
    };
    let mut vars = all(&hello, &launch("2,3", 2), Some(&origin));
    vars.sort();
    let expected = [
        "DC_ATTEMPT=2",
        "DC_BLOCK=1 2 3 4",
        "DC_CELLS=1234",
        "DC_CPUS=2,3",
        "DC_JOB_ID=256",
        "DC_JOB_NAME=sst",
        "DC_JOB_UUID=00000100-0000-0000-0000-000000000007",
        "DC_LOCALID=3",
        "DC_NODEID=0",
        "DC_NODELIST=node7",
        "DC_NTASKS=4",
        "DC_PROGRESS=/proc/77/fd/5",
        "DC_RANK=3",
        "DC_RESTART_FROM=/spool/job/ckpt/x",
        "DC_RESTART_FROM_OLDER=/spool/job/ckpt/w",
        "DC_SPOOL=/spool/job",
        "DC_SUBTASK=9",
        "HOME=/home/u",
    ];
    assert_eq!(vars, expected);
    let names = |vars: &[&str]| -> Vec<String> {
        vars.iter().filter_map(|var| var.split('=').next()).map(str::to_owned).collect()
    };
    for name in names(&expected).iter().filter(|name| name.starts_with("DC_") && *name != "DC_JOB_NAME") {
        assert!(OWN.contains(&name.as_str()), "{name} of an outer job is not stripped");
    }
}

#[test]
fn what_does_not_apply_is_not_set() {
    let vars = all(&hello(&[], OpenMp::Untold), &Launch { block: None, ..launch("", 1) }, None);
    for name in ["DC_BLOCK=", "DC_RESTART_FROM", "OMP_"] {
        assert!(!vars.iter().any(|var| var.starts_with(name)), "{name}: {vars:?}");
    }
    assert!(vars.contains(&"DC_CPUS=0-7".to_owned()), "an unbound rank may use what the starter may");
}

#[test]
fn openmp_is_told_of_the_cores_unless_the_user_has() {
    let omp = |env: &[&str], cpus, cores| -> Vec<String> {
        let vars = all(&hello(env, OpenMp::Places), &launch(cpus, cores), None);
        vars.into_iter().filter(|var| var.starts_with("OMP_")).collect()
    };
    assert_eq!(omp(&[], "2,3", 2), ["OMP_NUM_THREADS=2", "OMP_PLACES={2},{3}", "OMP_PROC_BIND=close"]);
    assert_eq!(omp(&[], "0-3", 2), ["OMP_NUM_THREADS=2", "OMP_PLACES=cores", "OMP_PROC_BIND=close"]);
    assert_eq!(omp(&[], "", 2), ["OMP_NUM_THREADS=2"]);
    let domain = all(&hello(&[], OpenMp::OnePlace), &launch("0-3", 2), None);
    for var in ["OMP_NUM_THREADS=2", "OMP_PLACES={0,1,2,3}", "OMP_PROC_BIND=close"] {
        assert!(domain.contains(&var.to_owned()), "{domain:?}");
    }
    assert_eq!(omp(&["OMP_NUM_THREADS=9"], "2,3", 2), ["OMP_NUM_THREADS=9"]);
    assert_eq!(omp(&["OMP_PROC_BIND=false"], "2,3", 2), ["OMP_PROC_BIND=false"]);
}

#[test]
fn a_zero_byte_is_refused() {
    let mut hello = hello(&[], OpenMp::Untold);
    hello.spool = b"/a\0b".to_vec();
    assert!(Environment::new(&hello, "n", 1, CpuSet::new()).is_err());
}

#[test]
fn other_launchers_variables_are_set_where_they_are_asked_for() {
    let outer = ["SLURM_CPUS_PER_TASK=64", "SLURM_NNODES=9", "SLURM_JOB_ID=7"];
    let asked = [&outer[..], &["DC_COMPAT_ENV=1"]].concat();
    let vars = all(&hello(&asked, OpenMp::Untold), &launch("2,3", 2), None);
    for var in [
        "SLURM_PROCID=3",
        "SLURM_NTASKS=4",
        "SLURM_LOCALID=3",
        "SLURM_NODEID=0",
        "SLURM_CPUS_PER_TASK=2",
        "SLURM_NNODES=1",
        "SLURM_JOB_ID=7",
        "OMPI_COMM_WORLD_RANK=3",
        "OMPI_COMM_WORLD_SIZE=4",
        "OMPI_COMM_WORLD_LOCAL_RANK=3",
        "OMPI_COMM_WORLD_LOCAL_SIZE=4",
        "PMI_RANK=3",
        "PMI_SIZE=4",
        "MPI_LOCALRANKID=3",
        "MPI_LOCALNRANKS=4",
        "FLUX_TASK_RANK=3",
        "FLUX_JOB_SIZE=4",
    ] {
        assert!(vars.contains(&var.to_owned()), "{var}: {vars:?}");
    }
    let mut names: Vec<_> = vars.iter().filter_map(|var| var.split('=').next()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "each is set once: {vars:?}");
    let plain = all(&hello(&outer, OpenMp::Untold), &launch("2,3", 2), None);
    assert!(plain.contains(&"SLURM_NNODES=9".to_owned()) && !plain.iter().any(|var| var.starts_with("PMI_")));
}
