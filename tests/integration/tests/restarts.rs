//! What fails is started again, from its last good checkpoint; and what is not started again.

use dc_integration::run::Finished;
use dc_integration::{Scratch, fixture, linked_fixture, process};
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};

/// What `counter` prints and hands over for a subtask.
fn sum(subtask: u64) -> u64 {
    (1..=20).map(|step| step * step * (subtask + 1)).sum()
}

/// From which step each attempt went on, in the order in which they started.
fn starts(place: &Scratch) -> Vec<(u32, u64)> {
    place.noted("start").iter().map(|line| (line[2].parse().unwrap(), line[4].parse().unwrap())).collect()
}

fn counter(place: &Scratch, options: &str, dies: &str) -> Finished {
    place.dcrun(options).env("DIES", dies).arg(linked_fixture("counter")).run()
}

fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn all_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        found.extend(if path.is_dir() { all_below(&path) } else { vec![path] });
    }
    found
}

#[test]
fn a_killed_rank_goes_on_from_its_last_checkpoint() {
    let place = Scratch::new();
    let done = counter(&place, "-n 1", "1:7:9").ends_with(0);
    assert_eq!(starts(&place), [(1, 0), (2, 6)]);
    assert_eq!(done.out(), format!("subtask 0: {}\n", sum(0)));
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    done.says_in_a_line(&["dcrun: ", "rank 0", "subtask 0", &host, "signal 9", "step 6"]);
    place.nothing_is_left();
}

