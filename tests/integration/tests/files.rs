//! Output in files: their names, when they are truncated and when they are gone on with, and what becomes of a rank whose
//! file cannot be opened or written.

use dc_integration::{Ask, Scratch, fixture, process, until};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs;

fn text(place: &Scratch, name: &str) -> String {
    fs::read_to_string(place.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Dies in its first attempt behind an unfinished line.
const DIES: &str =
    r#"echo "begin $DC_ATTEMPT"; printf "open $DC_ATTEMPT"; [ $DC_ATTEMPT != 1 ] || kill -9 $$"#;

#[test]
fn every_letter() {
    let place = Scratch::new();
    place.write("list", "a 3\nb 2\nc 1\n");
    let ask = place.dcrun("-q --subtasks list -n 1 -J tide -o o.%t.%3T.%s.%j.%J.%x.%n.%N.%%");
    ask.script("echo $DC_SUBTASK $DC_JOB_ID $(hostname -s)").run().ends_with(0);
    for subtask in 0..3 {
        let found: Vec<_> = fs::read_dir(place.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with(&format!("o.0.00{subtask}.")))
            .collect();
        let [name] = &found[..] else { panic!("{found:?}") };
        let line = text(&place, name);
        let words: Vec<_> = line.split_whitespace().collect();
        let [number, job, host] = words[..] else { panic!("{line}") };
        assert_eq!(number, subtask.to_string());
        assert_eq!(*name, format!("o.0.00{subtask}.0.{job}.{job}.0.tide.0.{host}.%"));
    }
    place.dcrun("-q -n 1 -o of.%u echo x").run().ends_with(0);
    let user = place.ask("id").words("-un").run().out();
    assert_eq!(text(&place, &format!("of.{}", user.trim())), "x\n");
}

#[test]
fn a_letter_that_is_none() {
    let place = Scratch::new();
    for option in ["-o", "-e", "-i"] {
        let done = place.dcrun(&format!("-n 1 {option} out.%q touch ran")).run().ends_with(125);
        done.says_in_a_line(&[option, "%q", "%T (subtask)"]);
    }
    place.dcrun("-n 1 -o out% touch ran").run().ends_with(125).says(&["%%"]);
    assert!(!place.path("ran").exists());
    place.nothing_is_left();
}

/// Below the ranks' directory, with the user's umask, and seen by nobody else.
#[test]
fn where_and_how_it_is_made() {
    use std::os::unix::fs::PermissionsExt;
    let place = Scratch::new();
    fs::create_dir(place.path("sub")).unwrap();
    let done = place
        .ask("sh")
        .arg("-c")
        .arg("umask 027; exec dcrun -q -n 2 -D sub -o out.%T sh -c 'echo x; ls -l /proc/self/fd | wc -l'");
    done.run().ends_with(0);
    let mode = fs::metadata(place.path("sub/out.1")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let plain = place.dcrun("-q -n 1").script("echo x; ls -l /proc/self/fd | wc -l").run().out();
    assert_eq!(text(&place, "sub/out.1"), plain, "as many descriptors as ever");
}

#[test]
fn both_streams_in_order() {
    let place = Scratch::new();
    let script = "echo 1; echo 2 >&2; echo 3; echo 4 >&2; printf 5";
    for name in ["own.%T", "shared"] {
        place.dcrun(&format!("-q -n 1 -o {name}")).script(script).run().ends_with(0);
        assert_eq!(text(&place, &name.replace("%T", "0")), "1\n2\n3\n4\n5");
    }
    // Named twice it is one file too.
    place.dcrun("-q -n 1 -o same -e same").script(script).run().ends_with(0);
    assert_eq!(text(&place, "same"), "1\n2\n3\n4\n5");
    let done = place.dcrun("-q -n 1 -o o -e e.%t").script(script).run().ends_with(0);
    assert_eq!((text(&place, "o"), text(&place, "e.0")), ("1\n3\n5".to_owned(), "2\n4\n".to_owned()));
    assert!(done.stdout.is_empty() && done.stderr.is_empty(), "{done}");
    let done = place.dcrun("-q -n 1 -e none").script(script).run().ends_with(0);
    assert_eq!((done.out(), done.err()), ("1\n3\n5".to_owned(), String::new()));
    let done = place.dcrun("-q -n 1 -o none -e e2").script(script).run().ends_with(0);
    assert_eq!((done.out(), text(&place, "e2")), (String::new(), "2\n4\n".to_owned()));
    assert!(!place.path("none").exists());
}

/// A file of a rank's own is its own: no byte goes through dc.
#[test]
fn whose_the_file_is() {
    let place = Scratch::new();
    let link = "readlink /proc/self/fd/1";
    place.dcrun("-q -n 1 -o own.%T").script(link).run().ends_with(0);
    assert_eq!(text(&place, "own.0").trim(), place.path("own.0").canonicalize().unwrap().to_str().unwrap());
    place.dcrun("-q -n 1 -o shared").script(link).run().ends_with(0);
    assert!(text(&place, "shared").starts_with("pipe:"));
    place.dcrun("-q -l -n 12 -o own.%T").script("echo a; printf b").run().ends_with(0);
    assert_eq!(text(&place, "own.3"), " 3: a\n 3: b");
}

#[test]
fn another_attempt_appends() {
    let place = Scratch::new();
    for name in ["own.%T", "shared"] {
        let file = name.replace("%T", "0");
        place.write(&file, "of an earlier job\n");
        place.dcrun(&format!("-q -n 1 -o {name}")).script(DIES).run().ends_with(0);
        let expected = "begin 1\nopen 1\n-- dcrun: subtask 0, attempt 2 --\nbegin 2\nopen 2";
        assert_eq!(text(&place, &file), expected, "{name}");
    }
}

#[test]
fn a_resume_appends() {
    let place = Scratch::new();
    place.write("list", "a 3\nb 2\nc 1\n");
    for name in ["own.%T", "shared"] {
        let names: Vec<_> = (0..3).map(|i| name.replace("%T", &i.to_string())).collect();
        for old in &names {
            place.write(old, "of an earlier job\n");
        }
        let _ = fs::remove_file(place.path("go"));
        let script = r#"echo "$DC_SUBTASK of $DC_ATTEMPT"; echo "start $DC_SUBTASK" >>"$NOTES"
            [ $DC_SUBTASK = 0 ] || until [ -e go ]; do sleep 0.01; done; echo "end $DC_SUBTASK""#;
        let seen = place.noted("start").len();
        let run =
            place.dcrun(&format!("-q --subtasks list -n 1 --spool job -o {name}")).script(script).start();
        let _ = place.notes("start", seen + 2);
        run.kill();
        place.nothing_runs();
        for _ in 0..2 {
            let seen = place.noted("start").len();
            let run = place.dcrun("-q --resume job").start();
            let _ = place.notes("start", seen + 1);
            run.kill();
            place.nothing_runs();
        }
        place.write("go", "");
        place.dcrun("-q --resume job").run().ends_with(0);
        let all: String = names.iter().map(|name| text(&place, name)).collect();
        for subtask in 0..3 {
            assert!(all.contains(&format!("end {subtask}\n")), "{name}: {all}");
        }
        assert!(all.contains("0 of 1\nend 0\n"), "of the first run: {all}");
        // The runs between may have been killed before it was their turn: what was not yet on disk is run again.
        assert!(all.matches("1 of ").count() >= 2, "nothing of the first run is gone: {all}");
        assert!(all.contains("-- dcrun: subtask 1, attempt "), "{all}");
        assert!(!text(&place, &names[0]).contains("earlier"), "truncated at the first opening: {all}");
    }
}

#[test]
fn a_new_starter_appends() {
    let place = Scratch::new();
    for name in ["own.%T", "shared"] {
        let _ = fs::remove_file(place.path("go"));
        let script =
            r#"echo "attempt $DC_ATTEMPT"; echo "start" >>"$NOTES"; until [ -e go ]; do sleep 0.01; done"#;
        let seen = place.noted("start").len();
        let run = place.dcrun(&format!("-n 1 --restarts 0 -o {name}")).script(script).start();
        let _ = place.notes("start", seen + 1);
        process::signal(run.child_called("dc-starter").pid, Signal::SIGKILL);
        let _ = place.notes("start", seen + 2);
        place.write("go", "");
        run.finish().ends_with(0);
        let expected = "attempt 1\n-- dcrun: subtask 0, attempt 2 --\nattempt 2\n";
        assert_eq!(text(&place, &name.replace("%T", "0")), expected);
    }
}

/// A lane's file holds what each of its subtasks wrote.
#[test]
fn a_file_for_each_lane() {
    let place = Scratch::new();
    let list: String = (0..9).map(|i| format!("s{i} 1\n")).collect();
    place.write("list", list);
    place.write("lane.0", "of an earlier job\n");
    let ask = place.dcrun("-q --subtasks list -n 2 --oversubscribe -o lane.%t");
    ask.script("echo $DC_RANK $DC_SUBTASK").run().ends_with(0);
    let mut all = Vec::new();
    for lane in 0..2 {
        for line in text(&place, &format!("lane.{lane}")).lines() {
            let (rank, subtask) = line.split_once(' ').unwrap();
            assert_eq!(rank, lane.to_string());
            all.push(subtask.parse::<u32>().unwrap());
        }
    }
    all.sort_unstable();
    assert_eq!(all, (0..9).collect::<Vec<_>>());
}

/// Six that flood one file: whole lines, each rank's in order, none missing.
#[test]
fn lines_in_a_shared_file_are_whole() {
    let place = Scratch::new();
    let ask = place.dcrun("-q -n 6 --oversubscribe -o all").arg(fixture("flood")).arg("2000");
    ask.run().ends_with(0);
    let mut next = BTreeMap::<u8, u64>::new();
    for line in text(&place, "all").lines() {
        let (number, filler) = line.split_once(' ').unwrap();
        let filler = filler.as_bytes();
        assert!(filler.len() == 988 && filler.iter().all(|byte| *byte == filler[0]), "mixed: {line}");
        let expected = next.entry(filler[0]).or_default();
        assert_eq!(number.parse::<u64>().unwrap(), *expected, "in order");
        *expected += 1;
    }
    assert_eq!(next.values().copied().collect::<Vec<_>>(), [2000; 6]);
}

/// A file for each of many, with few descriptors to be had.
#[test]
fn many_files() {
    let place = Scratch::new();
    let command = "ulimit -n 100; exec dcrun -q -n 300 -o out.%3T -e err.%3T sh -c 'echo $DC_SUBTASK'";
    place.ask("sh").arg("-c").arg(command).run().ends_with(0);
    for subtask in 0..300 {
        assert_eq!(text(&place, &format!("out.{subtask:03}")), format!("{subtask}\n"));
    }
}

#[test]
fn what_cannot_be_opened() {
    let place = Scratch::new();
    fs::create_dir(place.path("dir")).unwrap();
    let _ = place.ask("mkfifo").arg("fifo").run().ends_with(0);
    for (name, why) in [
        ("dir", "Is a directory"),
        ("no/such", "No such file"),
        ("list/x", "Not a directory"),
        // Nobody reads it: no reason to wait for ever.
        ("fifo", "No such device or address"),
    ] {
        place.write("list", "a 1\n");
        let done = place.dcrun(&format!("-n 1 -o {name} touch ran")).run().ends_with(125);
        let done = done.says_in_a_line(&["cannot open", name, why]);
        done.says_in_a_line(&["rank 0 (subtask 0", "not started again"]);
    }
    let done = place.dcrun("-n 1 -i fifo cat").run().ends_with(125);
    done.says_in_a_line(&["cannot open fifo"]);
    assert!(!place.path("ran").exists());
    place.nothing_is_left();
}

/// Nothing that a rank wrote is lost without a word, and nothing hangs.
#[test]
fn no_room_in_a_shared_file() {
    let place = Scratch::new();
    let script = "echo x; sleep 600";
    let done = place.dcrun("-n 2 -o /dev/full").script(script).run().ends_with(125);
    let done = done.says_in_a_line(&["cannot write /dev/full", "No space left"]);
    done.says_in_a_line(&["cannot write its output", "not started again"]);
    // The others go on where that was asked for.
    let script = "[ $DC_SUBTASK != 1 ] || exit 0; yes";
    let done = place.dcrun("-n 2 --keep-going -o /dev/full").script(script).run().ends_with(125);
    done.says_in_a_line(&["rank 0", "cannot write its output"]);
    // A limit on the size of files, that only the starter meets.
    let limited = |rest: &str| {
        let command = format!("ulimit -f 200; exec dcrun -n 1 -o big {rest}");
        place.ask("sh").arg("-c").arg(command)
    };
    let done = limited("sh -c 'yes | head -c 3000000'").run().ends_with(125);
    done.says_in_a_line(&["cannot write big", "File too large"]);
    place.nothing_runs();
}

fn with_disk(place: &Scratch, script: &str) -> Option<Ask> {
    fs::create_dir_all(place.path("disk")).unwrap();
    let probe = place.ask("unshare").words("-rm true").run();
    if probe.code() != 0 {
        eprintln!("not tested: no user namespaces here: {}", probe.err().trim());
        return None;
    }
    let mount = format!("mount -t tmpfs -o size=64k none disk || exit 99\n{script}");
    Some(place.ask("unshare").words("-rm sh -c").arg(mount))
}

/// Its own file, and a rank that does not mind: it fails all the same. With room the job goes on.
#[test]
fn no_room_in_a_file_of_its_own() {
    let place = Scratch::new();
    let script = r#"dcrun -n 1 --spool job -o disk/out.%T sh -c '
            [ $DC_ATTEMPT = 1 ] && head -c 300000 /dev/zero 2>/dev/null; echo "did $DC_ATTEMPT" >>"$NOTES"; exit 0'
        echo "first $?"; : >disk/out.0; dcrun --resume job; echo "second $?"; cat disk/out.0"#;
    let Some(ask) = with_disk(&place, script) else { return };
    let done = ask.run().ends_with(0);
    assert!(done.out().starts_with("first 125\nsecond 0\n-- dcrun: subtask 0, attempt 2 --\n"), "{done}");
    assert_eq!(place.noted("did").len(), 2, "{done}");
    let done = done.says_in_a_line(&["cannot write disk/out.0", "No space left"]);
    done.says_in_a_line(&["rank 0", "cannot write its output"]);
    // One that does mind fails with its own status, and the reason is told all the same.
    let script = "dcrun -n 1 -o disk/out head -c 300000 /dev/zero; rm -f disk/*; \
        dcrun -n 1 -o disk/out.%T sh -c 'head -c 300000 /dev/zero || exit 7'; echo $?";
    let Some(ask) = with_disk(&place, script) else { return };
    let done = ask.run().ends_with(0).says(&["cannot write disk/out:", "cannot write disk/out.0:"]);
    assert_eq!(done.out(), "7\n", "{done}");
}

/// A file that takes nothing any more, as on a disk that hangs: the job can be stopped all the same.
#[test]
fn a_file_that_hangs() {
    let place = Scratch::new();
    let _ = place.ask("mkfifo").arg("fifo").run().ends_with(0);
    let reader = place.ask("sh").arg("-c").arg("exec <fifo; echo opened; exec sleep 600").start();
    let ask = place.dcrun("-n 2 --oversubscribe -o fifo").script("echo start >>\"$NOTES\"; yes");
    let (sender, ready) = std::sync::mpsc::channel();
    // Opened for writing while the reader waits for a writer.
    let path = place.path("fifo");
    std::thread::spawn(move || sender.send(fs::File::options().write(true).open(path)));
    reader.prints("opened");
    let _writer = ready.recv().unwrap();
    let run = ask.start();
    let _ = place.notes("start", 2);
    let starter = run.child_called("dc-starter");
    let all_wait = || process::children(starter.pid).iter().filter(|rank| rank.state == 'S').count() == 2;
    until("both ranks to wait for the reader", || all_wait().then_some(()));
    run.signal(Signal::SIGTERM);
    run.finish().ends_with(143).says(&["last words of subtask 0 are lost"]);
    reader.kill();
    place.nothing_runs();
}

/// What was written when all is killed stands in the file.
#[test]
fn the_last_words_of_the_killed() {
    let place = Scratch::new();
    let run = place.dcrun("-n 1 -o shared").script("echo last; echo start >>$NOTES; sleep 600").start();
    let _ = place.notes("start", 1);
    run.kill();
    place.nothing_runs();
    until("the last words", || (text(&place, "shared") == "last\n").then_some(()));
}
