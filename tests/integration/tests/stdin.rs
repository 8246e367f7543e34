//! Standard input: whose it is, given again from the beginning to another attempt, and left alone where nobody asked.

use dc_integration::{Scratch, Terminal, process, until};
use nix::sys::signal::Signal;
use std::fs;
use std::io::Write;
use std::process::Stdio;

#[test]
fn a_pipe_is_the_first_ones() {
    let place = Scratch::new();
    let done = place.dcrun("-q -l -n 3 cat").run_with(b"one\ntwo").ends_with(0);
    assert_eq!(done.out(), "0: one\n0: two");
    let done = place.dcrun("-q -l -n 3 -i 2 cat").run_with(b"one\ntwo\n").ends_with(0);
    assert_eq!(done.out(), "2: one\n2: two\n");
    let done = place.dcrun("-q -l -n 3 -i none cat").run_with(b"one\ntwo\n").ends_with(0);
    assert_eq!(done.out(), "");
    let done = place.dcrun("-q -l -n 3 -i all cat").run_with(b"one\n").ends_with(0);
    assert_eq!(done.sorted(), ["0: one", "1: one", "2: one"]);
    // More subtasks than lanes: it is the subtask's, whichever lane takes it.
    place.write("list", "a 3\nb 2\nc 1\n");
    let ask = place.dcrun("-q --subtasks list -n 1 -i 2");
    let done = ask.script("sed s/^/$DC_SUBTASK:/").run_with(b"x\n").ends_with(0);
    assert_eq!(done.out(), "2:x\n");
    place.dcrun("-n 2 -i 2 true").run().ends_with(125).says(&["-i 2", "2 subtasks"]);
    place.nothing_is_left();
}

/// From where dcrun found it; and what is behind it is still there for the next.
#[test]
fn a_redirected_file() {
    let place = Scratch::new();
    place.write("in", "one\ntwo\nthree\n");
    let script = "{ read first; dcrun -q -l -n 2 -i all cat; read next; echo \"$first $next\"; } <in";
    let done = place.ask("sh").arg("-c").arg(script).run().ends_with(0);
    assert_eq!(done.sorted(), ["0: three", "0: two", "1: three", "1: two", "one two"]);
    let done = place.ask("sh").arg("-c").arg("dcrun -q -n 2 -l wc -c <in").run().ends_with(0);
    assert_eq!(done.sorted(), ["0: 14", "1: 0"]);
}

#[test]
fn files() {
    let place = Scratch::new();
    for i in 0..3 {
        place.write(&format!("in.{i}"), format!("of {i}\n"));
    }
    place.write("both", "x\n");
    let done = place.dcrun("-q -l -n 3 -i in.%T cat").run().ends_with(0);
    assert_eq!(done.sorted(), ["0: of 0", "1: of 1", "2: of 2"]);
    let done = place.dcrun("-q -l -n 2 -i both cat").run_with(b"not this\n").ends_with(0);
    assert_eq!(done.sorted(), ["0: x", "1: x"]);
    // One that is not there: before anything runs where that can be told.
    let done = place.dcrun("-n 2 -i nothing touch ran").run().ends_with(125);
    done.says_in_a_line(&["nothing", "No such file"]);
    place.nothing_is_left();
    let done = place.dcrun("-n 4 --keep-going -i in.%T touch ran.%").run().ends_with(125);
    done.says_in_a_line(&["cannot open in.3", "No such file"]);
    place.dcrun("-n 1 -i . cat").run().ends_with(125).says(&["directory"]);
}

/// Takes a part, and dies in its first attempt.
const DIES: &str =
    r#"[ $DC_ATTEMPT != 1 ] || { head -c 100 >/dev/null; kill -9 $$; }; sum -s; wc -c </dev/null"#;

#[test]
fn another_attempt_reads_from_the_beginning() {
    let place = Scratch::new();
    let input: Vec<u8> = (0..300_000_u32).flat_map(|i| format!("{i}\n").into_bytes()).collect();
    place.write("in", &input);
    let sum = place.ask("sh").arg("-c").arg("sum -s <in").run().out();
    let wanted = |done: dc_integration::Finished| {
        let done = done.ends_with(0);
        assert!(done.out().starts_with(sum.trim()), "{sum} {done}");
    };
    wanted(place.dcrun("-n 1").script(DIES).run_with(&input));
    wanted(place.dcrun("-n 1 -i in").script(DIES).run());
    let quoted = DIES.replace('\'', "'\\''");
    wanted(place.ask("sh").arg("-c").arg(format!("dcrun -n 1 sh -c '{quoted}' <in")).run());
}

