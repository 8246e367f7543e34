//! What is launched: how many ranks, which subtasks, in which order, with which variables and descriptors.

use dc_integration::shown::{Shown, allowed, cpu_list};
use dc_integration::{Scratch, fixture};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A line of a kernel's that notes its subtask, rank and cost.
const NOTE: &str = r#"echo "ran $DC_SUBTASK $DC_RANK $DC_CELLS $DC_NTASKS $DC_SUBTASKS_TOTAL" >>"$NOTES""#;

fn column(lines: &[Vec<String>], at: usize) -> Vec<u64> {
    lines.iter().map(|line| line[at].parse().unwrap()).collect()
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

#[test]
fn four_lines() {
    let place = Scratch::new();
    let done = place.dcrun("-n 4 hostname").run().ends_with(0);
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    assert_eq!(done.out(), format!("{host}\n").repeat(4), "{done}");
    place.nothing_runs();
    place.nothing_is_left();
}

#[test]
fn equal_subtasks() {
    let place = Scratch::new();
    place.dcrun("-n 5").script(NOTE).run().ends_with(0);
    let ran = place.noted("ran");
    assert_eq!(sorted(column(&ran, 1)), [0, 1, 2, 3, 4]);
    for line in &ran {
        assert_eq!(line[1], line[2], "rank i runs subtask i");
        assert_eq!(line[3], ran[0][3], "equal cost");
        assert_eq!(line[4..], ["5", "5"]);
    }
    assert!(ran[0][3].parse::<u64>().unwrap() > 0);
    place.nothing_is_left();
}

#[test]
fn np_is_n() {
    let place = Scratch::new();
    assert_eq!(place.dcrun("-np 3 echo x").run().ends_with(0).out(), "x\nx\nx\n");
}

#[test]
fn a_single_subtask_without_a_number() {
    let place = Scratch::new();
    assert_eq!(place.dcrun("echo x").run().ends_with(0).out(), "x\n");
}

#[test]
fn rank_is_subtask_where_there_are_as_many() {
    let place = Scratch::new();
    place.write("list", "a 5\nb 50\nc 1\nd 500\ne 7\n");
    place.dcrun("--subtasks list").script(NOTE).run().ends_with(0);
    let ran = place.noted("ran");
    assert_eq!(sorted(column(&ran, 1)), [0, 1, 2, 3, 4]);
    for line in &ran {
        assert_eq!(line[1], line[2], "rank i runs subtask i");
        assert_eq!(line[4..], ["5", "5"], "as many ranks as subtasks without -n");
    }
}

#[test]
fn lanes_take_subtasks_one_after_another() {
    let place = Scratch::new();
    place.write("list", (0..9).map(|i| format!("s{i} {}\n", 10 + i)).collect::<String>());
    let script = format!("{NOTE}; sleep 0.02");
    place.dcrun("-n 2 --subtasks list").script(&script).run().ends_with(0);
    let ran = place.noted("ran");
    assert_eq!(sorted(column(&ran, 1)), (0..9).collect::<Vec<_>>());
    assert!(column(&ran, 2).iter().all(|rank| *rank < 2), "{ran:?}");
    assert!(ran.iter().all(|line| line[4..] == ["2", "9"]), "{ran:?}");
}

#[test]
fn more_ranks_than_subtasks() {
    let place = Scratch::new();
    place.write("list", "a 1\nb 2\n");
    place.dcrun("-n 6 --subtasks list").script(NOTE).run().ends_with(0);
    assert_eq!(sorted(column(&place.noted("ran"), 1)), [0, 1]);
}

#[test]
fn zero_cost_never_runs() {
    let place = Scratch::new();
    place.write("list", "a 0\nb 2\nc 0\nd 1\n");
    place.dcrun("--subtasks list").script(NOTE).run().ends_with(0);
    assert_eq!(sorted(column(&place.noted("ran"), 1)), [1, 3]);
    place.nothing_is_left();
}

#[test]
fn at_most_the_allowed_cores_at_once() {
    let place = Scratch::new();
    let cores = allowed().len();
    // Each waits for as many as there may be at once: fewer would wait for ever.
    let script = r#"echo "start" >>"$NOTES"
        while [ "$(grep -c ^start "$NOTES")" -lt "$CORES" ]; do sleep 0.01; done
        sleep 0.02; echo "end" >>"$NOTES""#;
    let ask = place.dcrun(&format!("-n {}", 4 * cores)).env("CORES", cores.to_string());
    ask.script(script).run().ends_with(0);
    assert_eq!(at_once(&place), cores);
}

#[test]
fn cores_of_a_subtask_count() {
    let place = Scratch::new();
    let cores = allowed().len();
    let script = r#"echo start >>"$NOTES"; sleep 0.02; echo end >>"$NOTES""#;
    place.dcrun(&format!("-n 5 -c {cores}")).script(script).run().ends_with(0);
    assert_eq!(at_once(&place), 1);
    assert_eq!(place.noted("end").len(), 5);
}

#[test]
fn cores_of_a_list_count() {
    let place = Scratch::new();
    let cores = allowed().len();
    place.write("list", format!("wide 10 {cores}\nnarrow 5\nother 4 1\n"));
    let show = fixture("show");
    let done = place.dcrun("-l --subtasks list").arg(show).run().ends_with(0);
    let ranks = Shown::by_rank(&done);
    assert_eq!(ranks[&0].cpus(), allowed());
    assert_eq!(ranks[&0].env("OMP_NUM_THREADS"), Some(cores.to_string().as_str()));
    assert_eq!((ranks[&1].cpus().len(), ranks[&2].cpus().len()), (1, 1));
}

#[test]
fn oversubscribed_all_run_at_once() {
    let place = Scratch::new();
    let many = 4 * allowed().len();
    let script = r#"echo start >>"$NOTES"
        while [ "$(grep -c ^start "$NOTES")" -lt "$DC_NTASKS" ]; do sleep 0.01; done
        echo end >>"$NOTES""#;
    let ask = place.dcrun(&format!("-n {many} --oversubscribe"));
    ask.script(script).run().ends_with(0);
    assert_eq!(at_once(&place), many);
}

/// The most that ran at one time, by the order of notes.
fn at_once(place: &Scratch) -> usize {
    let (mut now, mut most) = (0usize, 0);
    for line in place.log() {
        match line[0].as_str() {
            "start" => now += 1,
            "end" => now -= 1,
            other => panic!("{other}"),
        }
        most = most.max(now);
    }
    most
}

#[test]
fn longest_first_ties_by_number() {
    let place = Scratch::new();
    place.write("list", "a 3\nb 9\nc 3\nd 27\ne 9\nf 1\n");
    place.dcrun("-n 1 --subtasks list").script(NOTE).run().ends_with(0);
    assert_eq!(column(&place.noted("ran"), 1), [3, 1, 4, 0, 2, 5]);
}

#[test]
fn arguments_of_a_list_follow_the_kernels() {
    let place = Scratch::new();
    place.write("list", "# a comment\na 3 1 --fast x\n\nb 2\n");
    let done =
        place.dcrun("-l --subtasks list --").arg(fixture("show")).words("one --two").run().ends_with(0);
    let ranks = Shown::by_rank(&done);
    let args = |rank: u32| ranks[&rank].all("arg").skip(1).map(|arg| arg[2..].to_owned()).collect::<Vec<_>>();
    assert_eq!(args(0), ["one", "--two", "--fast", "x"]);
    assert_eq!(args(1), ["one", "--two"]);
}

#[test]
fn options_end_at_the_kernel() {
    let place = Scratch::new();
    assert_eq!(place.dcrun("-n 1 echo -n 7 -l --plan").run().ends_with(0).out(), "7 -l --plan");
    assert_eq!(place.dcrun("-n 1 -- echo -- -q").run().ends_with(0).out(), "-- -q\n");
}

#[test]
fn the_kernel_is_found() {
    let place = Scratch::new();
    std::fs::create_dir(place.path("there")).unwrap();
    place.script("k", "echo here");
    place.script("there/k", "echo there");
    assert_eq!(place.dcrun("./k").run().ends_with(0).out(), "here\n");
    assert_eq!(place.dcrun("").arg(place.path("k")).run().ends_with(0).out(), "here\n");
    // -D says where ranks run, not where the kernel is.
    assert_eq!(place.dcrun("-D there ./k").run().ends_with(0).out(), "here\n");
    let with_path = place.dcrun("k").env("PATH", format!("{}:/usr/bin:/bin", place.path("there").display()));
    assert_eq!(with_path.run().ends_with(0).out(), "there\n");
}

#[test]
fn name_and_directory() {
    let place = Scratch::new();
    std::fs::create_dir(place.path("there")).unwrap();
    let script = r#"pwd -P; echo "$DC_JOB_NAME""#;
    let done = place.dcrun("-J winter -D there").script(script).run().ends_with(0);
    let there = place.path("there").canonicalize().unwrap();
    assert_eq!(done.out(), format!("{}\nwinter\n", there.display()));
    let done = place.dcrun("").script(r#"echo "$DC_JOB_NAME""#).run().ends_with(0);
    assert_eq!(done.out(), "sh\n", "the kernel's name");
}

#[test]
fn variables_of_a_rank() {
    let place = Scratch::new();
    let mask = place.write("mask.pbm", "P1\n6 2\n1 1 1 1 1 1\n1 1 1 0 0 0\n");
    let ask = place.dcrun("-l -n 3 -J some --domain mask.pbm --spool job --keep").arg(fixture("show"));
    let done = ask.run().ends_with(0);
    let ranks = Shown::by_rank(&done);
    assert_eq!(ranks.len(), 3, "{done}");
    let mut jobs = BTreeSet::new();
    let mut cells = 0;
    for (rank, shown) in &ranks {
        let env = |name: &str| shown.env(name).unwrap_or_else(|| panic!("no {name}: {shown:?}"));
        let number = |name: &str| env(name).parse::<u64>().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(number("DC_RANK"), u64::from(*rank));
        assert_eq!(number("DC_SUBTASK"), u64::from(*rank));
        assert_eq!(number("DC_LOCALID"), u64::from(*rank));
        assert_eq!((number("DC_NTASKS"), number("DC_SUBTASKS_TOTAL")), (3, 3));
        assert_eq!((number("DC_NODEID"), number("DC_ATTEMPT")), (0, 1));
        assert_eq!(env("DC_NODELIST"), nix::unistd::gethostname().unwrap().to_str().unwrap());
        assert_eq!(env("DC_JOB_NAME"), "some");
        jobs.insert((env("DC_JOB_ID").to_owned(), env("DC_JOB_UUID").to_owned()));
        assert_eq!(env("DC_DOMAIN"), mask.canonicalize().unwrap().to_str().unwrap());
        assert_eq!(env("DC_GRID"), "6 2");
        assert_eq!(env("DC_BLOCK").split(' ').count(), 4);
        assert_eq!(env("DC_SPOOL"), place.path("job").canonicalize().unwrap().to_str().unwrap());
        assert_eq!(cpu_list(env("DC_CPUS")), shown.cpus());
        assert!(env("DC_PROGRESS").starts_with("/proc/"));
        assert_eq!(shown.env("DC_RESTART_FROM"), None);
        assert_eq!(shown.env("DC_RESTART_FROM_OLDER"), None);
        cells += number("DC_CELLS");
    }
    assert_eq!(cells, 9);
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    let (id, uuid) = jobs.pop_first().unwrap();
    assert!(id.parse::<u64>().is_ok() && uuid.len() == 36, "{id} {uuid}");
}

#[test]
fn variables_of_an_outer_job_are_stripped() {
    let place = Scratch::new();
    let gone = [
        "SLURM_PROCID",
        "SLURM_STEP_ID",
        "SLURM_STEP_NODELIST",
        "SLURM_LOCALID",
        "SLURM_NODEID",
        "SLURM_NTASKS",
        "PMI_RANK",
        "PMI_FD",
        "PMI_SIZE",
        "PMIX_RANK",
        "PMIX_NAMESPACE",
        "PMIX_SERVER_URI3",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "MPI_LOCALRANKID",
        "DC_RESTART_FROM",
        "DC_RESTART_FROM_OLDER",
        "DC_BLOCK",
        "DC_DOMAIN",
        "DC_GRID",
    ];
    let kept = [
        "OMPI_MCA_btl",
        "PMIX_MCA_ptl",
        "OMPI_ALLOW_RUN_AS_ROOT",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
        "SLURM_JOB_ID",
        "SLURM_SUBMIT_DIR",
        "SLURMISH",
        "PMI",
        "MY_DC_RANK",
    ];
    let mut ask = place.dcrun("-l -n 1").arg(fixture("show")).env("DC_RANK", "77").env("DC_NTASKS", "77");
    for name in gone.iter().chain(&kept) {
        ask = ask.env(name, "outer");
    }
    let done = ask.run().ends_with(0);
    let shown = &Shown::by_rank(&done)[&0];
    for name in gone {
        assert_eq!(shown.env(name), None, "{name}");
    }
    for name in kept {
        assert_eq!(shown.env(name), Some("outer"), "{name}");
    }
    assert_eq!((shown.env("DC_RANK"), shown.env("DC_NTASKS")), (Some("0"), Some("1")));
}

#[test]
fn openmp_matches_the_cores() {
    let place = Scratch::new();
    let done = place.dcrun("-l -n 1 -c 1").arg(fixture("show")).run().ends_with(0);
    let shown = &Shown::by_rank(&done)[&0];
    assert_eq!(shown.env("OMP_NUM_THREADS"), Some("1"));
    let cpu = shown.cpus()[0].to_string();
    assert!(shown.env("OMP_PLACES").is_some_and(|places| places.contains(&cpu)), "{shown:?}");
    assert!(shown.env("OMP_PROC_BIND").is_some(), "{shown:?}");
}

#[test]
fn openmp_of_the_user_stays_and_is_told() {
    let place = Scratch::new();
    let done = place.dcrun("-l -n 1").arg(fixture("show")).env("OMP_NUM_THREADS", "7").run().ends_with(0);
    let done = done.says_in_a_line(&["dcrun: ", "OMP_NUM_THREADS"]);
    let shown = &Shown::by_rank(&done)[&0];
    assert_eq!(shown.env("OMP_NUM_THREADS"), Some("7"));
    assert_eq!((shown.env("OMP_PLACES"), shown.env("OMP_PROC_BIND")), (None, None));
}

#[test]
fn descriptors_signals_and_group() {
    let place = Scratch::new();
    let done = place.dcrun("-l -n 2").arg(fixture("show")).run().ends_with(0);
    for shown in Shown::by_rank(&done).values() {
        let fds: Vec<_> = shown.all("fd").map(|fd| fd.split_once(' ').unwrap()).collect();
        assert_eq!(fds.iter().map(|fd| fd.0).collect::<Vec<_>>(), ["0", "1", "2"], "{shown:?}");
        assert_eq!(fds[0].1, "/dev/null");
        assert_eq!(shown.all("blocked").count(), 0, "{shown:?}");
        assert_eq!(shown.all("ignored").count(), 0, "{shown:?}");
        assert_eq!(shown.only("death-signal"), "9");
        assert_eq!(shown.only("group"), "own");
    }
}

/// What the caller ignores, blocks or holds open is not passed on to the ranks.
#[test]
fn nothing_of_the_callers_is_passed_on() {
    let place = Scratch::new();
    place.write("secret", "x");
    let script = r#"trap "" PIPE HUP TERM; exec 7<secret; exec dcrun -l -n 1 "$SHOW""#;
    let done = place.ask("sh").arg("-c").arg(script).env("SHOW", fixture("show")).run().ends_with(0);
    let shown = &Shown::by_rank(&done)[&0];
    assert_eq!(shown.all("fd").count(), 3, "{shown:?}");
    assert_eq!(shown.all("ignored").count(), 0, "{shown:?}");
}

#[test]
fn a_dcrun_inside_a_rank_has_its_parents_cores() {
    let place = Scratch::new();
    let script = r#"dcrun -n 3 sh -c 'echo "$OUTER $DC_CPUS $DC_RANK $DC_NTASKS $DC_SUBTASK"'"#;
    let outer = format!("export OUTER=$DC_CPUS; {script}");
    let done = place.dcrun("-n 2 -c 1").script(&outer).run().ends_with(0);
    let lines = done.sorted();
    assert_eq!(lines.len(), 6, "{done}");
    let words: Vec<Vec<_>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    let outers: BTreeSet<_> = words.iter().map(|line| line[0]).collect();
    assert_eq!(outers.len(), allowed().len().min(2), "each outer rank has cores of its own: {lines:?}");
    for line in &words {
        assert_eq!(line[0], line[1], "the parent's cores exactly");
        assert_eq!((line[2], line[3]), (line[4], "3"), "the inner job's variables");
    }
    place.nothing_runs();
    place.nothing_is_left();
}

/// Spaces, quotes, line ends and bytes that are no text, in the names of everything.
#[test]
fn odd_names() {
    let place = Scratch::new();
    let odd = OsStr::from_bytes(b" a \"b\n\xff");
    let named = |what: &str| {
        let mut name = std::ffi::OsString::from(what);
        name.push(odd);
        place.path(name)
    };
    let (kernel, mask, spool, out) = (named("kernel"), named("mask"), named("spool"), named("out"));
    std::fs::copy(place.script("k", r#"printf "%s" "$1$DC_DOMAIN" | dcspool result"#), &kernel).unwrap();
    std::fs::write(&mask, "P1\n2 1\n1 1\n").unwrap();
    let mut merge = std::ffi::OsString::from("concat:");
    merge.push(&out);
    let ask = place.dcrun("-v -n 1 --json=events --domain").arg(&mask).arg("--spool").arg(&spool);
    let done = ask.arg("--merge").arg(merge).arg(&kernel).arg(odd).run().ends_with(0);
    assert!(!done.stderr.contains(&0xff), "{done}");
    let mut expected = odd.as_bytes().to_owned();
    expected.extend_from_slice(mask.as_os_str().as_bytes());
    assert_eq!(std::fs::read(&out).unwrap(), expected);
    assert!(!spool.exists());
    assert!(!dc_integration::Events::of(place.path("events")).all().is_empty());
}

#[test]
fn many_short_ones() {
    let place = Scratch::new();
    let done = place.dcrun("-n 300 --").words("echo x").run().ends_with(0);
    assert_eq!(done.out(), "x\n".repeat(300));
    place.nothing_is_left();
}
