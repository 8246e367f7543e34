//! Bad input: each with its own clear message, status 125, and nothing left behind.

use dc_integration::Scratch;
use dc_integration::run::Finished;
use dc_integration::shown::allowed;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Says one line of dcrun's with all parts, ends with 125, ran nothing, left nothing.
#[track_caller]
fn refused(place: &Scratch, line: &str, parts: &[&str]) -> Finished {
    let done = place.dcrun(line).script(r#"echo ran >>"$NOTES""#).run().ends_with(125);
    let done = done.says_in_a_line(parts);
    let lines = done.err();
    assert!(lines.lines().all(|line| line.starts_with("dcrun: ")), "{done}");
    assert!(lines.lines().count() <= 6, "a clear message is short: {done}");
    assert!(done.stdout.is_empty(), "{done}");
    assert!(place.log().is_empty(), "something ran: {done}");
    place.nothing_is_left();
    assert_eq!(fs::read_dir(place.state()).unwrap().count(), 0, "left in the state directory");
    place.nothing_runs();
    done
}

#[test]
fn masks() {
    let place = Scratch::new();
    let huge = format!("P4\n{} {}\n", u32::MAX, u32::MAX);
    let cases: &[(&str, &[u8], &[&str])] = &[
        ("empty", b"", &["empty"]),
        ("text", b"hello", &["PBM"]),
        ("colour", b"P6\n1 1\n255\nabc", &["P6"]),
        ("cut", b"P4\n100 100\nabc", &["truncated"]),
        ("cut-header", b"P1\n4", &["header"]),
        ("odd-header", b"P1\n4 x\n", &["header"]),
        ("no-cells", b"P1\n0 5\n", &["0"]),
        ("all-land", b"P1\n2 2\n0 0 0 0\n", &["empty"]),
        ("all-land-field", b"P2\n2 1\n9\n0 0\n", &["empty"]),
        ("trailing", b"P4\n8 1\n\xff\xff", &["left after"]),
        ("bad-cell", b"P1\n2 2\n0 1 7 0\n", &["7"]),
        ("negative", b"P2\n2 1\n9\n-4 1\n", &["-"]),
        ("above", b"P2\n2 1\n9\n10 1\n", &["maxval"]),
        ("maxval", b"P2\n2 1\n70000\n1 1\n", &["maxval"]),
        ("huge", huge.as_bytes(), &["large"]),
    ];
    let mut said = BTreeMap::new();
    for (name, bytes, parts) in cases {
        let file = format!("{name}.pbm");
        place.write(&file, bytes);
        let parts = [&["dcrun: ", &file], *parts].concat();
        let done = refused(&place, &format!("-n 2 --domain {file}"), &parts);
        let text = done.err().replace(&file, "");
        if let Some(other) = said.insert(text.clone(), name) {
            assert!(name.starts_with("all-land"), "{name} and {other} are told alike: {text}");
        }
        // A plan refuses it too.
        place.dcrun(&format!("-n 2 --plan --domain {file}")).run().ends_with(125);
    }
}

#[test]
fn masks_that_cannot_be_read() {
    let place = Scratch::new();
    refused(&place, "--domain nowhere.pbm", &["nowhere.pbm", "No such file"]);
    fs::create_dir(place.path("dir")).unwrap();
    refused(&place, "--domain dir", &["dir", "irectory"]);
    let closed = place.write("closed.pbm", "P1\n1 1\n1\n");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    if nix::unistd::geteuid().is_root() {
        eprintln!("not tested: root may read a file of mode 0");
    } else {
        refused(&place, "--domain closed.pbm", &["closed.pbm", "ermission"]);
    }
    refused(&place, "--subtasks nowhere", &["nowhere", "No such file"]);
    refused(&place, "--subtasks dir", &["dir", "irectory"]);
}

#[test]
fn lists() {
    let place = Scratch::new();
    let cases: &[(&str, &[u8], &[&str])] = &[
        ("empty", b"", &[]),
        ("comments", b"# nothing\n\n", &[]),
        ("no-cells", b"good 1\nlonely\n", &["line 2"]),
        ("negative", b"a -5\n", &["line 1", "-5"]),
        ("fraction", b"a 1.5\n", &["line 1", "1.5"]),
        ("words", b"a many\n", &["line 1", "many"]),
        ("overflow", b"a 1\nb 99999999999999999999999\n", &["line 2"]),
        ("sum", b"a 18446744073709551615\nb 18446744073709551615\n", &[]),
        ("no-cores", b"a 1 0\n", &["line 1"]),
        ("quote", b"a 1 1 \"open\n", &["line 1"]),
        ("nul", b"a 1 1 x\0y\n", &["line 1"]),
    ];
    for (name, bytes, parts) in cases {
        place.write(name, bytes);
        refused(&place, &format!("--subtasks {name}"), &[&["dcrun: ", name], *parts].concat());
    }
    place.write("nothing-to-do", "a 0\nb 0\n");
    refused(&place, "--subtasks nothing-to-do", &["nothing-to-do", "nothing to run"]);
}

#[test]
fn numbers() {
    let place = Scratch::new();
    refused(&place, "-n 0", &["-n 0"]);
    for bad in ["-1", "x", "1.5", "99999999999999999999", "4294967296", "", " 4", "0x10"] {
        let done = place.dcrun("-n").arg(bad).words("true").run().ends_with(125);
        assert!(done.err().starts_with("dcrun: "), "{done}");
    }
    refused(&place, "-c 0 -n 1", &["-c 0"]);
    refused(&place, "-n 1 --restarts -1", &["-1"]);
    refused(&place, "-n 1 --restarts many", &["many"]);
    place.write("mask.pbm", "P1\n2 2\n1 1 1 1\n");
    refused(&place, "--domain mask.pbm --split 0", &["--split 0"]);
    refused(&place, "--domain mask.pbm --split many", &["many"]);
    place.nothing_is_left();
}

#[test]
fn more_cores_than_there_are() {
    let place = Scratch::new();
    let cores = allowed().len();
    let more = (cores + 1).to_string();
    refused(&place, &format!("-n 1 -c {more}"), &[&more, &cores.to_string(), "core"]);
    place.write("list", format!("a 5\nb 5 {more}\n"));
    refused(&place, "--subtasks list", &[&more, "core"]);
}

#[test]
fn options_that_do_not_go_together() {
    let place = Scratch::new();
    place.write("mask.pbm", "P1\n2 2\n1 1 1 1\n");
    place.write("list", "a 1\n");
    refused(&place, "--domain mask.pbm --subtasks list", &["--domain", "--subtasks"]);
    refused(&place, "-n 2 --split 2", &["--domain"]);
    refused(&place, "-n 2 --merge grid:out.npy", &["--domain"]);
    refused(&place, "-n 2 --merge heap:out", &["heap:out"]);
    refused(&place, "-n 2 --merge concat:", &["concat:"]);
    refused(&place, "-n 2 --fill 3", &["--fill"]);
    refused(&place, "-n 2 --force", &["--resume"]);
    refused(&place, "-n 2 --bind board", &["board"]);
    refused(&place, "-n 2 -t soon", &["soon"]);
    refused(&place, "-n 2 -J a/b", &["a/b"]);
    refused(&place, "-n 2 -D nowhere", &["nowhere"]);
    refused(&place, "-n 2 --json=nowhere/events", &["nowhere/events"]);
}

#[test]
fn more_blocks_than_cells() {
    let place = Scratch::new();
    place.write("mask.pbm", "P1\n2 2\n1 1 1 0\n");
    // Four lanes, three cells: three blocks at most, and each cell once.
    let script = r#"echo "ran $DC_BLOCK" >>"$NOTES""#;
    place.dcrun("-n 4 --domain mask.pbm").script(script).run().ends_with(0);
    assert!((1..=3).contains(&place.noted("ran").len()), "{:?}", place.log());
}

#[test]
fn places_for_the_spool() {
    let place = Scratch::new();
    // A directory of somebody's files is refused and left as it is.
    fs::create_dir(place.path("mine")).unwrap();
    place.write("mine/thesis", "years of work");
    refused(&place, "-n 1 --spool mine", &["mine"]);
    assert_eq!(fs::read_to_string(place.path("mine/thesis")).unwrap(), "years of work");
    assert_eq!(fs::read_dir(place.path("mine")).unwrap().count(), 1);
    place.write("file", "x");
    refused(&place, "-n 1 --spool file", &["file"]);
    refused(&place, "-n 1 --spool nowhere/deep/job", &["nowhere/deep"]);
    assert!(!place.path("nowhere").exists());
    refused(&place, "-n 1 --spool /proc/job", &["/proc/job"]);
}

/// The directory of a job that has ended, kept: not to be overwritten by another.
#[test]
fn another_jobs_spool() {
    let place = Scratch::new();
    place.dcrun("-n 1 --spool job --keep true").run().ends_with(0);
    let before = fs::read(place.path("job/job")).unwrap();
    let done = place.dcrun("-n 1 --spool job").script(r#"echo ran >>"$NOTES""#).run().ends_with(125);
    done.says_in_a_line(&["dcrun: ", "job"]);
    assert_eq!(fs::read(place.path("job/job")).unwrap(), before);
    assert!(place.log().is_empty());
}

#[test]
fn a_home_that_is_none() {
    let place = Scratch::new();
    let ask = place.dcrun("-n 1 true").env("XDG_STATE_HOME", "/proc/nowhere");
    ask.run().ends_with(125).says_in_a_line(&["dcrun: ", "/proc/nowhere"]);
    let mut ask = place.dcrun("-n 1 true");
    ask.command.env_remove("XDG_STATE_HOME").env_remove("HOME");
    let done = ask.run();
    assert!([0, 125].contains(&done.code()), "{done}");
}

#[test]
fn bad_variables() {
    let place = Scratch::new();
    for (name, value) in [("DC_GRACE", "soon"), ("DC_GRACE", "-1"), ("DC_GRACE", "inf")] {
        let done = place.dcrun("-n 1 true").env(name, value).run().ends_with(125);
        done.says_in_a_line(&["dcrun: ", name]);
    }
    place.nothing_is_left();
}

/// An environment that is larger than exec takes is told, not a hang or a crash.
#[test]
fn an_argument_that_exec_does_not_take() {
    let place = Scratch::new();
    place.write("list", format!("a 1 1 {}\n", "x".repeat(200_000)));
    let done = place.dcrun("--subtasks list true").run();
    assert!([125, 126].contains(&done.code()), "{done}");
    done.says_in_a_line(&["dcrun: "]);
    place.nothing_runs();
}
