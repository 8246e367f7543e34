//! Launches: what ran, what it was given, how it ended, and at which stage one failed that did not run.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

mod harness;

use dc_model::{LaunchStage, Outcome};
use harness::{Job, shell};

#[test]
fn a_rank_runs_and_its_end_is_told() {
    let mut job = Job::shell();
    job.run(3, "echo out; echo err >&2; exit 7");
    assert!(job.started(3) > 1);
    assert_eq!(job.ended(3), Outcome::Exited(7));
    assert_eq!(job.text(3, false), "out\n");
    job.run(4, "kill -9 $$");
    assert_eq!(job.ended(4), Outcome::Signalled(9));
    job.run(5, "kill -34 $$");
    assert_eq!(job.ended(5), Outcome::Signalled(34));
}

#[test]
fn what_cannot_run_is_told_by_stage_and_errno() {
    let refused = |program: &str| {
        let mut job = Job::with(|hello| hello.program = program.as_bytes().to_vec());
        job.run(0, "");
        job.ended(0)
    };
    let at = |stage, errno| Outcome::NotLaunched { stage, errno };
    assert_eq!(refused("/nowhere/kernel"), at(LaunchStage::Exec, nix::libc::ENOENT));
    assert_eq!(refused("/nowhere/kernel").status(), 127);
    assert_eq!(refused("/etc/passwd"), at(LaunchStage::Exec, nix::libc::EACCES));
    assert_eq!(refused("/etc").status(), 126);
    let mut job = Job::with(|hello| hello.cwd = b"/nowhere".to_vec());
    job.run(0, "");
    assert_eq!(job.ended(0), at(LaunchStage::Directory, nix::libc::ENOENT));
    job.launch(shell(1, ""));
    assert_eq!(job.ended(1), at(LaunchStage::Directory, nix::libc::ENOENT));
}
