//! The lease of a starter that serves: at its end everything is dead, whoever is there, and the story is told to who comes.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

mod harness;

use dc_model::wire::{FromStarter, KnownPhase, ToStarter};
use dc_model::{Attempt, Outcome, SubtaskId};
use dcd::process::calls::signal_process;
use dcd::process::children;
use dcd::starters::{self, Life, Lost};
use harness::served::{LONG, Served};
use harness::{proc, shell};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

const LEASE: Duration = Duration::from_millis(400);
/// How much later than its lease everything may be dead, on a loaded machine.
const SMALL: Duration = Duration::from_secs(5);

/// Runs ranks that do not want to go, of all kinds; gives their processes.
fn stubborn(job: &mut Served) -> Vec<i32> {
    job.run(0, "trap '' TERM INT HUP; while :; do sleep 600; done");
    job.run(
        1,
        "setsid sh -c '(sh -c \"echo \\$\\$ > escaped; exec sleep 600\") & exit 0' & wait; exec sleep 600",
    );
    let deep =
        "setsid sh -c 'trap \"\" TERM; echo $$ > deep; setsid sleep 600 & wait; wait' & wait; exec sleep 600";
    job.run(2, deep);
    job.run(3, "kill -STOP $$; exec sleep 600");
    // Made ahead, and held behind one that runs.
    let mut held = shell(4, "touch went");
    held.after = Some((SubtaskId(0), Attempt(1)));
    job.launch(held);
    let mut pids: Vec<i32> = (0..4).map(|n| job.started(n)).collect();
    pids.push(proc::number_in(&job.path("escaped")));
    pids.push(proc::number_in(&job.path("deep")));
    proc::until("one to be stopped", || proc::state(pids[3]) == Some('T'));
    pids
}

fn all_dead_within(job: &Served, pids: &[i32], limit: Duration) {
    proc::within(limit, "all of them to be dead", || !pids.iter().any(|pid| proc::runs(*pid)));
    let starter = Pid::from_raw(job.pid);
    proc::within(limit, "nothing below the starter", || {
        !children::of(starter).unwrap().iter().any(|pid| proc::runs(pid.as_raw()))
    });
}

#[test]
fn when_it_ends_everything_is_dead_and_the_ends_are_told() {
    let mut job = Served::start();
    let pids = stubborn(&mut job);
    let begin = Instant::now();
    job.lease(LEASE);
    // Who leads it is gone for good.
    job.leave();
    all_dead_within(&job, &pids, LEASE + SMALL);
    assert!(begin.elapsed() >= LEASE, "not a moment before: {:?}", begin.elapsed());
    assert!(!job.path("went").exists());
    // Somebody comes for the story.
    let state = job.join();
    assert!(state.lease_over);
    for subtask in 0..5 {
        let (_, outcome, stopped) = job.ended(subtask, 1);
        assert_eq!((outcome, stopped), (Outcome::Signalled(9), true), "subtask {subtask}");
    }
    job.notice("the lease of this node is over");
    // Nothing is launched without one, and that is told too.
    job.run(7, "touch seven");
    assert_eq!(job.ended(7, 1).1, Outcome::Signalled(9));
    // A new one, and it goes on.
    job.lease(LONG);
    job.run(8, "exit 8");
    let (seq, outcome, stopped) = job.ended(8, 1);
    assert_eq!((outcome, stopped), (Outcome::Exited(8), false));
    assert!(!job.path("seven").exists());
    job.ack(seq);
    job.leave();
    assert!(!job.join().lease_over);
    assert_eq!(job.phase(0), None);
}

#[test]
fn without_a_first_one_it_ends_too() {
    let mut job = Served::with(LEASE, |_| {});
    job.run(0, "trap '' TERM; exec sleep 600");
    let pid = job.started(0);
    let (_, outcome, stopped) = job.ended(0, 1);
    assert_eq!((outcome, stopped), (Outcome::Signalled(9), true));
    assert!(!proc::runs(pid));
    // Nobody says a word: its story is over after ten leases, and it cleans up after itself.
    assert_eq!(lost(&mut job), Lost::Ended);
    job.wait_gone();
}

fn lost(job: &mut Served) -> Lost {
    loop {
        if let Err(lost) = job.fresh() {
            return lost;
        }
    }
}

#[test]
fn a_lease_that_is_renewed_harms_nobody_and_never_grows_shorter() {
    let mut job = Served::with(Duration::from_millis(1500), |_| {});
    job.run(0, "while ! test -e go; do sleep 0.01; done; exit 3");
    job.started(0);
    for _ in 0..30 {
        job.lease(Duration::from_millis(1500));
        std::thread::sleep(Duration::from_millis(100));
    }
    job.lease(LONG);
    // One that was sent before comes late; one that is over already; and time itself.
    job.lease(Duration::from_millis(1));
    job.send(&ToStarter::Lease { until_boottime_ns: 0 });
    job.send(&ToStarter::Lease { until_boottime_ns: u64::MAX });
    std::thread::sleep(Duration::from_millis(100));
    std::fs::write(job.path("go"), "").unwrap();
    let (_, outcome, stopped) = job.ended(0, 1);
    assert_eq!((outcome, stopped), (Outcome::Exited(3), false));
}

