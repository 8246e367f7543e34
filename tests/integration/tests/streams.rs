//! What ranks write, on its way to dcrun's own standard output and error.

use dc_integration::{Scratch, fixture, process, until};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

#[test]
fn lines_come_while_the_rank_runs() {
    let place = Scratch::new();
    let script = r#"echo early; echo early too >&2; until [ -e go ]; do sleep 0.01; done; echo late"#;
    let run = place.dcrun("-n 1").script(script).start();
    run.prints("early");
    run.says("early too");
    assert!(!run.stdout.text().contains("late"));
    place.write("go", "");
    assert_eq!(run.finish().ends_with(0).out(), "early\nlate\n");
}

#[test]
fn each_to_its_own_stream() {
    let place = Scratch::new();
    let done = place.dcrun("-q -n 2").script("echo out; echo err >&2").run().ends_with(0);
    assert_eq!((done.out(), done.err()), ("out\nout\n".to_owned(), "err\nerr\n".to_owned()));
}

#[test]
fn lines_are_never_mixed() {
    let place = Scratch::new();
    let ask = place.dcrun("-q -n 6 --oversubscribe").arg(fixture("flood")).arg("2000");
    let done = ask.run().ends_with(0);
    let mut next = BTreeMap::<u8, u64>::new();
    for line in done.out().lines() {
        let (number, filler) = line.split_once(' ').unwrap();
        let filler = filler.as_bytes();
        assert!(filler.len() == 988 && filler.iter().all(|byte| *byte == filler[0]), "mixed: {line}");
        let expected = next.entry(filler[0]).or_default();
        assert_eq!(number.parse::<u64>().unwrap(), *expected, "in order");
        *expected += 1;
    }
    assert_eq!(next.values().copied().collect::<Vec<_>>(), [2000; 6]);
}

/// Pieces of a line written one by one come out as the line.
#[test]
fn a_line_in_pieces_stays_whole() {
    let place = Scratch::new();
    let script = r#"for i in 1 2 3 4 5 6 7 8; do printf "$DC_SUBTASK$DC_SUBTASK"; sleep 0.005; done; echo"#;
    let done = place.dcrun("-n 5 --oversubscribe").script(script).run().ends_with(0);
    let expected: Vec<_> = (0..5).map(|i| i.to_string().repeat(16)).collect();
    assert_eq!(done.sorted(), expected);
}

#[test]
fn an_unfinished_last_line_byte_for_byte() {
    let place = Scratch::new();
    let done = place.dcrun("-q -n 1").script(r"printf 'a\nb\0\377\033[31mc'").run().ends_with(0);
    assert_eq!(done.stdout, b"a\nb\0\xff\x1b[31mc");
    // Of a rank that was killed too.
    let done =
        place.dcrun("-q -n 1 --restarts 0").script("printf unfinished; kill -9 $$").run().ends_with(137);
    assert_eq!(done.stdout, b"unfinished");
    let done = place.dcrun("-q -n 1").script("printf err >&2").run().ends_with(0);
    assert_eq!(done.stderr, b"err");
}

#[test]
fn an_unfinished_last_line_of_many() {
    let place = Scratch::new();
    let done = place.dcrun("-q -n 8").script("printf $DC_SUBTASK$DC_SUBTASK$DC_SUBTASK").run().ends_with(0);
    let mut found: Vec<_> =
        done.out().as_bytes().chunks(3).map(|c| String::from_utf8(c.to_owned()).unwrap()).collect();
    found.sort();
    assert_eq!(found, (0..8).map(|i| i.to_string().repeat(3)).collect::<Vec<_>>());
}

/// Long lines come in pieces, each whole; nothing is lost, added or out of order.
#[test]
fn a_line_of_200_kib() {
    let place = Scratch::new();
    let script = r#"i=0; while [ $i -lt 200 ]; do printf '%01024d' $i; i=$((i+1)); done; echo; echo short"#;
    let done = place.dcrun("-q -n 1").script(script).run().ends_with(0);
    let expected = (0..200).map(|i| format!("{i:01024}")).collect::<String>() + "\nshort\n";
    assert!(done.out() == expected, "{} bytes and not {}", done.stdout.len(), expected.len());
    // One line has one label, however long it is.
    let done = place.dcrun("-q -l -n 1").script(script).run().ends_with(0);
    assert!(
        done.out() == format!("0: {}", expected.replace("\nshort", "\n0: short")),
        "{} bytes",
        done.stdout.len()
    );
}

