//! `--resume`: what was done stays done, the rest goes on; and what has changed meanwhile is told.

use dc_integration::{Scratch, fixture, linked_fixture, only, process};
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};

/// A job in which subtask 1 of 4 fails until the file `good` is there. Returns its directory.
fn failed_job(place: &Scratch, options: &str) -> PathBuf {
    let script = r#"echo "ran $DC_SUBTASK $DC_ATTEMPT" >>"$NOTES"
        [ -e "$GOOD" ] || [ $DC_SUBTASK != 1 ] || exit 9
        echo "out of $DC_SUBTASK"; echo $DC_SUBTASK | dcspool result"#;
    let ask = place.dcrun("-n 4 --keep-going --spool job").words(options).env("GOOD", place.path("good"));
    ask.script(script).run().ends_with(9).says(&["--resume"]);
    place.path("job")
}

#[test]
fn only_what_failed_runs_again() {
    let place = Scratch::new();
    let job = failed_job(&place, "--merge concat:out");
    assert!(!place.path("out").exists());
    // Still bad: the same again, with a number of its own for the attempt.
    place.dcrun("--resume").arg(&job).run().ends_with(9);
    place.write("good", "");
    let done = place.dcrun("--resume").arg(&job).run().ends_with(0);
    assert_eq!(done.out(), "out of 1\n", "the output of others is not repeated");
    let ran: Vec<_> =
        place.noted("ran").into_iter().filter(|line| line[1] == "1").map(|line| line[2].clone()).collect();
    assert_eq!(ran, ["1", "2", "3"], "no attempt's number is used twice");
    assert_eq!(place.noted("ran").len(), 6);
    assert_eq!(fs::read_to_string(place.path("out")).unwrap(), "0\n1\n2\n3\n");
    assert!(!job.exists());
}

/// The directory, arguments and environment are the job's, wherever the resume is typed.
#[test]
fn the_jobs_surroundings_come_back() {
    let place = Scratch::new();
    fs::create_dir(place.path("there")).unwrap();
    let script = r#"pwd -P; echo "$MINE|$1|$2|$0"; [ -e "$GOOD" ]"#;
    let good = place.path("good");
    let ask = place.dcrun("-n 1 -D there --spool job").env("MINE", "a b").env("GOOD", &good);
    ask.script(script).arg("x  y").arg("").run().ends_with(1);
    place.write("good", "");
    let job = place.path("job");
    let done = place.dcrun("--resume").arg(&job).dir("/").env("MINE", "other").run().ends_with(0);
    let there = place.path("there").canonicalize().unwrap();
    assert_eq!(done.out(), format!("{}\na b|x  y||sh\n", there.display()));
}

