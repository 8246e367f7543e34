//! Ends: stops with grace, kernels that will not go, escapees, forkers, and the starter's own end.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

mod harness;

use dc_model::Outcome;
use dc_model::wire::ToStarter;
use harness::{Job, proc, shell};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A kernel in C for what a shell cannot do, built once a test.
fn built(job: &Job, source: &str) -> PathBuf {
    let c = job.dir.path().join("kernel.c");
    let program = job.dir.path().join("kernel");
    std::fs::write(&c, source).unwrap();
    let status =
        std::process::Command::new("cc").arg("-O1").arg("-o").arg(&program).arg(&c).status().unwrap();
    assert!(status.success());
    program
}

fn entry(job: &Job) -> String {
    format!("DC_JOB_UUID={}", job.uuid)
}

/// Leaves a process in another session, its parent gone; writes its number to a file.
const ESCAPE: &str = "setsid sh -c '(sh -c \"echo \\$\\$ > escaped; exec sleep 600\") & exit 0' & wait; \
                      while ! test -s escaped; do sleep 0.01; done;";

#[test]
fn a_stop_is_a_signal_then_the_end() {
    let mut job = Job::shell();
    job.run(0, "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.01; done");
    assert_eq!(job.said(), "ready\n");
    job.stop(0, 2, 15);
    job.stop(1, 1, 15);
    job.stop(0, 1, 15);
    assert_eq!(job.text(0, false), "caught\n");
    assert_eq!(job.ended_fully(0), (Outcome::Exited(5), true));
}

#[test]
fn a_stopped_process_is_continued_to_take_its_signal() {
    let mut job = Job::shell();
    job.run(0, "trap 'exit 6' TERM; kill -STOP $$; while :; do sleep 0.01; done");
    let pid = job.started(0) as i32;
    proc::until("the rank to be stopped", || proc::state(pid) == Some('T'));
    job.stop(0, 1, 15);
    assert_eq!(job.ended_fully(0), (Outcome::Exited(6), true));
}

#[test]
fn who_ignores_the_signal_is_killed_after_the_grace() {
    let mut job = Job::with(|hello| hello.grace_ms = 200);
    job.run(0, "trap '' TERM INT; echo ready; while :; do sleep 0.01; done");
    assert_eq!(job.said(), "ready\n");
    let begin = Instant::now();
    job.stop(0, 1, 15);
    assert_eq!(job.ended_fully(0), (Outcome::Signalled(9), true));
    assert!(begin.elapsed() >= Duration::from_millis(200), "the grace is its own");
}

