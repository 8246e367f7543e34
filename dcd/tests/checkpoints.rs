//! Checkpoints and results as the starter sees them: what an attempt goes on from, what it left, what is pruned.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

mod harness;

use dc_model::wire::{FromStarter, Launch};
use dc_model::{Attempt, Outcome, Restart, ResultMeta, SubtaskId};
use dc_spool::checkpoint::{Checkpoints, Region};
use dc_spool::files::Dir;
use dc_spool::progress::Slots;
use dc_spool::result::{Dtype, Layout, Results};
use harness::{Job, proc, shell};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

const ONE: SubtaskId = SubtaskId(1);

fn at(attempt: u32, step: u64) -> Restart {
    Restart { attempt: Attempt(attempt), step }
}

fn checkpoints(job: &Job) -> Checkpoints {
    Checkpoints::open(&Dir::open(job.dir.path()).unwrap(), job.uuid).unwrap()
}

fn write(job: &Job, which: Restart) {
    let data = which.step.to_le_bytes();
    checkpoints(job).write(ONE, which, &[Region { id: 0, data: &data }]).unwrap();
}

fn path(job: &Job, which: Restart) -> PathBuf {
    job.dir.path().join("ckpt/00000001").join(dc_spool::layout::checkpoint(which))
}

fn damage(job: &Job, which: Restart) {
    let path = path(job, which);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// A launch that says what it was told to go on from.
fn asking(attempt: u32, before: Option<Restart>) -> Launch {
    let script = "echo \"$DC_RESTART_FROM\"; echo \"$DC_RESTART_FROM_OLDER\"; exit 1";
    Launch { attempt: Attempt(attempt), before, ..shell(ONE.0, script) }
}

fn started_from(job: &mut Job) -> Option<Restart> {
    job.wait_for(|m| match m {
        FromStarter::Started { from, .. } => Some(*from),
        _ => None,
    })
}

/// What the attempt was given, and what it is told to have left.
fn asked(job: &mut Job, launch: Launch) -> (Option<Restart>, Vec<String>, Option<Restart>) {
    job.launch(launch);
    let from = started_from(job);
    let text = job.text(ONE.0, false);
    let left = job.wait_for(|m| match m {
        FromStarter::Ended { checkpoint, .. } => Some(*checkpoint),
        _ => None,
    });
    (from, text.lines().map(str::to_owned).collect(), left)
}

fn shown(job: &Job, which: Restart) -> String {
    path(job, which).to_str().unwrap().to_owned()
}

#[test]
fn the_newest_valid_one_of_ended_attempts_is_picked() {
    let mut job = Job::shell();
    let (from, text, left) = asked(&mut job, asking(1, None));
    assert_eq!((from, &text[..], left), (None, &[String::new(), String::new()][..], None));

    write(&job, at(1, 10));
    write(&job, at(1, 20));
    let (from, text, _) = asked(&mut job, asking(2, None));
    assert_eq!(from, Some(at(1, 20)));
    assert_eq!(text, [shown(&job, at(1, 20)), shown(&job, at(1, 10))]);

    // By attempt first, then by step; an older one where two restarts from the newest have failed.
    write(&job, at(2, 15));
    assert_eq!(asked(&mut job, asking(3, None)).0, Some(at(2, 15)));
    assert_eq!(asked(&mut job, asking(4, Some(at(2, 15)))).0, Some(at(1, 20)));
    // One of an attempt that has not ended is nobody's.
    write(&job, at(6, 1));
    assert_eq!(asked(&mut job, asking(6, None)).0, Some(at(2, 15)));
}

#[test]
fn a_damaged_one_is_passed_over_and_told_of() {
    let mut job = Job::shell();
    write(&job, at(1, 10));
    write(&job, at(1, 20));
    damage(&job, at(1, 20));
    let (from, ..) = asked(&mut job, asking(2, None));
    assert_eq!(from, Some(at(1, 10)));
    let notice = job.wait_for(|m| match m {
        FromStarter::Notice { text } => Some(text.clone()),
        _ => None,
    });
    assert!(notice.contains("subtask 1") && notice.contains("passed over"), "{notice}");
    damage(&job, at(1, 10));
    assert_eq!(asked(&mut job, asking(3, None)).0, None, "from the beginning, where none is left");
}

#[test]
fn what_a_failed_attempt_left_is_told() {
    let mut job = Job::shell();
    job.launch(Launch { attempt: Attempt(1), ..shell(ONE.0, "read x < go; exit 1") });
    let fifo = job.dir.path().join("go");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    job.started(ONE.0);
    write(&job, at(1, 7));
    write(&job, at(1, 8));
    damage(&job, at(1, 8));
    std::fs::write(fifo, "\n").unwrap();
    let left = job.wait_for(|m| match m {
        FromStarter::Ended { checkpoint, .. } => Some(*checkpoint),
        _ => None,
    });
    assert_eq!(left, Some(at(1, 7)), "its newest valid one");
    // Another attempt that leaves none has none, whatever others left.
    assert_eq!(asked(&mut job, asking(2, None)).2, None);
}

#[test]
fn all_but_the_last_two_valid_ones_go_as_they_are_written() {
    let mut job = Job::shell();
    job.launch(shell(ONE.0, "exec sleep 600"));
    job.started(ONE.0);
    for step in 1..=5 {
        write(&job, at(1, step));
    }
    let listed = |job: &Job| checkpoints(job).list(ONE).unwrap();
    proc::until("two checkpoints to be left", || listed(&job) == [at(1, 4), at(1, 5)]);
    // What is damaged does not count: the last two valid ones stay.
    write(&job, at(1, 6));
    damage(&job, at(1, 6));
    write(&job, at(1, 7));
    proc::until("the oldest to go", || !path(&job, at(1, 4)).exists());
    assert_eq!(listed(&job), [at(1, 5), at(1, 6), at(1, 7)]);
    job.stop(ONE.0, 1, 9);
    assert_eq!(job.ended_fully(ONE.0), (Outcome::Signalled(9), true));
    // Half-written files of a dead attempt go before the next one begins.
    let rest = job.dir.path().join("ckpt/00000001").join(format!("{}rest", dc_spool::files::TMP_PREFIX));
    std::fs::write(&rest, "half").unwrap();
    assert_eq!(asked(&mut job, asking(2, None)).0, Some(at(1, 7)));
    assert!(!rest.exists());
}

#[test]
fn a_result_and_progress_are_told_with_the_end() {
    let mut job = Job::shell();
    let slots = Slots::from_fd(OwnedFd::from(job.progress.try_clone().unwrap()), 16).unwrap();
    let fifo = job.dir.path().join("go");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    job.launch(shell(ONE.0, "read x < go"));
    job.started(ONE.0);
    let path = PathBuf::from(format!("/proc/{}/fd/5", job.starter.pid));
    let slot = dc_spool::progress::Slot::open(&path, dc_model::Rank(1), ONE, Attempt(1)).unwrap();
    slot.cells(9);
    assert_eq!(slots.read(dc_model::Rank(1)).map(|p| p.cells), Some(9));
    let results = Results::open(&Dir::open(job.dir.path()).unwrap(), job.uuid).unwrap();
    let mut writer = results.writer(ONE, Attempt(1), Dtype::U1, Layout::Bytes, 1).unwrap();
    writer.append(b"abc").unwrap();
    writer.finish().unwrap();
    std::fs::write(&fifo, "\n").unwrap();
    let told = job.wait_for(|m| match m {
        FromStarter::Ended { outcome, progress_cells, result, .. } => {
            Some((*outcome, *progress_cells, *result))
        }
        _ => None,
    });
    let ResultMeta { len, .. } = told.2.unwrap();
    assert_eq!((told.0, told.1, len), (Outcome::Exited(0), 9, 3));
}

#[test]
fn a_stop_asks_for_a_checkpoint() {
    let mut job = Job::shell();
    job.launch(shell(ONE.0, "trap 'echo told' TERM; echo ready; while :; do sleep 0.01; done"));
    assert_eq!(job.said(), "ready\n");
    let path = PathBuf::from(format!("/proc/{}/fd/5", job.starter.pid));
    let slot = dc_spool::progress::Slot::open(&path, dc_model::Rank(1), ONE, Attempt(1)).unwrap();
    assert!(!slot.checkpoint_wanted());
    job.stop(ONE.0, 1, 15);
    assert_eq!(job.said(), "told\n");
    assert!(slot.checkpoint_wanted());
}

#[test]
fn a_stop_while_a_checkpoint_is_picked_launches_nothing() {
    let mut job = Job::shell();
    // Large enough that reading it takes longer than the next message does.
    let data = vec![1; 64 << 20];
    let large = at(1, 1);
    checkpoints(&job).write(ONE, large, &[Region { id: 0, data: &data }]).unwrap();
    job.launch(asking(2, None));
    job.stop(ONE.0, 2, 15);
    assert_eq!(job.ended_fully(ONE.0), (Outcome::Signalled(15), true));
    job.launch(asking(3, None));
    assert_eq!(started_from(&mut job), Some(large));
    assert_eq!(job.ended(ONE.0), Outcome::Exited(1));
}