#[test]
fn a_changed_kernel_is_refused() {
    let place = Scratch::new();
    place.script("k", r#"echo "first $DC_SUBTASK" >>"$NOTES"; exit 3"#);
    place.dcrun("-n 1 --spool job ./k").run().ends_with(3);
    place.script("k", r#"echo "second $DC_SUBTASK" >>"$NOTES"; exit 0"#);
    let refused = place.dcrun("--resume job").run().ends_with(125);
    refused.says_in_a_line(&["dcrun: ", "changed", "--force"]);
    assert_eq!(place.noted("second").len(), 0);
    place.dcrun("--resume job --force").run().ends_with(0);
    assert_eq!(place.noted("second").len(), 1);
}

#[test]
fn a_changed_mask_is_refused() {
    let place = Scratch::new();
    place.write("mask.pbm", "P1\n4 1\n1 1 1 1\n");
    let ask = place.dcrun("-n 2 --domain mask.pbm --spool job --merge grid:out.npy");
    ask.env("WRONG", "1:fails").arg(linked_fixture("index")).run().ends_with(3);
    place.write("mask.pbm", "P1\n4 1\n1 1 1 0\n");
    place.dcrun("--resume job").run().ends_with(125).says_in_a_line(&["dcrun: ", "mask.pbm", "changed"]);
    assert!(place.path("job").exists(), "nothing is lost");
    // Put back, it goes on as if nothing had been.
    place.write("mask.pbm", "P1\n4 1\n1 1 1 1\n");
    place.dcrun("--resume job").run().ends_with(3);
    fs::remove_file(place.path("mask.pbm")).unwrap();
    place.dcrun("--resume job").run().ends_with(125).says_in_a_line(&["dcrun: ", "mask.pbm"]);
}

#[test]
fn a_kernel_that_is_gone() {
    let place = Scratch::new();
    place.script("k", "exit 3");
    place.dcrun("-n 1 --spool job ./k").run().ends_with(3);
    fs::remove_file(place.path("k")).unwrap();
    let done = place.dcrun("--resume job").run();
    assert!([125, 127].contains(&done.code()), "{done}");
    done.says_in_a_line(&["dcrun: ", "k"]);
}

/// A job that is complete and was kept: nothing to do, and well.
#[test]
fn a_complete_job() {
    let place = Scratch::new();
    let script = r#"echo ran >>"$NOTES"; echo text"#;
    place.dcrun("-n 3 --spool job --keep").script(script).run().ends_with(0);
    let done = place.dcrun("--resume job --keep").run().ends_with(0);
    assert!(done.stdout.is_empty(), "{done}");
    assert_eq!(place.noted("ran").len(), 3);
}

#[test]
fn no_job_there() {
    let place = Scratch::new();
    fs::create_dir(place.path("empty")).unwrap();
    place.write("file", "");
    for dir in ["nowhere", "empty", "file", "/"] {
        place.dcrun("--resume").arg(dir).run().ends_with(125).says_in_a_line(&["dcrun: ", dir]);
    }
    place.dcrun("--resume empty true").run().ends_with(125).says(&["--resume takes no kernel"]);
    place.dcrun("--resume empty -n 4").run().ends_with(125).says(&["-n", "--resume"]);
    assert_eq!(fs::read_dir(place.path("empty")).unwrap().count(), 0, "nothing is put there");
}

/// A resume forgives: each subtask has all its restarts again.
#[test]
fn restarts_begin_anew() {
    let place = Scratch::new();
    let script = r#"echo "ran $DC_ATTEMPT" >>"$NOTES"; [ $DC_ATTEMPT -gt 3 ] || kill -9 $$"#;
    place.dcrun("-n 1 --restarts 1 --spool job").script(script).run().ends_with(137);
    assert_eq!(place.noted("ran").len(), 2);
    place.dcrun("--resume job").run().ends_with(0);
    let attempts: Vec<_> = place.noted("ran").iter().map(|line| line[1].clone()).collect();
    assert_eq!(attempts, ["1", "2", "3", "4"]);
}

/// Checkpoints of an attempt that was running when dcrun was told to end are gone on from.
#[test]
fn from_the_checkpoints() {
    let place = Scratch::new();
    let run = place
        .dcrun("-n 2 --oversubscribe --spool job")
        .env("DIES", "1:9:stop")
        .arg(linked_fixture("counter"))
        .start();
    let _ = place.notes("step", 18);
    run.signal(Signal::SIGTERM);
    run.finish().ends_with(143);
    place.dcrun("--resume job").run().ends_with(0);
    let starts: Vec<_> = place.noted("start").iter().map(|line| line[4].clone()).collect();
    assert_eq!(starts, ["0", "0", "8", "8"]);
}

/// A kernel that only checkpoints when that is due is asked for one before it is killed.
#[test]
fn a_last_checkpoint_before_the_end() {
    let place = Scratch::new();
    let ask = place.dcrun("-n 1 --spool job").env("DC_CHECKPOINT_INTERVAL", "100000");
    let run = ask.arg(linked_fixture("willing")).start();
    let _ = place.notes("start", 1);
    run.signal(Signal::SIGTERM);
    run.finish().ends_with(143);
    let saved = place.noted("saved");
    assert_eq!(saved.len(), 1);
    place.dcrun("--resume job").run().ends_with(0);
    assert_eq!(place.noted("start")[1][4], saved[0][4]);
}

/// One segment of the journal an epoch; what an earlier one wrote is never written to again.
#[test]
fn a_segment_an_epoch() {
    let place = Scratch::new();
    let job = failed_job(&place, "");
    let first = fs::read(job.join("journal.000001")).unwrap();
    place.dcrun("--resume").arg(&job).run().ends_with(9);
    assert!(job.join("journal.000002").exists());
    assert_eq!(fs::read(job.join("journal.000001")).unwrap(), first);
}

/// A journal that is cut at its tail is read up to there; one that rots in the midst is refused.
#[test]
fn a_damaged_journal() {
    let place = Scratch::new();
    let job = failed_job(&place, "");
    let journal = job.join("journal.000001");
    let whole = fs::read(&journal).unwrap();
    // Cut in its last record, as a power failure may: that one was never acknowledged to anybody.
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for cut in [end, end - 3] {
        fs::write(&journal, &whole[..cut]).unwrap();
        place.dcspool("ls").arg(&job).run().ends_with(0);
    }
    place.dcrun("--resume").arg(&job).run().ends_with(9);
    fs::write(&journal, &whole).unwrap();
    fs::remove_file(job.join("journal.000002")).unwrap();
    let mut rotten = whole.clone();
    rotten[80] ^= 0x10;
    fs::write(&journal, &rotten).unwrap();
    place.dcrun("--resume").arg(&job).run().ends_with(125).says_in_a_line(&["dcrun: ", "journal.000001"]);
    let verified = place.dcspool("verify").arg(&job).run();
    assert_ne!(verified.code(), 0, "{verified}");
    fs::write(&journal, &whole).unwrap();
    place.write("good", "");
    place.dcrun("--resume").arg(&job).run().ends_with(0);
}

#[test]
fn the_record_of_another_version() {
    let place = Scratch::new();
    let job = failed_job(&place, "");
    newer(&job.join("job"));
    let done = place.dcrun("--resume").arg(&job).run().ends_with(125);
    done.says_in_a_line(&["dcrun: ", "newer"]);
    let listed = place.dcspool("ls").arg(&job).run();
    assert_ne!(listed.code(), 0);
    listed.says(&["newer"]);
}

/// Makes a record's version a larger one, and its header's checksum match, as a newer dc would.
fn newer(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[8..10].copy_from_slice(&9u16.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_limit_may_be_given_anew() {
    let place = Scratch::new();
    let run = place.dcrun("-n 1 -t 1s --spool job").arg(fixture("hang"));
    run.run().ends_with(124);
    place.dcrun("--resume job -t 1s").run().ends_with(124);
    assert_eq!(place.noted("start").len(), 2);
    let pid: i32 = place.noted("start")[1][3].parse().unwrap();
    assert!(!process::lives(pid));
}

#[test]
fn events_of_a_resume() {
    let place = Scratch::new();
    let job = failed_job(&place, "");
    place.write("good", "");
    place.dcrun("--json=events --resume").arg(&job).run().ends_with(0);
    let events = dc_integration::Events::of(place.path("events")).all();
    assert_eq!(only(&events, "end")["status"].as_u64(), Some(0));
    let started: Vec<_> = events.iter().filter(|event| event["event"] == "started").collect();
    assert_eq!(started.len(), 1, "{events:#?}");
    assert_eq!(started[0]["subtask"].as_u64(), Some(1));
}
