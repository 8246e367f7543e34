//! MPI kernels with both MPIs: one gang, never singletons; pinned, restarted together from one complete set, stopped
//! and resumed whole; and launchers that do not do what they are to do.

use dc_integration::run::Ask;
use dc_integration::{Scratch, mpi_fixture, process, wait};
use std::fs;
use std::path::{Path, PathBuf};

/// An MPI, its kernel, and the name of its launcher.
struct Mpi {
    name: &'static str,
    kernel: PathBuf,
    launcher: &'static str,
}

/// Those that are installed; what is not is said.
fn each() -> Vec<Mpi> {
    let known = [("openmpi", "mpicc.openmpi", "mpirun.openmpi"), ("mpich", "mpicc.mpich", "mpiexec.hydra")];
    let found = known.into_iter().filter_map(|(name, mpicc, launcher)| {
        let kernel = mpi_fixture("mpi_ring", mpicc);
        if kernel.is_none() {
            println!("skipped: {name}, whose {mpicc} is not installed");
        }
        Some(Mpi { name, kernel: kernel?, launcher })
    });
    found.collect()
}

/// Two ranks, on whatever cores there are.
fn gang(place: &Scratch, mpi: &Mpi, options: &str) -> Ask {
    place.dcrun(&format!("-n 2 --oversubscribe {options}")).env("DC_GRACE", "2").arg(&mpi.kernel)
}

/// Rank, size, attempt and step of each start.
fn starts(place: &Scratch) -> Vec<(u32, u32, u32, u32)> {
    let number = |text: &String| text.parse().unwrap();
    let mut all: Vec<_> = place
        .noted("start")
        .iter()
        .map(|line| (number(&line[3]), number(&line[1]), number(&line[2]), number(&line[4])))
        .collect();
    all.sort_unstable();
    all
}

fn total(out: &str) -> String {
    out.lines()
        .find(|line| line.contains("total"))
        .unwrap_or_else(|| panic!("no total in {out:?}"))
        .to_owned()
}

#[test]
fn ranks_see_each_other_and_are_pinned_apart() {
    for mpi in each() {
        let place = Scratch::new();
        let done = place.dcrun("-n 2 -l --oversubscribe").arg(&mpi.kernel).run().ends_with(0);
        let out = done.out();
        assert_eq!(starts(&place), [(1, 0, 2, 0), (1, 1, 2, 0)], "{}: {out}", mpi.name);
        assert!(out.contains("0: total ") && out.contains(" of 2"), "{}: {out}", mpi.name);
        let cpus = |rank: &str| {
            out.lines().find_map(|line| line.strip_prefix(rank)?.strip_prefix(": cpus ")).map(str::to_owned)
        };
        let (zero, one) = (cpus("0").unwrap(), cpus("1").unwrap());
        if std::thread::available_parallelism().unwrap().get() > 1 {
            assert_ne!(zero, one, "{}: {out}", mpi.name);
        }
        place.nothing_is_left();
        place.nothing_runs();
    }
}

#[test]
fn a_killed_rank_takes_all_back_to_one_set() {
    for mpi in each() {
        let place = Scratch::new();
        let whole = total(&gang(&place, &mpi, "").run().ends_with(0).out());
        let place = Scratch::new();
        // Rank 1 dies when it has left step 9, and rank 0 may have, or not: all go on from one step.
        let done = gang(&place, &mpi, "").env("DIES", "1:1:10:9").run().ends_with(0);
        assert_eq!(total(&done.out()), whole, "{}", mpi.name);
        let starts = starts(&place);
        assert_eq!(starts.len(), 4, "{}: {starts:?}", mpi.name);
        assert_eq!(starts[2].3, starts[3].3, "{}: one step for all: {starts:?}", mpi.name);
        assert!(starts[2].3 >= 6, "{}: {starts:?}", mpi.name);
        done.says_in_a_line(&["rank 1", "signal 9", "goes on from step"]);
        place.nothing_is_left();
    }
}

/// Everything below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let each = entries.into_iter().map(|entry| entry.path());
    each.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_set_with_a_missing_part_is_none() {
    for mpi in each() {
        let place = Scratch::new();
        let whole = total(&gang(&place, &mpi, "").run().ends_with(0).out());
        let place = Scratch::new();
        let dir = place.path("job");
        let options = format!("--restarts 0 --spool {}", dir.display());
        let _ = gang(&place, &mpi, &options).env("DIES", "1:0:10:9").run().ends_with(137);
        let mut newest: Vec<_> = files(&dir.join("ckpt"));
        newest.sort();
        assert!(newest.len() >= 3, "{newest:?}");
        // The newest file of the last subtask.
        fs::remove_file(newest.last().unwrap()).unwrap();
        let done = place.dcrun(&format!("--resume {}", dir.display())).run().ends_with(0);
        assert_eq!(total(&done.out()), whole, "{}", mpi.name);
        let starts = starts(&place);
        assert_eq!((starts[2].3, starts[3].3), (6, 6), "{}: {starts:?}", mpi.name);
    }
}

#[test]
fn the_status_is_that_of_the_rank_that_failed_first() {
    for mpi in each() {
        let place = Scratch::new();
        let three = gang(&place, &mpi, "").env("EXITS", "1:1:0:3").run().ends_with(3);
        three.says_in_a_line(&["rank 1", "exit status 3", "not started again"]);
        let place = Scratch::new();
        let _ = gang(&place, &mpi, "--restarts 0").env("DIES", "1:0:0:9").run().ends_with(137);
        place.nothing_runs();
    }
}

