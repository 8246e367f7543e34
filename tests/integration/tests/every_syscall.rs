//! dcrun, and its starter, are killed at every system call of scripted runs, or every call that touches a file fails;
//! then the job is gone on with. Each time the result is that of an undisturbed run, nothing is left running, and no
//! file is left that is not the user's. Counts are printed.
//!
//! All calls are many: a usual test run takes every `DC_EVERY`-th (41), beginning at a random one; `make trust` takes
//! all.

use dc_integration::random::Random;
use dc_integration::run::Finished;
use dc_integration::strace::{self, Inject};
use dc_integration::{Scratch, built, linked_fixture};
use std::collections::BTreeSet;
use std::fs;

/// More calls than any of the runs makes.
const CALLS_MAX: usize = 20_000;
const SUBTASKS: u64 = 3;

fn stride() -> usize {
    std::env::var("DC_EVERY").ok().and_then(|text| text.parse().ok()).unwrap_or(41)
}

fn expected() -> Vec<u8> {
    let sum = |subtask: u64| (1..=20).map(|step| step * step * (subtask + 1)).sum::<u64>();
    (0..SUBTASKS).flat_map(|i| sum(i).to_le_bytes()).collect()
}

const NEW: &str = "-n 2 --oversubscribe --restarts 100 --subtasks list --spool job --merge concat:out";

fn place() -> Scratch {
    let place = Scratch::new();
    place.write("list", (0..SUBTASKS).map(|i| format!("s{i} {}\n", 50 + i)).collect::<String>());
    place
}

/// Goes on, or begins anew where there is nothing to go on with, until the job is done; then looks at everything.
fn finish(place: &Scratch, said: &str, what: &str) {
    place.nothing_runs();
    if place.path("job/job").exists() {
        place.dcrun("--resume job").run().ends_with(0);
    } else if !place.path("out").exists() {
        place.dcrun(NEW).arg(linked_fixture("counter")).run().ends_with(0);
    }
    assert_eq!(fs::read(place.path("out")).unwrap(), expected(), "{what}");
    place.nothing_runs();
    if said.contains("can be removed") {
        // What could not be removed was named.
        fs::remove_dir_all(place.path("job")).unwrap();
    }
    let allowed = ["list", "out", "starter", "starter.first"];
    let left: BTreeSet<_> = fs::read_dir(place.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    let left: Vec<_> = left.iter().filter(|name| allowed.iter().all(|known| name != known)).collect();
    if !left.is_empty() {
        let all = std::process::Command::new("find").arg(place.path("")).output().unwrap().stdout;
        panic!("{what}: left behind: {left:?}\n{}", String::from_utf8_lossy(&all));
    }
}

/// Runs `session` with each of the calls, until one comes to its end undisturbed. How many were disturbed.
fn each_call(name: &str, mut session: impl FnMut(usize) -> bool) -> usize {
    let mut random = Random::of_this_run(name);
    let stride = stride();
    let first = 1 + random.below(stride as u64) as usize;
    let mut session = |at| {
        let began = std::time::Instant::now();
        let disturbed = session(at);
        if began.elapsed().as_secs() > 3 {
            println!("{name}: call {at} took {:?}", began.elapsed());
        }
        disturbed
    };
    let disturbed = (first..CALLS_MAX).step_by(stride).take_while(|at| session(*at)).count();
    assert!(disturbed > 0, "no call was reached");
    let every = format!("every {stride}. call from the {first}. on, seed {}", random.seed());
    println!("trust: killed at a system call, {name}: {disturbed} runs, {every}");
    disturbed
}

#[test]
fn dcrun_is_killed_at_every_call() {
    if !strace::is_there(&place()) {
        return;
    }
    each_call("dcrun killed", |at| {
        let place = place();
        let words = strace::words("all", &Inject::Kill, at);
        let killed =
            strace::ask(&place, &words, &built("dcrun")).words(NEW).arg(linked_fixture("counter")).run();
        assert!([0, 137].contains(&killed.code()), "call {at}: {killed}");
        finish(&place, "", &format!("call {at}"));
        killed.code() == 137
    });
}

#[test]
fn a_resume_is_killed_at_every_call() {
    if !strace::is_there(&place()) {
        return;
    }
    each_call("resume killed", |at| {
        let place = place();
        // One subtask is done, one has failed for good after a checkpoint, one was never begun.
        let first = place
            .dcrun("-n 1 --restarts 0 --subtasks list --spool job --merge concat:out")
            .env("DIES", "1:7:9")
            .arg(linked_fixture("counter"))
            .run();
        assert_eq!(first.code(), 137, "{first}");
        let words = strace::words("all", &Inject::Kill, at);
        let resume = strace::ask(&place, &words, &built("dcrun")).words("--resume job");
        let killed = resume.run();
        assert!([0, 137].contains(&killed.code()), "call {at}: {killed}");
        finish(&place, "", &format!("call {at}"));
        killed.code() == 137
    });
}

#[test]
fn the_starter_is_killed_at_every_call() {
    if !strace::is_there(&place()) {
        return;
    }
    each_call("starter killed", |at| {
        let place = place();
        let words = strace::words("all", &Inject::Kill, at);
        let starter = strace::once(&place, "starter", &words, &built("dc-starter"));
        let run =
            place.dcrun(NEW).words("--json").env("DC_STARTER", &starter).arg(linked_fixture("counter")).run();
        assert_eq!(run.code(), 0, "call {at}: {run}");
        finish(&place, "", &format!("call {at}"));
        run.err().contains("starter_lost") || run.err().contains("starter-lost")
    });
}

/// What touches files. Not `close`, which does its work all the same.
const FILE_CALLS: &str = "openat,read,pread64,write,pwrite64,fsync,fdatasync,fallocate,ftruncate,mkdirat,mkdir,rename,\
                          renameat,renameat2,unlinkat,fchmod,flock,newfstatat,getdents64";

fn is_in_order(done: &Finished, what: &str) {
    let (code, said) = (done.code(), done.err());
    assert!(code < 128 || code == 141, "{what}: {done}");
    assert!(!said.contains("panicked"), "{what}: {done}");
    assert!(code == 0 || !said.trim().is_empty(), "{what}: an end without a word: {done}");
}

#[test]
fn every_call_that_touches_a_file_fails() {
    if !strace::is_there(&place()) {
        return;
    }
    for inject in
        [Inject::Fail("EIO"), Inject::Fail("ENOSPC"), Inject::FailOn("EIO"), Inject::FailOn("ENOSPC")]
    {
        let mut undisturbed = 0;
        each_call(&format!("{inject:?}"), |at| {
            let place = place();
            let words = strace::words(FILE_CALLS, &inject, at);
            let run =
                strace::ask(&place, &words, &built("dcrun")).words(NEW).arg(linked_fixture("counter")).run();
            let what = format!("{inject:?} at call {at}");
            is_in_order(&run, &what);
            finish(&place, &run.err(), &what);
            // One that is got over looks like one that was not reached: a hundred of those in a row are the end.
            undisturbed = if run.code() == 0 { undisturbed + stride() } else { 0 };
            undisturbed < 100
        });
    }
}
