//! `--result stdout`: what any program prints becomes the merged file, each subtask's part exactly once, whatever dies.

use dc_integration::{Ask, Scratch, fixture, process};
use nix::sys::signal::Signal;
use std::fs;

const SUBTASKS: usize = 6;

fn list(place: &Scratch) {
    let list: String = (0..SUBTASKS).map(|i| format!("s{i} {}\n", 100 - i)).collect();
    place.write("list", list);
}

/// Writes in pieces, and waits in the midst until `go.<subtask>.<attempt>` or `go` is there.
const PIECES: &str = r#"echo "begin $DC_SUBTASK"; echo "start $DC_SUBTASK $$" >>"$NOTES"
    until [ -e go ]; do sleep 0.01; done; seq 1000; printf "end $DC_SUBTASK""#;

fn job(place: &Scratch) -> Ask {
    list(place);
    let options = "-n 2 --oversubscribe --subtasks list --spool job --result stdout --merge concat:out";
    place.dcrun(options).script(PIECES)
}

fn expected() -> String {
    let numbers: String = (1..=1000).map(|i| format!("{i}\n")).collect();
    (0..SUBTASKS).map(|i| format!("begin {i}\n{numbers}end {i}")).collect()
}

fn merged(place: &Scratch) -> String {
    fs::read_to_string(place.path("out")).unwrap()
}

#[test]
fn any_program_in_order() {
    let place = Scratch::new();
    place.write("go", "");
    let done = job(&place).run().ends_with(0);
    assert_eq!(merged(&place), expected());
    assert!(done.stdout.is_empty(), "shown nowhere else: {done}");
    // Byte for byte, and empty ones.
    let script = r#"[ $DC_SUBTASK = 1 ] || printf '\0\377\n%s' $DC_SUBTASK; echo seen >&2"#;
    let done = place.dcrun("-q -n 3 --result stdout --merge concat:bytes").script(script).run().ends_with(0);
    assert_eq!(fs::read(place.path("bytes")).unwrap(), b"\0\xff\n0\0\xff\n2");
    assert_eq!(done.err(), "seen\nseen\nseen\n");
}

#[test]
fn what_a_failed_attempt_wrote_is_dropped() {
    let place = Scratch::new();
    let script = r#"echo "of attempt $DC_ATTEMPT"; [ $DC_ATTEMPT != 1 ] || kill -9 $$"#;
    place.dcrun("-q -n 2 --result stdout --merge concat:out").script(script).run().ends_with(0);
    assert_eq!(merged(&place), "of attempt 2\nof attempt 2\n");
    let done = place.dcrun("-n 1 --result stdout --spool job").script("echo x; exit 3").run().ends_with(3);
    let left: Vec<_> = fs::read_dir(place.path("job/result")).unwrap().collect();
    assert!(left.is_empty(), "{left:?} {done}");
}

#[test]
fn a_rank_is_killed() {
    let place = Scratch::new();
    let run = job(&place).start();
    for line in place.notes("start", 2) {
        process::signal(line[2].parse().unwrap(), Signal::SIGKILL);
    }
    let _ = place.notes("start", 4);
    place.write("go", "");
    run.finish().ends_with(0);
    assert_eq!(merged(&place), expected());
}

#[test]
fn the_starter_is_killed() {
    let place = Scratch::new();
    let run = job(&place).start();
    let _ = place.notes("start", 2);
    process::signal(run.child_called("dc-starter").pid, Signal::SIGKILL);
    let _ = place.notes("start", 4);
    place.write("go", "");
    run.finish().ends_with(0);
    assert_eq!(merged(&place), expected());
}

#[test]
fn dcrun_is_killed_again_and_again() {
    let place = Scratch::new();
    job(&place).start().kill_when(|| drop(place.notes("start", 2)));
    place.nothing_runs();
    for more in 2..5 {
        place.dcrun("--resume job").start().kill_when(|| drop(place.notes("start", 2 * more)));
        place.nothing_runs();
    }
    place.write("go", "");
    // In the midst of those that end.
    place.dcrun("--resume job").start().kill_when(|| drop(place.notes("start", 11)));
    place.nothing_runs();
    if place.path("job/job").exists() {
        place.dcrun("--resume job").run().ends_with(0);
    }
    assert_eq!(merged(&place), expected());
}

#[test]
fn a_kernel_with_a_result_of_its_own() {
    let place = Scratch::new();
    let script = "echo x; echo y | dcspool result";
    let done = place.dcrun("-n 1 --result stdout").script(script).run().ends_with(125);
    let done = done.says_in_a_line(&["subtask 0 has handed over a result", "--result stdout"]);
    done.says_in_a_line(&["rank 0", "not started again"]);
}

#[test]
fn what_does_not_go_together() {
    let place = Scratch::new();
    place.dcrun("-n 1 --result stdout -o out true").run().ends_with(125).says(&["--result stdout and -o"]);
    place.write("mask", "P1\n2 1\n1 1\n");
    let done = place.dcrun("--result stdout --domain mask --merge grid:g.npy true").run().ends_with(125);
    done.says(&["--merge concat"]);
    place.dcrun("-n 1 --result stderr true").run().ends_with(125).says(&["stdout"]);
    place.nothing_is_left();
    // Standard error may go to a file beside it.
    let ask = place.dcrun("-q -n 1 --result stdout --merge concat:out -e err");
    ask.script("echo x; echo y >&2").run().ends_with(0);
    assert_eq!(
        (merged(&place), fs::read_to_string(place.path("err")).unwrap()),
        ("x\n".into(), "y\n".into())
    );
}

/// A result of 200 MB goes to the disk as it comes.
#[test]
fn a_large_one() {
    let place = Scratch::new();
    let script = "head -c 200000000 /dev/zero; echo start >>\"$NOTES\"; until [ -e go ]; do sleep 0.01; done";
    let run = place.dcrun("-q -n 1 --result stdout --merge concat:out").script(script).start();
    let _ = place.notes("start", 1);
    let peak = process::peak_kib(run.child_called("dc-starter").pid).unwrap();
    place.write("go", "");
    run.finish().ends_with(0);
    assert_eq!(fs::metadata(place.path("out")).unwrap().len(), 200_000_000);
    assert!(peak < 64 << 10, "{peak} KiB");
}

/// Something that detached itself and holds the pipe does not hold up the result.
#[test]
fn a_pipe_held_open() {
    let place = Scratch::new();
    let ask = place.dcrun("-n 2 --result stdout --merge concat:out").arg(fixture("detach")).words("end hold");
    let done = ask.run().ends_with(0);
    assert_eq!(place.noted("detached").len(), 2, "{done}");
    place.nothing_runs();
}

/// No room for it: it fails with a name, and nothing half is left.
#[test]
fn no_room() {
    let place = Scratch::new();
    fs::create_dir(place.path("disk")).unwrap();
    if place.ask("unshare").words("-rm true").run().code() != 0 {
        eprintln!("not tested: no user namespaces here");
        return;
    }
    let script = r#"mount -t tmpfs -o size=2m none disk || exit 99
        dcrun -n 1 --spool disk/job --result stdout head -c 9000000 /dev/zero; echo "status $?"
        find disk -name '.tmp*'"#;
    let done = place.ask("unshare").words("-rm sh -c").arg(script).run().ends_with(0);
    assert_eq!(done.out(), "status 125\n", "{done}");
    done.says(&["No space left"]);
}