#[test]
fn without_its_launcher_it_is_refused_and_with_none_it_is_alone() {
    for mpi in each() {
        let place = Scratch::new();
        let refused = gang(&place, &mpi, "").env("PATH", "/nowhere").run().ends_with(127);
        refused.says_in_a_line(&["is an MPI program", mpi.launcher, "install", "--mpi=none"]);
        place.nothing_is_left();
        let alone = gang(&place, &mpi, "--mpi=none").run().ends_with(0);
        assert_eq!(alone.out().lines().filter(|line| line.ends_with(" of 1")).count(), 2, "{}", mpi.name);
        alone.says_in_a_line(&["is an MPI program", "know nothing of each other"]);
        let crowd = place.dcrun("-n 4096").arg(&mpi.kernel).run().ends_with(125);
        crowd.says_in_a_line(&["4,096 ranks", "4,096 cores at once", "--oversubscribe"]);
    }
}

#[test]
fn a_launcher_that_fails_is_told_and_leaves_nothing() {
    let path = std::env::var("PATH").unwrap();
    for mpi in each() {
        for (script, says) in [
            ("sleep 1000", "0 of 2 ranks in 1 s"),
            ("echo no luck; exit 0", "status 0 when 0 of 2 ranks"),
            ("kill -9 $$", "killed by signal 9 when 0 of 2"),
        ] {
            let place = Scratch::new();
            let fake = place.script(mpi.launcher, &format!("{script}\n"));
            let first = format!("{}:{path}", fake.parent().unwrap().display());
            let asked = gang(&place, &mpi, "--restarts 0").env("PATH", first).env("DC_MPI_TIMEOUT", "1");
            let failed = asked.run().ends_with(125);
            failed.says_in_a_line(&[says]);
            assert!(starts(&place).is_empty(), "{}: {script}", mpi.name);
            place.nothing_runs();
        }
    }
}

#[test]
fn a_kernel_that_is_no_mpi_program_can_be_launched_as_one() {
    for mpi in each() {
        let place = Scratch::new();
        let done = place
            .dcrun(&format!("-n 2 --oversubscribe --mpi=exec:{}", mpi.name))
            .script(r#"echo "$DC_RANK of $DC_NTASKS""#)
            .run()
            .ends_with(0);
        let mut lines: Vec<_> = done.out().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["0 of 2", "1 of 2"], "{}", mpi.name);
    }
}

#[test]
fn a_gang_of_more_subtasks_than_ranks_has_lists() {
    for mpi in each() {
        let place = Scratch::new();
        let list = place.write("list", "a 5\nb 9 1 x\nc 3\n");
        let options = format!("-n 2 --oversubscribe --mpi=exec:{} --subtasks {}", mpi.name, list.display());
        let done = place
            .dcrun(&options)
            .script(r#"cut -f1,2 "${DC_SUBTASK_FILE:-/dev/null}"; echo "rank $DC_RANK $DC_SUBTASK""#);
        let done = done.run().ends_with(0);
        let mut lines: Vec<_> = done.out().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["0\t5", "2\t3", "rank 0 1", "rank 1 0"], "{}", mpi.name);
    }
}

/// dcrun, its starter, the launcher, a shim or a kernel is killed at a random moment; then the job is resumed until it
/// has ended: the result is the same, and nothing is left running. `DC_SEED=n` repeats.
#[test]
fn whoever_is_killed_the_result_is_the_same() {
    let seed = std::env::var("DC_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("DC_SEED={seed}");
    let mut state = seed;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for mpi in each() {
        let place = Scratch::new();
        let whole = total(&gang(&place, &mpi, "").run().ends_with(0).out());
        for round in 0..6 {
            let place = Scratch::new();
            let dir = place.path("job");
            let first = format!("--keep --spool {}", dir.display());
            let running = gang(&place, &mpi, &first).env("SLOW_MS", "40").start();
            // From before the launcher until the last steps.
            let moment = std::time::Duration::from_millis(random(600));
            let _ = wait::within(moment, || (!process::lives(running.pid())).then_some(()));
            let mut family = place.alive();
            family.retain(|process| process.pid != std::process::id() as i32);
            let victim = family.get(random(family.len().max(1) as u64) as usize).cloned();
            println!("{} round {round}: {victim:?} of {}", mpi.name, family.len());
            if let Some(victim) = victim {
                process::signal(victim.pid, nix::sys::signal::Signal::SIGKILL);
            }
            let ended = running.finish();
            let mut out = ended.out();
            let mut status = ended.code();
            for _ in 0..3 {
                if status == 0 {
                    break;
                }
                if !dir.join("job").exists() {
                    break; // Killed before the job was there.
                }
                let again = place.dcrun(&format!("--resume {}", dir.display())).env("DC_GRACE", "2").run();
                status = again.code();
                out.push_str(&again.out());
            }
            if dir.join("job").exists() {
                assert_eq!(status, 0, "{}: DC_SEED={seed}, round {round}\n{out}", mpi.name);
                assert_eq!(total(&out), whole, "{}: DC_SEED={seed}, round {round}", mpi.name);
            }
            place.nothing_runs();
        }
    }
}