#[test]
fn a_second_signal_goes_through_and_a_kill_at_once() {
    let mut job = Job::shell();
    job.run(0, "trap 'echo int' INT; trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
    assert_eq!(job.said(), "ready\n");
    job.stop(0, 1, 2);
    assert_eq!(job.said(), "int\n");
    job.stop(0, 1, 15);
    assert_eq!(job.ended_fully(0), (Outcome::Exited(7), true));
    job.run(1, "trap '' TERM; echo ready; exec sleep 600");
    assert_eq!(job.said(), "ready\n");
    job.stop(1, 1, 15);
    job.stop(1, 1, 9);
    assert_eq!(job.ended_fully(1), (Outcome::Signalled(9), true));
}

#[test]
fn who_ended_by_himself_was_not_stopped() {
    let mut job = Job::shell();
    job.run(0, "exit 9");
    let pid = job.started(0) as i32;
    proc::until("its end", || !proc::runs(pid));
    job.stop(0, 1, 15);
    assert_eq!(job.ended_fully(0), (Outcome::Exited(9), false));
}

#[test]
fn the_whole_group_goes_with_its_leader() {
    let mut job = Job::shell();
    job.run(0, "sleep 600 & sleep 600 | cat & exit 0");
    assert_eq!(job.ended(0), Outcome::Exited(0));
    proc::until("no process of the job but its starter", || proc::with_entry(&entry(&job)).len() == 1);
    // Nobody holds its pipes any more: their end comes at once.
    assert_eq!(job.text(0, false), "");
}

#[test]
fn escapees_live_while_their_rank_does_and_no_longer() {
    let mut job = Job::shell();
    job.run(0, &format!("{ESCAPE} echo escaped; read x < wait"));
    nix::unistd::mkfifo(&job.dir.path().join("wait"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(job.said(), "escaped\n");
    let escaped = proc::number_in(&job.dir.path().join("escaped"));
    // Another rank's end is no reason to kill it.
    job.run(1, "true");
    assert_eq!(job.ended(1), Outcome::Exited(0));
    assert!(proc::runs(escaped));
    job.stop(0, 1, 15);
    job.ended(0);
    proc::until("the escapee's end", || !proc::runs(escaped));
}

#[test]
fn an_escapee_without_a_tag_goes_too() {
    let mut job = Job::shell();
    let script = "env -i /usr/bin/setsid /bin/sh -c '(/bin/sh -c \"echo \\$\\$ > bare; exec sleep 600\") & exit 0' & \
                  wait; while ! test -s bare; do sleep 0.01; done; exit 3";
    job.run(0, script);
    assert_eq!(job.ended(0), Outcome::Exited(3));
    let bare = proc::number_in(&job.dir.path().join("bare"));
    proc::until("the escapee's end", || !proc::runs(bare));
}

#[test]
fn dcruns_end_is_the_end_of_all() {
    let mut job = Job::shell();
    for subtask in 0..4 {
        job.run(
            subtask,
            &format!(
                "trap '' TERM HUP INT; {} read x < wait",
                ESCAPE.replace("escaped", &format!("e{subtask}"))
            ),
        );
    }
    nix::unistd::mkfifo(&job.dir.path().join("wait"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let escaped: Vec<i32> =
        (0..4).map(|subtask| proc::number_in(&job.dir.path().join(format!("e{subtask}")))).collect();
    let begin = Instant::now();
    job.starter.control.shutdown(std::net::Shutdown::Both).unwrap();
    job.wait_end();
    assert!(begin.elapsed() < Duration::from_secs(5), "about a second, on a loaded machine too");
    assert!(escaped.iter().all(|pid| !proc::runs(*pid)));
    assert_eq!(proc::with_entry(&entry(&job)), [0; 0]);
}

/// Forks in a loop in sessions of their own, each parent ending at once: no pid lives for long. Bounded by a count,
/// so that a starter that loses does not take the machine with it.
const HOPPER: &str = r#"
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int chains = 4;
    for (int c = 0; c < chains; c++) {
        if (fork() == 0) {
            for (long hop = 0; hop < 2000000; hop++) {
                setsid();
                if (fork() != 0) _exit(0);
            }
            _exit(0);
        }
    }
    write(1, "hopping\n", 8);
    for (;;) pause();
}
"#;

#[test]
fn hoppers_lose_when_dcrun_is_gone() {
    let mut job = Job::shell();
    let kernel = built(&job, HOPPER);
    job.run(0, &format!("exec {}", kernel.display()));
    assert_eq!(job.said(), "hopping\n");
    job.starter.control.shutdown(std::net::Shutdown::Both).unwrap();
    job.wait_end();
    assert_eq!(proc::with_entry(&entry(&job)), [0; 0]);
}

#[test]
fn hoppers_lose_when_their_rank_ends() {
    let mut job = Job::shell();
    let kernel = built(&job, HOPPER);
    job.run(0, &format!("exec {}", kernel.display()));
    assert_eq!(job.said(), "hopping\n");
    job.stop(0, 1, 9);
    assert_eq!(job.ended_fully(0), (Outcome::Signalled(9), true));
    proc::until("the hoppers' end", || proc::with_entry(&entry(&job)).len() == 1);
    // The starter was not lost to them.
    job.run(1, "exit 4");
    assert_eq!(job.ended(1), Outcome::Exited(4));
}

/// A tree that grows at every leaf, each process in a session of its own; bounded in depth.
const BUSH: &str = r#"
#include <stdlib.h>
#include <unistd.h>
static void grow(int depth) {
    setsid();
    if (depth == 0) for (;;) pause();
    for (int i = 0; i < 2; i++)
        if (fork() == 0) grow(depth - 1);
    for (;;) pause();
}
int main(void) {
    write(1, "growing\n", 8);
    for (int i = 0; i < 2; i++)
        if (fork() == 0) grow(7);
    for (;;) pause();
}
"#;

#[test]
fn a_tree_that_grows_while_it_is_felled() {
    let mut job = Job::shell();
    let kernel = built(&job, BUSH);
    job.run(0, &format!("exec {}", kernel.display()));
    assert_eq!(job.said(), "growing\n");
    job.starter.control.shutdown(std::net::Shutdown::Both).unwrap();
    job.wait_end();
    assert_eq!(proc::with_entry(&entry(&job)), [0; 0]);
}

#[test]
fn kill_all_kills_and_tells() {
    let mut job = Job::shell();
    for subtask in 0..3 {
        job.run(subtask, "trap '' TERM; echo here; exec sleep 600");
        job.started(subtask);
    }
    job.send(&ToStarter::KillAll);
    for subtask in 0..3 {
        assert_eq!(job.ended_fully(subtask), (Outcome::Signalled(9), true));
    }
    job.control_ends();
    job.wait_end();
}

#[test]
fn the_starter_shot_dead_takes_its_ranks_along() {
    let mut job = Job::shell();
    for subtask in 0..4 {
        job.run(subtask, "trap '' TERM HUP; exec sleep 600");
    }
    let pids: Vec<i32> = (0..4).map(|subtask| job.started(subtask) as i32).collect();
    job.starter.kill().unwrap();
    proc::until("the ranks' end", || pids.iter().all(|pid| !proc::runs(*pid)));
}

#[test]
fn signals_to_the_starter_are_not_its_business() {
    let mut job = Job::shell();
    for signal in [1, 2, 3, 13, 15] {
        dcd::process::calls::signal_process(job.starter.pid, signal).unwrap();
    }
    assert_eq!(job.output_of("echo alive"), "alive\n");
}

#[test]
fn a_subtask_runs_once_at_a_time() {
    let mut job = Job::shell();
    job.run(0, "exec sleep 600");
    job.started(0);
    let mut again = shell(0, "echo twice");
    again.attempt = dc_model::Attempt(2);
    job.launch(again);
    let notice = job.wait_for(|m| match m {
        dc_model::wire::FromStarter::Notice { text } => Some(text.clone()),
        _ => None,
    });
    assert!(notice.contains("runs already"), "{notice}");
    job.stop(0, 1, 15);
    assert_eq!(job.ended_fully(0), (Outcome::Signalled(15), true));
}

#[test]
fn garbage_ends_it_without_harm() {
    use std::io::Write;
    let mut job = Job::shell();
    job.run(0, "exec sleep 600");
    let pid = job.started(0) as i32;
    job.starter.control.write_all(&[1, 0, 0, 0, 99]).unwrap();
    job.wait_end();
    assert!(!proc::runs(pid));
}