/// A starter that was held up wakes behind its lease's end, and finds a launch.
#[test]
fn what_comes_before_its_end_and_is_seen_behind_it_is_not_launched() {
    let mut job = Served::start();
    job.run(0, "trap '' TERM; exec sleep 600");
    job.started(0);
    job.lease(LEASE);
    job.greet();
    signal_process(Pid::from_raw(job.pid), nix::libc::SIGSTOP as u8).unwrap();
    let mut newer = shell(0, "touch newer");
    newer.attempt = Attempt(2);
    job.launch(newer);
    std::thread::sleep(LEASE * 2);
    signal_process(Pid::from_raw(job.pid), nix::libc::SIGCONT as u8).unwrap();
    for attempt in [1, 2] {
        let (_, outcome, stopped) = job.ended(0, attempt);
        assert_eq!((outcome, stopped), (Outcome::Signalled(9), true), "attempt {attempt}");
    }
    assert!(!job.path("newer").exists());
}

/// The loop hangs: a debugger holds its thread, as a file system that does not answer would. The ranks die all the same,
/// by the thread beside it.
#[test]
fn a_loop_that_hangs_does_not_keep_ranks_alive() {
    use nix::sys::ptrace;
    use nix::sys::wait::{WaitPidFlag, waitpid};
    let mut job = Served::start();
    let pids = stubborn(&mut job);
    let loop_thread = Pid::from_raw(job.pid);
    if let Err(errno) = ptrace::seize(loop_thread, ptrace::Options::empty()) {
        eprintln!("skipped: no process can be traced here: {errno}");
        return;
    }
    job.lease(LEASE);
    job.greet();
    ptrace::interrupt(loop_thread).unwrap();
    waitpid(loop_thread, Some(WaitPidFlag::__WALL)).unwrap();
    proc::within(LEASE + SMALL, "all of them to be dead", || !pids.iter().any(|pid| proc::runs(*pid)));
    assert_eq!(starters::life(&job.dir).unwrap(), Life::Alive);
    ptrace::detach(loop_thread, None).unwrap();
    // It comes to itself, and tells of ends that were nobody's but its own.
    for subtask in 0..5 {
        let (_, outcome, _) = job.ended(subtask, 1);
        assert_eq!(outcome, Outcome::Signalled(9), "subtask {subtask}");
    }
    job.notice("the lease of this node is over");
}

#[test]
fn the_story_is_kept_until_it_is_told_or_its_time_is_over() {
    let mut job = Served::start();
    job.run(0, "exit 3");
    job.started(0);
    job.lease(LEASE);
    job.leave();
    job.told = None;
    let begin = Instant::now();
    // Within ten leases somebody comes.
    std::thread::sleep(LEASE * 3);
    let state = job.join();
    assert!(state.lease_over && job.phase(0) == Some(KnownPhase::Ended));
    assert_eq!(job.ended(0, 1).1, Outcome::Exited(3));
    assert_eq!(lost(&mut job), Lost::Ended);
    job.wait_gone();
    let (least, most) = (LEASE * 11 - Duration::from_millis(50), LEASE * 11 + SMALL);
    assert!((least..most).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    assert!(matches!(starters::Control::connect(&job.dir, None), Err(starters::ConnectError::Dead { .. })));
}

/// As it was sent, and it came too late: there never was a lease.
#[test]
fn a_first_one_that_is_over_already_is_none() {
    let mut job = Served::start();
    job.run(0, "exec sleep 600");
    let pid = job.started(0);
    job.send(&ToStarter::Lease { until_boottime_ns: 1 });
    assert_eq!(job.ended(0, 1).1, Outcome::Signalled(9));
    assert!(!proc::runs(pid));
}

/// A report that comes with the lease's end is the starter's own word, not a guess of who reads it.
#[test]
fn who_ended_by_itself_before_was_not_killed_by_the_lease() {
    let mut job = Served::start();
    job.run(0, "exit 6");
    let pid = job.started(0);
    proc::until("its end", || !proc::runs(pid));
    job.lease(Duration::from_millis(1));
    let told = job.wait_for(|event| match event {
        starters::Event::Report { report: FromStarter::Ended { outcome, stopped, .. }, .. } => {
            Some((*outcome, *stopped))
        }
        _ => None,
    });
    assert_eq!(told, (Outcome::Exited(6), false));
}
