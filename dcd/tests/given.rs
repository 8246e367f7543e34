//! What a rank is given: arguments, environment, CPUs, descriptors, signals.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

mod harness;

use dc_model::wire::FromStarter;
use dc_model::{Attempt, Block, CpuSet, Outcome, Rank, SubtaskId};
use dcd::process::calls::affinity;
use harness::{Job, proc, shell};
use nix::unistd::Pid;

#[test]
fn arguments_and_environment() {
    let mut job = Job::with(|hello| hello.env.push(b"DC_JOB_NAME=two words".to_vec()));
    let mut launch = shell(5, "printf '%s\\n' \"$0\" \"$1\"; env | grep '^DC_' | sort");
    launch.args.extend([b"name".to_vec(), b"a b\"c".to_vec()]);
    launch.rank = Rank(2);
    launch.cells = 77;
    launch.block = Some(Block { x0: 1, y0: 2, x1: 3, y1: 4 });
    job.launch(launch);
    let text = job.text(5, false);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["name", "a b\"c"]);
    let has = |line: String| assert!(lines.contains(&&line[..]), "{line} is not in {text}");
    has("DC_ATTEMPT=1".to_owned());
    has("DC_BLOCK=1 2 3 4".to_owned());
    has("DC_CELLS=77".to_owned());
    has("DC_JOB_NAME=two words".to_owned());
    has(format!("DC_JOB_UUID={}", job.uuid));
    has(format!("DC_JOB_ID={}", job.uuid.number()));
    has("DC_NTASKS=16".to_owned());
    has("DC_RANK=2".to_owned());
    has("DC_SUBTASK=5".to_owned());
    has(format!("DC_SPOOL={}", job.dir.path().display()));
    has(format!("DC_PROGRESS=/proc/{}/fd/5", job.starter.pid));
    assert!(!text.contains("DC_RESTART_FROM"));
}

#[test]
fn the_progress_file_is_to_be_found() {
    let mut job = Job::shell();
    let text = job.output_of("exec 9<>$DC_PROGRESS && wc -c < $DC_PROGRESS");
    assert_eq!(text, "1024\n");
}