/// Pieces of two ranks' long lines that come between each other are told apart by labels.
#[test]
fn long_lines_of_many() {
    let place = Scratch::new();
    let script = r#"i=0; while [ $i -lt 300 ]; do printf '%01023d%d' $i $DC_SUBTASK; i=$((i+1)); done; echo"#;
    let done = place.dcrun("-q -l -n 3 --oversubscribe").script(script).run().ends_with(0);
    let mut lines = BTreeMap::<u32, String>::new();
    for line in done.out().lines() {
        let (rank, piece) = line.split_once(": ").unwrap_or_else(|| panic!("no label: {} bytes", line.len()));
        lines.entry(rank.parse().unwrap()).or_default().push_str(piece);
    }
    for rank in 0..3 {
        let expected = (0..300).map(|i| format!("{i:01023}{rank}")).collect::<String>();
        assert!(lines[&rank] == expected, "rank {rank}: {} bytes", lines[&rank].len());
    }
}

#[test]
fn labels() {
    let place = Scratch::new();
    let script = "echo out $DC_SUBTASK; echo; echo err $DC_SUBTASK >&2; printf end";
    let done = place.dcrun("-q -l -n 12 --oversubscribe").script(script).run().ends_with(0);
    let of = |rank: u32, text: &str| {
        text.lines()
            .filter_map(|line| line.trim_start().strip_prefix(&format!("{rank}: ")))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    // Last lines without an end stand where they stood, the next label may follow on the same line.
    for rank in 0..12 {
        assert_eq!(of(rank, &done.err()), [format!("err {rank}")], "{done}");
        assert!(done.out().contains(&format!("{rank}: out {rank}\n")), "{done}");
        assert!(done.out().contains(&format!("{rank}: \n")), "{done}");
        assert!(done.out().contains(&format!("{rank}: end")), "{done}");
    }
    let done = place.dcrun("-l -n 1 echo x").run().ends_with(0);
    assert_eq!(done.out(), "0: x\n");
}

/// A rank that has nothing to say has no label either.
#[test]
fn no_label_for_nothing() {
    let place = Scratch::new();
    assert_eq!(place.dcrun("-q -l -n 3 true").run().ends_with(0).stdout, b"");
}

#[test]
fn dcruns_own_words() {
    let place = Scratch::new();
    let done = place.dcrun("-v -n 3").script("kill -9 $$").run().ends_with(137);
    assert!(done.stdout.is_empty(), "{done}");
    assert!(done.err().lines().count() >= 3, "{done}");
    for line in done.err().lines() {
        assert!(line.starts_with("dcrun: "), "{line:?}");
    }
    let done = place.dcrun("-q -n 3 echo x").run().ends_with(0);
    assert!(done.stderr.is_empty(), "{done}");
}

/// Names from outside are shown without what a terminal obeys.
#[test]
fn nothing_reaches_a_terminal_from_names() {
    let place = Scratch::new();
    place.write("list", "evil\u{1b}[2J\u{202e} 5\n");
    let done = place.dcrun("-v --subtasks list").script("exit 3").run();
    assert!(!done.stderr.contains(&0x1b) && !done.err().contains('\u{202e}'), "{done}");
    let done = place.dcrun("-n 1").arg("./no\u{1b}[2Jsuch").run();
    assert!(!done.stderr.contains(&0x1b), "{done}");
}

#[test]
fn standard_input_is_null() {
    let place = Scratch::new();
    let script = "cat; readlink /proc/self/fd/0";
    for ask in [place.dcrun("-n 2"), place.dcrun("-n 2 -i none"), place.dcrun("-n 2 -i /dev/null")] {
        assert_eq!(ask.script(script).run().ends_with(0).out(), "/dev/null\n/dev/null\n");
    }
    let done = place.dcrun("-n 2 -i none").script(script).run_with(b"not for ranks").ends_with(0);
    assert_eq!(done.out(), "/dev/null\n/dev/null\n");
}

/// A reader who does not read holds the ranks up, and grows nothing.
#[test]
fn a_flood_that_nobody_reads_yet() {
    let place = Scratch::new();
    let lines = 100_000; // 100 MB from each rank.
    let mut ask = place.dcrun("-q -n 2 --oversubscribe").arg(fixture("flood")).arg(lines.to_string());
    let (reader, writer) = std::io::pipe().unwrap();
    ask.command.stdout(Stdio::from(writer));
    let run = ask.start();
    let starter = run.child_called("dc-starter");
    let stopped = || process::children(starter.pid).iter().filter(|rank| rank.state == 'S').count();
    until("both ranks to wait for the reader", || (stopped() == 2).then_some(()));
    let resident = [run.pid(), starter.pid].map(|pid| process::peak_kib(pid).unwrap());
    let counted = std::thread::spawn(move || std::io::copy(&mut { reader }, &mut std::io::sink()).unwrap());
    // The peak counts to the end: looked at as long as they live.
    let mut peaks = resident;
    until("the end", || {
        for (peak, pid) in peaks.iter_mut().zip([run.pid(), starter.pid]) {
            *peak = process::peak_kib(pid).unwrap_or(0).max(*peak);
        }
        (!process::lives(starter.pid)).then_some(())
    });
    run.finish().ends_with(0);
    assert_eq!(counted.join().unwrap(), 2 * lines * 1000);
    assert!(peaks.iter().all(|kib| *kib < 64 << 10), "resident at most: {peaks:?} KiB");
}

/// Two streams that are flooded at once end both; one never waits for the other.
#[test]
fn both_streams_flooded() {
    let place = Scratch::new();
    let script = r#""$FLOOD" 5000 & "$FLOOD" 5000 stderr; wait"#;
    let done = place.dcrun("-q -n 3").env("FLOOD", fixture("flood")).script(script).run().ends_with(0);
    assert_eq!((done.stdout.len(), done.stderr.len()), (15_000_000, 15_000_000));
}

/// Something that detached itself and holds the pipe open does not hold the job up, and does not live on.
#[test]
fn a_pipe_held_open() {
    let place = Scratch::new();
    let done = place.dcrun("-n 2").arg(fixture("detach")).words("end hold").run().ends_with(0);
    assert_eq!(place.noted("detached").len(), 2, "{done}");
    place.nothing_runs();
}

/// A progress bar where standard error is a terminal; lines of ranks go above it, unharmed.
#[test]
fn a_bar_on_a_terminal() {
    let place = Scratch::new();
    let dcrun = "dcrun -n 4 sh -c 'dcspool progress $DC_CELLS; sleep 0.3; echo line of $DC_SUBTASK'";
    let mut ask = place.ask("script").words("-qec").arg(dcrun).arg("/dev/null").env("TERM", "xterm");
    ask.command.stdin(Stdio::null());
    let done = ask.run().ends_with(0);
    let out = done.out();
    for i in 0..4 {
        assert!(out.contains(&format!("line of {i}\r\n")), "{done}");
    }
    assert!(out.contains("\u{1b}["), "a bar is drawn: {done}");
    // Not a terminal: no escapes.
    let done = place.ask("sh").arg("-c").arg(dcrun).run().ends_with(0);
    assert!(!done.stderr.contains(&0x1b), "{done}");
}

/// The terminal goes away (its other end is closed): the ranks are killed, the job is kept.
#[test]
fn the_terminal_is_gone() {
    let place = Scratch::new();
    let dcrun = format!("exec dcrun -n 2 --oversubscribe {}", fixture("detach").display()) + " hang";
    let run = place.ask("script").words("-qec").arg(dcrun).arg("/dev/null").start();
    let _ = place.notes("start", 2);
    run.signal(Signal::SIGKILL);
    let _ = run.finish();
    place.nothing_runs();
    assert_eq!(place.jobs().len(), 1);
    assert!(fs::metadata(place.job().join("job")).is_ok());
}

/// Where there is no bar: a line now and then, of a run that takes long.
#[test]
fn lines_of_progress() {
    let place = Scratch::new();
    place.write("list", "a 300\nb 100\n");
    let script =
        r#"[ $DC_SUBTASK = 0 ] || kill -9 $$; dcspool progress 150; until [ -e go ]; do sleep 0.02; done"#;
    let run = place.dcrun("--oversubscribe --keep-going --restarts 1 --subtasks list").script(script).start();
    let line = run.says("0 of 2 ranks done");
    assert!(
        line.starts_with("dcrun: ") && line.contains("150 of 400 cells") && line.contains("1 restart"),
        "{line}"
    );
    place.write("go", "");
    run.finish().ends_with(137);
}
