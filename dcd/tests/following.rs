//! A launch that takes over from another attempt: not before that has ended, at once when it has, and never when it is
//! stopped before.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use dc_model::wire::FromStarter;
use dc_model::{Attempt, CpuSet, Outcome, SubtaskId};
use dcd::process::calls::signal_process;
use dcd::process::children;
use harness::{Job, proc, shell};
use nix::unistd::Pid;

/// A job in which subtask 0 runs until something is written to the pipe `wait`.
fn waiting() -> Job {
    let mut job = Job::shell();
    nix::unistd::mkfifo(&job.dir.path().join("wait"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    job.run(0, "read x < wait; echo first > order");
    job.started(0);
    job
}

fn after(subtask: u32, ahead: u32, script: &str) -> dc_model::wire::Launch {
    let mut launch = shell(subtask, script);
    launch.after = Some((SubtaskId(ahead), Attempt(1)));
    launch
}

fn release(job: &Job) {
    std::fs::write(job.dir.path().join("wait"), "\n").unwrap();
}

#[test]
fn it_runs_when_its_forerunner_has_ended() {
    let mut job = waiting();
    job.launch(after(1, 0, "cat order; echo second"));
    // Whoever follows nobody, or one that is not there, does not wait.
    job.launch(after(2, 9, "exit 7"));
    assert_eq!(job.ended(2), Outcome::Exited(7));
    assert!(!job.dir.path().join("order").exists());
    release(&job);
    assert_eq!(job.ended(1), Outcome::Exited(0));
    assert_eq!(job.text(1, false), "first\nsecond\n");
}

#[test]
fn it_runs_when_its_forerunner_was_killed_or_could_not_be_launched() {
    let mut job = waiting();
    job.launch(after(1, 0, "exit 5"));
    job.stop(0, 1, 9);
    assert_eq!(job.ended(0), Outcome::Signalled(9));
    assert_eq!(job.ended(1), Outcome::Exited(5));
}

#[test]
fn it_never_runs_when_it_is_stopped_before() {
    let mut job = waiting();
    job.launch(after(1, 0, "touch ran"));
    job.stop(1, 1, 15);
    assert_eq!(job.ended_fully(1), (Outcome::Signalled(15), true));
    release(&job);
    assert_eq!(job.ended(0), Outcome::Exited(0));
    assert!(!job.dir.path().join("ran").exists());
}

#[test]
fn whoever_has_gone_on_by_itself_is_stopped_like_any_other() {
    // The word to stop and the forerunner's end race: either it never ran, or it was killed.
    let seed = std::process::id();
    println!("seed {seed}");
    let mut random = seed;
    let mut ran = 0;
    for round in 0..60 {
        let mut job = waiting();
        job.launch(after(1, 0, ": > went; read x < never"));
        nix::unistd::mkfifo(&job.dir.path().join("never"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        release(&job);
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (0..random % 400_000).for_each(|_| std::hint::spin_loop());
        job.stop(1, 1, 9);
        assert_eq!(job.ended_fully(1), (Outcome::Signalled(9), true), "round {round}");
        assert_eq!(job.ended(0), Outcome::Exited(0), "round {round}");
        ran += u32::from(job.dir.path().join("went").exists());
    }
    println!("{ran} of 60 had run");
}

#[test]
fn a_chain_runs_in_order() {
    let mut job = waiting();
    for subtask in 1..40 {
        let mut launch = after(
            subtask,
            subtask - 1,
            &format!("read n < order; test $n = {subtask} && echo $((n+1)) > order"),
        );
        if subtask == 1 {
            launch = after(1, 0, "echo 2 > order");
        }
        job.launch(launch);
    }
    release(&job);
    for subtask in 1..40 {
        assert_eq!(job.ended(subtask), Outcome::Exited(0), "subtask {subtask}");
    }
}

#[test]
fn two_that_follow_the_same_one_both_run() {
    let mut job = waiting();
    job.launch(after(1, 0, "exit 3"));
    job.launch(after(2, 0, "exit 4"));
    release(&job);
    assert_eq!((job.ended(1), job.ended(2)), (Outcome::Exited(3), Outcome::Exited(4)));
}

/// The process that is held: the starter's child that is not the one of subtask 0.
fn held(job: &Job, first: i32) -> Pid {
    let mut held = None;
    proc::until("a held process", || {
        let children = children::of(job.starter.pid).unwrap();
        held = children.into_iter().find(|pid| pid.as_raw() != first);
        held.is_some()
    });
    held.unwrap()
}

/// Somebody kills a held process when its turn has come, and before its exec.
#[test]
fn one_that_is_killed_on_its_way_to_its_exec_has_ended() {
    let mut job = Job::shell();
    nix::unistd::mkfifo(&job.dir.path().join("wait"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    job.run(0, "read x < wait");
    let first = job.started(0) as i32;
    job.launch(after(1, 0, "touch ran"));
    let pid = held(&job, first);
    proc::until("the held one to be stopped", || {
        let _ = signal_process(pid, nix::libc::SIGSTOP as u8);
        proc::state(pid.as_raw()) == Some('T')
    });
    release(&job);
    assert_eq!(job.ended(0), Outcome::Exited(0));
    signal_process(pid, 9).unwrap();
    assert_eq!(job.ended_fully(1), (Outcome::Signalled(9), false));
    assert!(!job.dir.path().join("ran").exists());
    // The starter was not lost to it.
    job.run(2, "exit 4");
    assert_eq!(job.ended(2), Outcome::Exited(4));
}

/// Its CPUs have gone offline since they were chosen: it runs where it may, as one that was not made ahead.
#[test]
fn one_whose_cpus_are_gone_runs_elsewhere() {
    let mut job = waiting();
    let mut launch = after(1, 0, "cat order; echo second");
    launch.cpus = CpuSet::from_iter([60_000]);
    job.launch(launch);
    release(&job);
    let told = job.wait_for(|message| match message {
        FromStarter::Rebound { subtask, .. } => Some(*subtask),
        FromStarter::Ended { subtask: SubtaskId(1), outcome, .. } => panic!("not told: {outcome}"),
        _ => None,
    });
    assert_eq!(told, SubtaskId(1));
    assert_eq!(job.ended(1), Outcome::Exited(0));
    assert_eq!(job.text(1, false), "first\nsecond\n");
}

#[test]
fn who_is_stopped_while_it_waits_leaves_its_place_to_its_follower() {
    let mut job = waiting();
    job.launch(after(1, 0, "touch ran"));
    job.launch(after(2, 1, "cat order; echo third"));
    job.stop(1, 1, 15);
    assert_eq!(job.ended_fully(1), (Outcome::Signalled(15), true));
    // Launched at once where it does not wait: its end would come first.
    job.run(3, "exit 3");
    assert_eq!(job.ended(3), Outcome::Exited(3));
    release(&job);
    assert_eq!((job.ended(0), job.ended(2)), (Outcome::Exited(0), Outcome::Exited(0)));
    assert_eq!(job.text(2, false), "first\nthird\n");
    assert!(!job.dir.path().join("ran").exists());
}