#[test]
fn three_descriptors_and_no_more() {
    // Not close-on-exec: as a user's shell may hand down to dcrun, and dcrun to the starter.
    let leak = std::fs::File::open("/dev/null").unwrap();
    nix::fcntl::fcntl(&leak, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let mut job = Job::shell();
    let text = job.output_of("ls /proc/$$/fd; readlink /proc/$$/fd/0; readlink /proc/$$/fd/1 | cut -c1-4");
    assert_eq!(text, "0\n1\n2\n/dev/null\npipe\n");
}

/// A line of /proc/PID/status that is a mask of signals.
fn signals(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    u64::from_str_radix(line.trim_start_matches([':', '\t']), 16).unwrap()
}

#[test]
fn signals_are_as_a_program_expects() {
    let mut job = Job::shell();
    let rank = job.output_of("exec cat /proc/self/status");
    assert_eq!(signals(&rank, "SigBlk"), 0);
    // What was ignored before dcrun began stays so, as nohup(1) would have it; SIGPIPE, which Rust ignores, does not.
    // 32 and 33 are the C library's own.
    let ours = std::fs::read_to_string("/proc/self/status").unwrap();
    let known = |mask: u64| mask & !(0b11 << 31);
    let pipe = 1 << (nix::libc::SIGPIPE - 1);
    assert_eq!(known(signals(&rank, "SigIgn")), known(signals(&ours, "SigIgn") & !pipe));
}

#[test]
fn a_process_group_of_its_own_and_no_terminal() {
    let mut job = Job::shell();
    let text = job.output_of("cut -d' ' -f1,5,7 /proc/$$/stat");
    let fields: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(fields[0], fields[1], "pid and group");
    assert_eq!(fields[2], "0", "controlling terminal");
}

#[test]
fn the_working_directory_is_the_jobs() {
    let mut job = Job::shell();
    let dir = job.dir.path().canonicalize().unwrap();
    assert_eq!(job.output_of("pwd -P").trim_end(), dir.to_str().unwrap());
}

#[test]
fn cpus_are_those_that_were_given() {
    let mut job = Job::with(|hello| hello.openmp = dc_model::wire::OpenMp::Places);
    let allowed = affinity(Pid::from_raw(0)).unwrap();
    for (subtask, cpu) in (0..).zip(allowed.iter().take(2)) {
        let script = "grep Cpus_allowed_list /proc/self/status | cut -f2; \
                      echo $DC_CPUS; echo $OMP_NUM_THREADS $OMP_PLACES";
        let mut launch = shell(subtask, script);
        launch.cpus = CpuSet::from_iter([cpu]);
        job.launch(launch);
        assert_eq!(job.text(subtask, false), format!("{cpu}\n{cpu}\n1 {{{cpu}}}\n"));
    }
    job.run(9, "grep Cpus_allowed_list /proc/self/status | cut -f2; echo $DC_CPUS");
    let text = job.text(9, false);
    let sets: Vec<CpuSet> = text.lines().map(|line| CpuSet::parse(line).unwrap()).collect();
    assert_eq!(sets, [allowed.clone(), allowed]);
}

#[test]
fn memory_is_preferred_from_a_node() {
    let mut job = Job::shell();
    let mut launch = shell(0, "awk '{ print $2; exit }' /proc/self/numa_maps");
    launch.numa = Some(0);
    job.launch(launch);
    let text = job.text(0, false);
    // Where the system does not let us, that is told, and the rank runs all the same.
    if !text.starts_with("prefer") {
        let notice = job.wait_for(|m| match m {
            FromStarter::Notice { text } => Some(text.clone()),
            _ => None,
        });
        assert!(notice.contains("near memory"), "{notice}");
    }
    assert_eq!(job.ended(0), Outcome::Exited(0));
}

#[test]
fn a_rank_that_binds_itself_anew_is_told_of_once() {
    let allowed = affinity(Pid::from_raw(0)).unwrap();
    let mut cpus = allowed.iter();
    let (Some(first), Some(second)) = (cpus.next(), cpus.next()) else {
        println!("only one CPU is allowed here: nothing to bind anew to");
        return;
    };
    let mut job = Job::shell();
    let mut launch = shell(3, &format!("taskset -pc {second} $$ >&2; echo there; exec sleep 600"));
    launch.cpus = CpuSet::from_iter([first]);
    launch.rank = Rank(1);
    job.launch(launch);
    let mut stays = shell(4, "exec sleep 600");
    stays.cpus = CpuSet::from_iter([first]);
    job.launch(stays);
    let told = job.wait_for(|m| match m {
        FromStarter::Rebound { subtask, rank, wanted, found } => {
            Some((*subtask, *rank, wanted.clone(), found.clone()))
        }
        _ => None,
    });
    let one = |cpu| CpuSet::from_iter([cpu]);
    assert_eq!(told, (SubtaskId(3), Rank(1), one(first), one(second)));
}

#[test]
fn a_cpu_that_is_not_there_is_told_of_at_once() {
    let mut job = Job::shell();
    let allowed = affinity(Pid::from_raw(0)).unwrap();
    let mut launch = shell(0, "true");
    launch.cpus = CpuSet::from_iter([allowed.first().unwrap(), 60_000]);
    job.launch(launch);
    job.wait_for(|m| matches!(m, FromStarter::Rebound { .. }).then_some(()));
    assert_eq!(job.ended(0), Outcome::Exited(0));
}

#[test]
fn another_attempt_is_another_process_with_its_own_number() {
    let mut job = Job::shell();
    for attempt in 1..=3 {
        let mut launch = shell(0, "echo $DC_ATTEMPT; exit 1");
        launch.attempt = Attempt(attempt);
        job.launch(launch);
        assert_eq!(job.text(0, false), format!("{attempt}\n"));
        assert_eq!(job.ended(0), Outcome::Exited(1));
    }
    proc::until("no process of the job but its starter", || {
        proc::with_entry(&format!("DC_JOB_UUID={}", job.uuid)).len() == 1
    });
}
