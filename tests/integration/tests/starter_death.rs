//! dcrun and the starter killed with SIGKILL, one or both, at various points: nothing runs on, nothing is lost.

use dc_integration::run::{Ask, Finished};
use dc_integration::{Scratch, fixture, linked_fixture, process, until};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs;

const SUBTASKS: u64 = 6;

fn sum(subtask: u64) -> u64 {
    (1..=20).map(|step| step * step * (subtask + 1)).sum()
}

/// Six counters on two lanes, merged; each step takes a moment.
fn job(place: &Scratch) -> Ask {
    let list: String = (0..SUBTASKS).map(|i| format!("s{i} {}\n", 100 - i)).collect();
    place.write("list", list);
    let ask = place.dcrun("-n 2 --oversubscribe --subtasks list --spool job --merge concat:out");
    ask.env("STEP_US", "3000").arg(linked_fixture("counter"))
}

fn resume(place: &Scratch) -> Finished {
    place.dcrun("--resume job").run()
}

/// The merged file of an undisturbed run.
fn merged() -> Vec<u8> {
    (0..SUBTASKS).flat_map(|i| sum(i).to_le_bytes()).collect()
}

/// Subtasks that `dcspool ls` shows as completed.
fn completed(place: &Scratch) -> usize {
    let listed = place.dcspool("ls job").run().out();
    let rows = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows = rows.filter(|row| row.first().is_some_and(|id| id.parse::<u64>().is_ok()));
    rows.filter(|row| ["completed", "computed"].contains(&row[2])).count()
}

/// How often each subtask noted `word`.
fn counts(place: &Scratch, word: &str) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for line in place.noted(word) {
        *counts.entry(line[1].parse().unwrap()).or_default() += 1;
    }
    counts
}

/// Kills dcrun where `point` returns, and sees that all is well after a resume. Returns both runs' output.
fn dcrun_killed_at(place: &Scratch, point: impl FnOnce()) -> String {
    let run = job(place).start();
    point();
    let before = run.kill();
    place.nothing_runs();
    let done_before = counts(place, "end");
    let shown = completed(place);
    let done = resume(place).ends_with(0);
    assert_eq!(fs::read(place.path("out")).unwrap(), merged(), "the undisturbed run's digest: {done}");
    assert!(!place.path("job").exists(), "removed after the success: {done}");
    // What was completed is not run again; the end of at most two may not have reached the disk.
    let again: Vec<_> = counts(place, "end").into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(again.len() <= 2, "run again: {again:?}");
    assert!(done_before.len() >= shown, "{done_before:?} and {shown}");
    assert!(
        again.len() + shown <= done_before.len(),
        "completed ones ran again: {again:?}, {done_before:?}, {shown}"
    );
    // Nor is their output repeated.
    let lines = done.out().lines().count();
    assert_eq!(lines, SUBTASKS as usize - shown, "{done}");
    // Each one computed each step once, or went on from a checkpoint at most two steps back.
    for (subtask, count) in counts(place, "step") {
        assert!(
            count <= 20 + 3 || again.iter().any(|(one, _)| *one == subtask),
            "subtask {subtask}: {count} steps"
        );
    }
    before + &done.to_string()
}

#[test]
fn dcrun_killed_as_soon_as_the_job_exists() {
    let place = Scratch::new();
    dcrun_killed_at(&place, || until("the job", || place.path("job/job").exists().then_some(())));
}

#[test]
fn dcrun_killed_after_the_first_start() {
    let place = Scratch::new();
    dcrun_killed_at(&place, || drop(place.notes("start", 1)));
}

#[test]
fn dcrun_killed_in_the_midst() {
    let place = Scratch::new();
    dcrun_killed_at(&place, || drop(place.notes("step", 33)));
}

#[test]
fn dcrun_killed_after_some_are_completed() {
    let place = Scratch::new();
    dcrun_killed_at(&place, || until("two completed", || (completed(&place) >= 2).then_some(())));
}

#[test]
fn dcrun_killed_at_the_end() {
    let place = Scratch::new();
    dcrun_killed_at(&place, || drop(place.notes("end", SUBTASKS as usize - 1)));
}

/// Killed again and again: each resume goes on where the last one was.
#[test]
fn dcrun_killed_many_times() {
    let place = Scratch::new();
    job(&place).start().kill_when(|| drop(place.notes("step", 10)));
    for more in 2..8 {
        place.nothing_runs();
        place.dcrun("--resume job").start().kill_when(|| drop(place.notes("step", 10 * more)));
    }
    place.nothing_runs();
    resume(&place).ends_with(0);
    assert_eq!(fs::read(place.path("out")).unwrap(), merged());
    place.nothing_runs();
}

/// Ranks that forked twice, that ignore TERM, that fork on and on: none survives dcrun.
#[test]
fn dcrun_killed_with_ranks_that_escape() {
    for (kernel, how, count) in [("detach", "hang", 2), ("detach", "hang move", 2), ("stubborn", "", 2)] {
        let place = Scratch::new();
        let ask = place.dcrun("-n 2 --oversubscribe --spool job").arg(fixture(kernel)).words(how);
        let run = ask.start();
        let _ = place.notes("start", count);
        run.kill();
        place.nothing_runs();
    }
}

/// Proof by the job's own tag that nothing is left, and by the kernel's view of the lock that the job is free.
#[test]
fn nothing_of_the_job_is_left() {
    let place = Scratch::new();
    let script = r#"echo "start $DC_JOB_UUID" >>"$NOTES"; sleep 1000 & exec sleep 1000"#;
    let run = place.dcrun("-n 2 --oversubscribe --spool job").script(script).start();
    let uuid = place.notes("start", 2)[0][1].clone();
    assert!(process::tagged("DC_JOB_UUID", &uuid).len() >= 4);
    run.kill();
    until("all of the job to be gone", || process::tagged("DC_JOB_UUID", &uuid).is_empty().then_some(()));
    place.nothing_runs();
}