/// The starter dies: a new one is sent all of it.
#[test]
fn a_new_starter_gets_it_from_the_beginning() {
    let place = Scratch::new();
    let script = r#"if [ $DC_ATTEMPT = 1 ]; then read x; echo "start" >>"$NOTES"; sleep 600; else cat; fi"#;
    let mut ask = place.dcrun("-n 1 --restarts 0").script(script);
    let (reader, mut writer) = std::io::pipe().unwrap();
    ask.command.stdin(Stdio::from(reader));
    let run = ask.start();
    writer.write_all(b"one\ntwo\n").unwrap();
    let _ = place.notes("start", 1);
    process::signal(run.child_called("dc-starter").pid, Signal::SIGKILL);
    run.prints("two");
    writer.write_all(b"three\n").unwrap();
    run.prints("three");
    drop(writer);
    assert_eq!(run.finish().ends_with(0).out(), "one\ntwo\nthree\n");
}

/// More than is kept: the rank is not started again, and is told why. What fits is given again.
#[test]
fn beyond_the_cap() {
    let place = Scratch::new();
    let script = r#"echo "start $DC_ATTEMPT" >>"$NOTES"; head -c 500000 >/dev/null; [ $DC_ATTEMPT != 1 ] || kill -9 $$"#;
    let input = vec![b'x'; 1_000_000];
    let done =
        place.dcrun("-n 1").env("DC_STDIN_KEEP", "100K").script(script).run_with(&input).ends_with(125);
    let done = done.says_in_a_line(&["standard input of subtask 0", "102400 bytes", "DC_STDIN_KEEP"]);
    done.says_in_a_line(&["rank 0 (subtask 0, attempt 2)", "not started again"]);
    assert_eq!(place.noted("start").len(), 1, "not started again");
    place.dcrun("-n 1").env("DC_STDIN_KEEP", "2M").script(script).run_with(&input).ends_with(0);
    // One that does not fail has no need of it.
    let done = place.dcrun("-n 1").env("DC_STDIN_KEEP", "0").words("wc -c").run_with(&input).ends_with(0);
    assert_eq!(done.out().trim(), "1000000");
    let done = place.dcrun("-n 1 true").env("DC_STDIN_KEEP", "much").run().ends_with(125);
    done.says_in_a_line(&["DC_STDIN_KEEP=much"]);
}

/// One that reads nothing holds up nobody, and one that closes it is no error.
#[test]
fn who_does_not_read() {
    let place = Scratch::new();
    let script = r#"case $DC_SUBTASK in
        0) until [ -e done ]; do sleep 0.01; done; wc -c;;
        1) exec <&-; until [ -e done ]; do sleep 0.01; done;;
        2) wc -c; touch done;; esac"#;
    let ask = place.dcrun("-q -l -n 3 --oversubscribe -i all").script(script);
    let done = ask.run_with(&vec![b'x'; 5_000_000]).ends_with(0);
    assert_eq!(done.sorted(), ["0: 5000000", "2: 5000000"], "{done}");
    // An endless one.
    let done = place.ask("sh").arg("-c").arg("yes | dcrun -q -n 1 head -n 1").run().ends_with(0);
    assert_eq!(done.out(), "y\n");
    place.nothing_runs();
}