#[test]
fn without_a_checkpoint_from_the_beginning() {
    let place = Scratch::new();
    let done = place
        .dcrun("-n 1")
        .script(r#"echo "start $DC_ATTEMPT" >>"$NOTES"; [ $DC_ATTEMPT = 2 ] || kill -9 $$"#);
    let done = done.run().ends_with(0).says_in_a_line(&["rank 0", "signal 9", "beginning"]);
    assert_eq!(place.noted("start").len(), 2, "{done}");
}

#[test]
fn again_and_again_each_from_its_newest() {
    let place = Scratch::new();
    let done = counter(&place, "-n 1", "1:4:9,2:9:11,3:14:15").ends_with(0);
    assert_eq!(starts(&place), [(1, 0), (2, 4), (3, 8), (4, 14)]);
    assert_eq!(done.out(), format!("subtask 0: {}\n", sum(0)));
    // No step was computed more often than the checkpoints ask for.
    assert_eq!(place.noted("step").len(), 20 + 1);
}

#[test]
fn only_the_killed_one_is_started_again() {
    let place = Scratch::new();
    let script = r#"[ $DC_SUBTASK = 2 ] || unset DIES; exec "$COUNTER""#;
    let ask = place.dcrun("-n 5").env("COUNTER", linked_fixture("counter")).env("DIES", "1:13:9");
    let done = ask.script(script).run().ends_with(0);
    let expected: Vec<_> = (0..5).map(|i| format!("subtask {i}: {}", sum(i))).collect();
    assert_eq!(done.sorted(), expected);
    assert_eq!(place.noted("start").len(), 6);
}

#[test]
fn a_status_without_progress_is_final() {
    let place = Scratch::new();
    let done = place.dcrun("-n 1").script(r#"echo start >>"$NOTES"; exit 5"#).run().ends_with(5);
    done.says_in_a_line(&["rank 0", "exit status 5", "progress"]);
    assert_eq!(place.noted("start").len(), 1);
}

#[test]
fn a_status_with_a_new_checkpoint_is_tried_again() {
    let place = Scratch::new();
    counter(&place, "-n 1", "1:5:x3").ends_with(0);
    assert_eq!(starts(&place), [(1, 0), (2, 4)]);
    // Then again, without a newer one: final.
    let place = Scratch::new();
    counter(&place, "-n 1", "1:5:x3,2:5:x3").ends_with(3);
    assert_eq!(starts(&place), [(1, 0), (2, 4)]);
}

#[test]
fn a_status_with_more_cells_done_is_tried_again() {
    let place = Scratch::new();
    place.write("list", "a 100\n");
    let script =
        r#"echo start >>"$NOTES"; dcspool progress $((DC_ATTEMPT < 3 ? DC_ATTEMPT * 10 : 20)); exit 4"#;
    place.dcrun("--subtasks list").script(script).run().ends_with(4);
    assert_eq!(place.noted("start").len(), 3, "10, 20, and no further");
}

#[test]
fn restarts_are_counted() {
    for (option, attempts) in [("", 4), ("--restarts 0", 1), ("--restarts 2", 3)] {
        let place = Scratch::new();
        let done = place.dcrun("-n 1").words(option).script(r#"echo start >>"$NOTES"; kill -9 $$"#).run();
        done.ends_with(137).says_in_a_line(&["rank 0", "signal 9", "restart"]);
        assert_eq!(place.noted("start").len(), attempts, "{option}");
        place.nothing_runs();
    }
}

/// What can be wrong with the newest checkpoint: it is passed over with a message, and the one before is taken.
#[test]
fn damaged_checkpoints_are_passed_over() {
    type Damage = fn(&Path, &Path);
    let damages: [(&str, Damage); 8] = [
        ("a flipped byte", |newest, _| {
            let mut bytes = fs::read(newest).unwrap();
            let at = bytes.len() - 1;
            bytes[at] ^= 1;
            fs::write(newest, bytes).unwrap();
        }),
        ("truncated", |newest, _| {
            let len = fs::metadata(newest).unwrap().len();
            fs::File::options().write(true).open(newest).unwrap().set_len(len - 1).unwrap();
        }),
        ("empty", |newest, _| fs::write(newest, "").unwrap()),
        ("zeroed", |newest, _| {
            fs::write(newest, vec![0; fs::metadata(newest).unwrap().len() as usize]).unwrap()
        }),
        ("longer", |newest, _| {
            let bytes = fs::read(newest).unwrap();
            fs::write(newest, [&bytes[..], b"x"].concat()).unwrap();
        }),
        ("an older one under its name", |newest, older| fs::copy(older, newest).map(drop).unwrap()),
        ("of another version", |newest, _| {
            let mut bytes = fs::read(newest).unwrap();
            bytes[8] ^= 0xff;
            bytes[9] ^= 0xff;
            fs::write(newest, bytes).unwrap();
        }),
        ("a link to nowhere", |newest, _| {
            fs::remove_file(newest).unwrap();
            std::os::unix::fs::symlink("/no/such/file", newest).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let place = Scratch::new();
        let ask = place.dcrun("-n 1 --spool job").env("DIES", "1:7:stop").arg(linked_fixture("counter"));
        let run = ask.start();
        let seven = place.notes("step", 7);
        let dir = place.path("job/ckpt/00000000");
        let names = files(&dir);
        let newest = dir.join(names.last().unwrap());
        let older = dir.join(&names[names.len() - 2]);
        damage(&newest, &older);
        process::signal(seven[6][3].parse().unwrap(), Signal::SIGKILL);
        let done = run.finish().ends_with(0);
        assert_eq!(starts(&place), [(1, 0), (2, 4)], "{what}: {done}");
        assert_eq!(done.out(), format!("subtask 0: {}\n", sum(0)), "{what}");
        done.says_in_a_line(&["dcrun: ", "passed over"]);
    }
}

/// Another subtask's, and another job's, newest checkpoint under the own name.
#[test]
fn foreign_checkpoints_are_passed_over() {
    let place = Scratch::new();
    let run = |spool: &str| {
        let ask = place.dcrun("-n 2 --oversubscribe --spool").arg(spool).env("DIES", "1:7:stop");
        ask.arg(linked_fixture("counter")).start()
    };
    let other = run("other");
    let _ = place.notes("step", 14);
    let this = run("this");
    let seven = place.notes("step", 28);
    let newest = |job: &str, subtask: &str| {
        let dir = place.path(format!("{job}/ckpt/{subtask}"));
        dir.join(files(&dir).pop().unwrap())
    };
    fs::copy(newest("this", "00000001"), newest("this", "00000000")).unwrap();
    fs::copy(newest("other", "00000001"), newest("this", "00000001")).unwrap();
    for line in &seven[14..] {
        if line[4] == "7" {
            process::signal(line[3].parse().unwrap(), Signal::SIGKILL);
        }
    }
    let done = this.finish().ends_with(0);
    assert_eq!(done.sorted(), [format!("subtask 0: {}", sum(0)), format!("subtask 1: {}", sum(1))]);
    assert_eq!(starts(&place)[4..], [(2, 4), (2, 4)], "{done}");
    assert_eq!(done.err().matches("passed over").count(), 2, "{done}");
    other.kill();
}

#[test]
fn after_two_failures_from_one_checkpoint_the_one_before() {
    let place = Scratch::new();
    let done = counter(&place, "-n 1", "1:7:9,2:7:9,3:7:9").ends_with(0);
    assert_eq!(starts(&place), [(1, 0), (2, 6), (3, 6), (4, 4)], "{done}");
    assert_eq!(done.out(), format!("subtask 0: {}\n", sum(0)));
    done.says_in_a_line(&["rank 0", "goes on from a checkpoint before step 6"]);
}

/// The last two are kept, whoever wrote them; not more.
#[test]
fn two_checkpoints_are_kept() {
    let place = Scratch::new();
    let ask = place.dcrun("-n 1 --spool job").env("DIES", "1:19:9,2:19:stop").arg(linked_fixture("counter"));
    let run = ask.start();
    let steps = place.notes("step", 20);
    assert_eq!(steps[19][2..5], ["2".to_owned(), steps[19][3].clone(), "19".to_owned()]);
    let kept = files(&place.path("job/ckpt/00000000"));
    assert_eq!(kept, ["a000001-s00000000000000000016.ckpt", "a000001-s00000000000000000018.ckpt"]);
    process::signal(steps[19][3].parse().unwrap(), Signal::SIGKILL);
    run.finish().ends_with(0);
}

/// A long attempt does not fill the disk: its older ones are removed while it runs.
#[test]
fn checkpoints_do_not_pile_up() {
    let place = Scratch::new();
    let ask = place.dcrun("-n 1 --spool job").env("DIES", "1:20:stop").arg(linked_fixture("counter"));
    let run = ask.start();
    let steps = place.notes("step", 20);
    let dir = place.path("job/ckpt/00000000");
    dc_integration::until("older checkpoints to be removed", || (files(&dir).len() <= 3).then_some(()));
    assert_eq!(files(&dir).last().unwrap(), "a000001-s00000000000000000020.ckpt");
    process::signal(steps[19][3].parse().unwrap(), Signal::SIGKILL);
    run.finish().ends_with(0);
}

#[test]
fn half_a_checkpoint_is_none() {
    let place = Scratch::new();
    place.dcrun("-n 1 --spool job --keep").arg(linked_fixture("half")).run().ends_with(0);
    assert_eq!(starts(&place), [(1, 0), (2, 1)]);
    let left = all_below(&place.path("job"));
    let unfinished: Vec<_> = left.iter().filter(|path| path.to_string_lossy().contains(".tmp")).collect();
    assert!(unfinished.is_empty(), "{unfinished:?}");
}

#[test]
fn a_shell_kernel_goes_on_too() {
    let place = Scratch::new();
    let kernel = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/counter.sh");
    let ask = place.dcrun("-n 2 --merge concat:out -- sh").arg(&kernel).env("DIES", "1:4:KILL");
    ask.run().ends_with(0);
    let mut found = starts(&place);
    found.sort_unstable();
    assert_eq!(found, [(1, 0), (1, 0), (2, 4), (2, 4)]);
    let out = fs::read_to_string(place.path("out")).unwrap();
    assert_eq!(out, "subtask 0 counted to 6\nsubtask 1 counted to 6\n");
    let place = Scratch::new();
    place.dcrun("-n 1 -- sh").arg(&kernel).env("DIES", "1:3:x7").run().ends_with(0);
    assert_eq!(starts(&place), [(1, 0), (2, 3)]);
}

#[test]
fn a_final_failure_stops_the_job() {
    let place = Scratch::new();
    place.write("list", "hangs 90\nfails 80\nnever 70\nneither 60\n");
    let script = r#"echo "start $DC_SUBTASK" >>"$NOTES"
        [ $DC_SUBTASK = 0 ] && exec "$HANG"; [ $DC_SUBTASK = 1 ] || exit 0
        while [ "$(grep -c ^start "$NOTES")" -lt 2 ]; do sleep 0.01; done; exit 6"#;
    let ask = place.dcrun("-n 2 --oversubscribe --subtasks list").env("HANG", fixture("hang"));
    ask.script(script).run().ends_with(6);
    place.nothing_runs();
    let mut started: Vec<_> =
        place.noted("start").iter().filter(|line| line.len() == 2).map(|line| line[1].clone()).collect();
    started.sort();
    assert_eq!(started, ["0", "1"], "nothing new starts");
}

#[test]
fn keep_going() {
    let place = Scratch::new();
    let script = r#"[ $DC_SUBTASK != 1 ] || exit 6; echo "end $DC_SUBTASK" >>"$NOTES""#;
    place.dcrun("-n 6 --keep-going").script(script).run().ends_with(6);
    assert_eq!(place.noted("end").len(), 5);
    assert_eq!(place.jobs().len(), 1, "it can be resumed");
}