/// A rank runs on in a dcrun that is stopped or slow; a second one on the directory is refused.
#[test]
fn a_second_dcrun_is_refused() {
    let place = Scratch::new();
    let script = r#"echo start >>"$NOTES"; until [ -e go ]; do sleep 0.01; done; echo end >>"$NOTES""#;
    let run = place.dcrun("-n 1 --spool job").script(script).start();
    let _ = place.notes("start", 1);
    let pid = run.pid().to_string();
    place.dcrun("--resume job").run().ends_with(125).says_in_a_line(&["dcrun: ", "job", &pid]);
    place.dcrun("-n 1 --spool job true").run().ends_with(125).says_in_a_line(&["dcrun: ", "job"]);
    assert_eq!(place.noted("start").len(), 1);
    place.write("go", "");
    run.finish().ends_with(0);
    assert_eq!(place.log().len(), 2);
}

/// The starter dies: its ranks die with it, another one goes on. That counts against nobody's restarts.
#[test]
fn the_starter_killed() {
    let place = Scratch::new();
    let ask = place.dcrun("-n 2 --oversubscribe --restarts 0 --merge concat:out").env("DIES", "1:7:stop");
    let run = ask.arg(linked_fixture("counter")).start();
    let steps = place.notes("step", 14);
    let starter = run.child_called("dc-starter");
    process::signal(starter.pid, Signal::SIGKILL);
    until("the ranks to die", || {
        let lives = |line: &Vec<String>| process::lives(line[3].parse().unwrap());
        (!steps.iter().any(lives)).then_some(())
    });
    let done = run.finish().ends_with(0).says_in_a_line(&["dcrun: ", "starter"]);
    let starts: Vec<_> = place.noted("start").iter().map(|line| line[4].clone()).collect();
    assert_eq!(starts, ["0", "0", "6", "6"], "{done}");
    let expected: Vec<u8> = (0..2).flat_map(|i| sum(i).to_le_bytes()).collect();
    assert_eq!(fs::read(place.path("out")).unwrap(), expected);
    place.nothing_runs();
    place.nothing_is_left();
}

#[test]
fn the_starter_killed_again_and_again() {
    let place = Scratch::new();
    let run = job(&place).start();
    let mut last = 0;
    for count in [9, 30, 55, 80] {
        let _ = place.notes("step", count);
        let starter = until("another starter", || {
            process::children(run.pid())
                .into_iter()
                .find(|child| child.name == "dc-starter" && child.pid != last)
        });
        process::signal(starter.pid, Signal::SIGKILL);
        last = starter.pid;
    }
    run.finish().ends_with(0);
    assert_eq!(fs::read(place.path("out")).unwrap(), merged());
    place.nothing_runs();
}

/// What ranks had detached does not outlive the job either, when their starter is killed.
#[test]
fn the_starter_killed_with_detached_ones() {
    let place = Scratch::new();
    let script = r#"[ $DC_ATTEMPT -gt 1 ] || exec "$DETACH" hang"#;
    let run = place.dcrun("-n 2 --oversubscribe").env("DETACH", fixture("detach")).script(script).start();
    let _ = place.notes("start", 2);
    process::signal(run.child_called("dc-starter").pid, Signal::SIGKILL);
    run.finish().ends_with(0);
    place.nothing_runs();
}

/// A starter that dies each time it is started is not started for ever.
#[test]
fn a_starter_that_never_lives() {
    let place = Scratch::new();
    for dead in ["exit 0", "kill -9 $$"] {
        let starter = place.script("dead-starter", dead);
        let ask = place.dcrun("-n 2 true").env("DC_STARTER", starter);
        ask.run().ends_with(125).says_in_a_line(&["dcrun: ", "starter"]);
        place.nothing_runs();
    }
}

/// Both at once: dcrun first, with the starter stopped so that it sees nothing, then the starter.
#[test]
fn both_killed() {
    let place = Scratch::new();
    let run = job(&place).start();
    let _ = place.notes("step", 30);
    let starter = run.child_called("dc-starter");
    process::signal(starter.pid, Signal::SIGSTOP);
    run.kill();
    process::signal(starter.pid, Signal::SIGKILL);
    place.nothing_runs();
    resume(&place).ends_with(0);
    assert_eq!(fs::read(place.path("out")).unwrap(), merged());
}

/// While the killed run's starter has not yet ended its ranks, a resume ends them itself before it begins: never do
/// two attempts run at once.
#[test]
fn a_resume_at_once() {
    let place = Scratch::new();
    let ask = place.dcrun("-n 2 --oversubscribe --spool job --merge concat:out").env("DIES", "1:7:stop");
    let run = ask.arg(linked_fixture("counter")).start();
    let _ = place.notes("step", 14);
    let starter = run.child_called("dc-starter");
    process::signal(starter.pid, Signal::SIGSTOP);
    run.kill();
    let old = process::children(starter.pid);
    assert!(old.len() == 2 && old.iter().all(process::Process::lives), "{old:?}");
    let early = place.dcrun("--resume job").start();
    let _ = place.notes("start", 3);
    let beside: Vec<_> = old.iter().filter(|rank| rank.lives()).collect();
    assert!(beside.is_empty(), "{beside:?} run beside the resume's");
    early.finish().ends_with(0);
    let expected: Vec<u8> = (0..2).flat_map(|i| sum(i).to_le_bytes()).collect();
    assert_eq!(fs::read(place.path("out")).unwrap(), expected);
    assert!(!starter.lives());
    place.nothing_runs();
}