/// Memory is bounded by the cap, however long the input is.
#[test]
fn a_long_input() {
    let place = Scratch::new();
    let command = "head -c 400000000 /dev/zero | dcrun -q -n 1 sh -c 'wc -c; echo start >>\"$NOTES\"; until [ -e go ]; do sleep 0.01; done'";
    let run = place.ask("sh").arg("-c").arg(command).env("DC_STDIN_KEEP", "4M").start();
    run.prints("400000000");
    let dcrun = process::children(run.pid()).into_iter().find(|child| child.name == "dcrun").unwrap();
    let peak = process::peak_kib(dcrun.pid).unwrap();
    place.write("go", "");
    run.finish().ends_with(0);
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn a_resume_with_and_without_a_pipe() {
    let place = Scratch::new();
    let script = r#"[ $DC_ATTEMPT != 1 ] || { read x; echo start >>"$NOTES"; sleep 600; }; cat"#;
    let begun = || {
        let seen = place.noted("start").len();
        let mut ask = place.dcrun("-n 1 --spool job").script(script);
        let (reader, mut writer) = std::io::pipe().unwrap();
        ask.command.stdin(Stdio::from(reader));
        let run = ask.start();
        writer.write_all(b"old\n").unwrap();
        let _ = place.notes("start", seen + 1);
        run.kill();
        place.nothing_runs();
    };
    begun();
    let done = place.dcrun("--resume job").run_with(b"new\n").ends_with(0);
    assert_eq!(done.out(), "new\n");
    begun();
    let done =
        place.dcrun("--resume job").run().ends_with(0).says(&["standard input was a pipe, which is gone"]);
    assert_eq!(done.out(), "");
    // A file is found again.
    place.write("in", "skipped\nof the file\n");
    let seen = place.noted("start").len();
    let command = format!("{{ read x; exec dcrun -n 1 --spool job sh -c '{script}'; }} <in");
    let run = place.ask("sh").arg("-c").arg(command).start();
    let _ = place.notes("start", seen + 1);
    run.kill();
    place.nothing_runs();
    assert_eq!(place.dcrun("--resume job").run().ends_with(0).out(), "of the file\n");
    assert!(!place.path("job").exists());
}

/// A prompt without the end of a line is seen at once.
#[test]
fn unbuffered() {
    let place = Scratch::new();
    let script = "printf 'name? '; read name; echo \"hello $name\"";
    for label in ["", "-l"] {
        let mut ask = place.dcrun(&format!("-u {label} -n 1 -i 0")).script(script);
        let (reader, mut writer) = std::io::pipe().unwrap();
        ask.command.stdin(Stdio::from(reader));
        let run = ask.start();
        let asked = run.stdout.until(|bytes| bytes.ends_with(b"name? ").then_some(()));
        assert!(asked.is_some(), "{}", run.said());
        writer.write_all(b"ada\n").unwrap();
        let done = run.finish().ends_with(0);
        let label = if label.is_empty() { "" } else { "0: " };
        assert_eq!(done.out(), format!("{label}name? hello ada\n"));
    }
    // Into a shared file as well.
    let run =
        place.dcrun("-u -n 1 -o shared").script("printf part; until [ -e go ]; do sleep 0.01; done").start();
    until("a part of a line", || (fs::read(place.path("shared")).ok()? == b"part").then_some(()));
    place.write("go", "");
    run.finish().ends_with(0);
}

/// On a terminal only by name; the end of its input is passed on.
#[test]
fn a_terminal_by_name() {
    let place = Scratch::new();
    let mut terminal =
        Terminal::start(&place.dcrun("-u -n 2 -i 1").script("echo \"start\" >>\"$NOTES\"; sed -u s/^/got:/"));
    let _ = place.notes("start", 2);
    terminal.types("hello\n");
    terminal.shows("got:hello");
    terminal.types("\x04");
    assert_eq!(terminal.status(), 0);
}

/// What is typed while a job runs is the shell's.
#[test]
fn typed_ahead() {
    let place = Scratch::new();
    let mut terminal = Terminal::start(&place.ask("bash").words("--norc --noprofile -i"));
    terminal.types("dcrun -n 2 sh -c 'readlink /proc/self/fd/0; cat; echo start >>$NOTES; until [ -e go ]; do sleep 0.01; done'\n");
    let _ = place.notes("start", 2);
    terminal.shows("/dev/null");
    terminal.types("echo typed-$((6*7))\n");
    place.write("go", "");
    terminal.shows("typed-42");
    terminal.types("exit\n");
    assert_eq!(terminal.status(), 0);
}

/// In the background it is neither stopped nor does it take what is typed; in the foreground it reads.
#[test]
fn a_terminal_in_the_background() {
    let place = Scratch::new();
    let mut terminal = Terminal::start(&place.ask("bash").words("--norc --noprofile -i"));
    terminal.types("dcrun -q -u -n 1 -i 0 sh -c 'echo start >>$NOTES; sed -u s/^/got:/' &\n");
    let _ = place.notes("start", 1);
    terminal.types("echo to-the-shell-$((6*7))\n");
    terminal.shows("to-the-shell-42");
    let dcrun = process::children(terminal.pid()).into_iter().find(|p| p.name == "dcrun").unwrap();
    // Long enough for a read that would stop it.
    place.ask("sleep").words("0.7").run().ends_with(0);
    let now = process::Process::of(dcrun.pid);
    let goes_on = now.as_ref().is_some_and(|now| now.state != 'T');
    assert!(goes_on, "it is not stopped: {now:?}\n{}", terminal.screen.text());
    assert!(!terminal.screen.text().contains("got:e"), "{}", terminal.screen.text());
    terminal.types("fg\n");
    terminal.shows("dcrun -q -u -n 1 -i 0 sh -c");
    until("the foreground", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", dcrun.pid)).ok()?;
        let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().map(str::to_owned).collect();
        (fields[2] == fields[5]).then_some(())
    });
    terminal.types("hello\n");
    terminal.shows("got:hello");
    terminal.types("\x04");
    terminal.types("exit\n");
    assert_eq!(terminal.status(), 0);
}
