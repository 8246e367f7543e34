//! What dcrun takes over from where it is started: a launcher's environment, an affinity, a cpuset.

use dc_integration::shown::{Shown, allowed, cpu_list};
use dc_integration::{Scratch, fixture, process, until};
use std::path::{Path, PathBuf};

/// Whether there is such a command; says what is skipped where there is none.
fn has(command: &str) -> bool {
    let found = std::env::var("PATH").unwrap().split(':').any(|dir| Path::new(dir).join(command).is_file());
    if !found {
        eprintln!("skipped: there is no {command}");
    }
    found
}

/// What the rank of a dcrun that `launcher` has started sees of that launcher.
fn inside(launcher: &str, options: &str) {
    if !has(launcher) {
        return;
    }
    let place = Scratch::new();
    // A file for each: a launcher may cut the lines of one into those of another.
    let script = "exec dcrun -q --bind none -l -n 1 \"$0\" >\"seen.$$\"";
    let asked = place.ask(launcher).words(&format!("{options} -n 2 sh -c")).arg(script);
    let asked = asked.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    let ended = asked.env("OMPI_MCA_btl", "self").arg(fixture("show")).run().ends_with(0);
    let files = std::fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap());
    let seen = files.filter(|file| file.file_name().to_string_lossy().starts_with("seen."));
    let text: String = seen.map(|file| std::fs::read_to_string(file.path()).unwrap()).collect();
    let shown = Shown::by_rank_in(&text);
    assert_eq!(shown[&0].all("arg").count(), 2, "both have run: {ended}");
    let own = ["PMI_", "PMIX_", "OMPI_COMM_", "OMPI_MCA_ess", "OMPI_MCA_orte_hnp", "HYD", "MPI_LOCAL"];
    for var in shown[&0].all("env") {
        let is_setting = var.starts_with("PMIX_MCA_");
        assert!(is_setting || !own.iter().any(|begin| var.starts_with(begin)), "{var} of {launcher}");
    }
    assert!(shown[&0].env("OMPI_MCA_btl").is_some(), "a setting of the user's");
}

#[test]
fn inside_of_open_mpi() {
    inside("mpirun.openmpi", "--oversubscribe");
}

#[test]
fn inside_of_mpich() {
    inside("mpiexec.hydra", "");
}

#[test]
fn rank_variables_of_others_are_set_when_asked_for_and_again_at_a_resume() {
    let place = Scratch::new();
    let kernel = place.script(
        "tells",
        "echo $SLURM_PROCID $SLURM_NTASKS $OMPI_COMM_WORLD_RANK $PMI_SIZE $FLUX_TASK_RANK\ntest -e go\n",
    );
    let spool = place.path("spool");
    let line = format!("--compat-env -n 2 --restarts 0 --keep-going --spool {}", spool.display());
    let wanted = ["0 2 0 2 0", "1 2 1 2 1"];
    assert_eq!(place.dcrun(&line).arg(&kernel).run().ends_with(1).sorted(), wanted);
    place.write("go", "");
    let again = place.dcrun(&format!("--resume {}", spool.display())).run().ends_with(0);
    assert_eq!(again.sorted(), wanted);
    let inner = place.dcrun("--compat-env -n 1 dcrun -n 1 env").run().ends_with(0);
    for name in ["PMI_RANK=", "DC_COMPAT_ENV=", "SLURM_PROCID="] {
        assert!(!inner.out().contains(name), "{name} is the outer one's: {inner}");
    }
}

#[test]
fn what_is_inherited_is_told_to_those_who_ask() {
    let place = Scratch::new();
    let asked = place.dcrun("-v -n 1 true").env("SLURM_JOB_ID", "4711").env("SLURM_PROCID", "3");
    let ended = asked.env("DC_CLAIMS", place.path("")).run().ends_with(0);
    ended.says(&[
        "are allowed, by this process's affinity",
        "inside job 4711 of Slurm",
        "job's: SLURM_PROCID",
    ]);
}

/// A cpuset of one's own, of the first version's hierarchy or the second's; removed at the end.
struct Cpuset {
    dir: PathBuf,
}

impl Cpuset {
    fn new() -> Option<Self> {
        let name = format!("dc-test-{}", std::process::id());
        let roots = ["/sys/fs/cgroup/cpuset", "/sys/fs/cgroup"];
        let root = roots.into_iter().map(Path::new).find(|root| {
            root.join("cpuset.cpus").exists()
                || std::fs::read_to_string(root.join("cgroup.subtree_control"))
                    .is_ok_and(|controllers| controllers.contains("cpuset"))
        });
        let dir = root.map(|root| root.join(name)).filter(|dir| std::fs::create_dir(dir).is_ok());
        if dir.is_none() {
            eprintln!("skipped: no cpuset can be made; that takes root and a cpuset hierarchy");
        }
        let cpuset = Self { dir: dir? };
        if cpuset.dir.join("cpuset.mems").exists() {
            std::fs::write(cpuset.dir.join("cpuset.mems"), "0").unwrap();
        }
        Some(cpuset)
    }

    fn allow(&self, cpu: u32) {
        std::fs::write(self.dir.join("cpuset.cpus"), cpu.to_string()).unwrap();
    }

    /// Words of a shell that enters it and runs the rest.
    fn enter(&self) -> String {
        format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.dir.display())
    }
}

impl Drop for Cpuset {
    fn drop(&mut self) {
        let gone =
            dc_integration::wait::within(dc_integration::DEADLINE, || std::fs::remove_dir(&self.dir).ok());
        assert!(gone.is_some() || std::thread::panicking(), "{} is left", self.dir.display());
    }
}

#[test]
fn a_cpuset_is_kept_to_and_a_change_is_told() {
    let all = allowed();
    if all.len() < 2 {
        eprintln!("skipped, for want of a second CPU");
        return;
    }
    let Some(cpuset) = Cpuset::new() else { return };
    cpuset.allow(all[1]);
    let place = Scratch::new();
    let ask = |line: &str| {
        let asked =
            place.ask("sh").arg("-c").arg(cpuset.enter()).arg("sh").arg(dc_integration::built("dcrun"));
        asked.words(line)
    };
    let ended = ask("-l -n 3").arg(fixture("show")).run().ends_with(0);
    for shown in Shown::by_rank(&ended).values() {
        assert_eq!(shown.cpus(), [all[1]]);
    }
    // While it runs its CPU is taken away, and it is given another: the rank that runs is told of, the next one runs.
    let kernel = place.script("waits", "echo \"up $$ $DC_CPUS\"\nwhile ! test -e go; do sleep 0.02; done\n");
    let running = ask("-n 2").arg(&kernel).start();
    let pid: i32 = running.prints("up ").split(' ').nth(1).unwrap().parse().unwrap();
    cpuset.allow(all[0]);
    until("the rank to be moved", || (cpu_list(&process::cpus(pid)?) == [all[0]]).then_some(()));
    running.says(&format!("was given CPUs {}, but runs on {}: the others have gone", all[1], all[0]));
    place.write("go", "");
    let ended = running.finish().ends_with(0);
    assert_eq!(ended.out().lines().count(), 2, "{ended}");
    ended.says_in_a_line(&["rank 1", "was given CPUs", "but runs on", "the others have gone"]);
}
