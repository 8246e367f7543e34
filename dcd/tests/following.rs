//! A launch that takes over from another attempt: not before that has ended, at once when it has, and never when it is
//! stopped before.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use dc_model::{Attempt, Outcome, SubtaskId};
use harness::{Job, shell};

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
