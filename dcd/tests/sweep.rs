//! What is left when starter and dcrun were shot dead. Each test is a dcrun of its own: a process that runs one of
//! the parts below, because orphans come to whole processes.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

mod harness;

use harness::{Job, proc};
use std::path::Path;
use std::process::{Command, Stdio};

const ESCAPE: &str = "setsid sh -c '(sh -c \"echo \\$\\$ > escaped; exec sleep 600\") & exit 0' & wait; \
                      while ! test -s escaped; do sleep 0.01; done; exec sleep 600";

fn part(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command.env("SWEEP_DIR", dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn place() -> std::path::PathBuf {
    std::env::var_os("SWEEP_DIR").expect("run by another test").into()
}

fn escaped_rank(job: &mut Job) -> i32 {
    job.run(0, ESCAPE);
    proc::number_in(&job.dir.path().join("escaped"))
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn part_starter_shot() {
    dcd::sweep::become_subreaper().unwrap();
    let mut keep = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let mut job = Job::shell();
    let escaped = escaped_rank(&mut job);
    job.starter.kill().unwrap();
    job.starter.wait().unwrap();
    let keep_pid = nix::unistd::Pid::from_raw(keep.id() as i32);
    let swept = dcd::sweep::kill_descendants(&[keep_pid]).unwrap();
    assert!(swept >= 1 && !proc::runs(escaped));
    assert!(proc::runs(keep_pid.as_raw()), "what is to be kept is kept");
    drop(keep.stdin.take());
    keep.wait().unwrap();
    assert_eq!(dcd::sweep::kill_descendants(&[]).unwrap(), 0);
}

#[test]
fn orphans_of_a_shot_starter_are_swept_up() {
    let dir = tempfile::tempdir().unwrap();
    let output = part("part_starter_shot", dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn part_waits_to_be_shot() {
    let mut job = Job::shell();
    let escaped = escaped_rank(&mut job);
    let words = format!("{} {} {escaped}\n", job.uuid, job.starter.pid);
    std::fs::write(place().join("words.new"), words).unwrap();
    std::fs::rename(place().join("words.new"), place().join("words")).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn what_both_left_is_found_by_its_tag() {
    let dir = tempfile::tempdir().unwrap();
    let mut dcrun = part("part_waits_to_be_shot", dir.path()).spawn().unwrap();
    let file = dir.path().join("words");
    proc::until("the other to be ready", || file.exists());
    let words = std::fs::read_to_string(file).unwrap();
    let words: Vec<&str> = words.split_whitespace().collect();
    let (starter, escaped): (i32, i32) = (words[1].parse().unwrap(), words[2].parse().unwrap());
    // Stopped first, so that it cannot see the end of the other.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(starter), nix::sys::signal::Signal::SIGSTOP).unwrap();
    proc::until("the starter to be stopped", || proc::state(starter) == Some('T'));
    dcrun.kill().unwrap();
    dcrun.wait().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(starter), nix::sys::signal::Signal::SIGKILL).unwrap();
    proc::until("the starter's end", || !proc::runs(starter));
    assert!(proc::runs(escaped), "nobody's child any more");
    let job = dc_model::JobUuid::parse(words[0]).unwrap();
    assert!(dcd::sweep::sweep_job(job).unwrap() >= 1);
    assert!(!proc::runs(escaped));
    assert_eq!(proc::with_entry(&format!("DC_JOB_UUID={job}")), [0; 0]);
    assert_eq!(dcd::sweep::sweep_job(job).unwrap(), 0);
}
