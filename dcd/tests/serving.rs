//! A starter that serves: connections come and go, and nothing is lost, doubled or harmed by it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

mod harness;

use dc_model::wire::{FromStarter, KnownPhase, Opening, OutputAt, Source, StreamPlan, ToStarter};
use dc_model::{Attempt, Outcome, SubtaskId};
use dcd::starters::{self, ConnectError, Control, Event, Life, Lost, OutputEvent, OutputReader};
use harness::served::{CONTROL, EXE, Ends, LONG, Served, job_dir, output_event, output_frame};
use harness::{DEADLINE, proc, shell};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

fn attempt(subtask: u32, attempt: u32, script: &str) -> dc_model::wire::Launch {
    dc_model::wire::Launch { attempt: Attempt(attempt), ..shell(subtask, script) }
}

/// A rank that runs until a word is written to a pipe of this name.
fn until_told(job: &Served, name: &str) -> String {
    nix::unistd::mkfifo(&job.path(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
    format!("read x < {name};")
}

fn tell(job: &Served, name: &str) {
    std::fs::write(job.path(name), "\n").unwrap();
}

#[test]
fn what_was_not_acknowledged_is_told_again() {
    let mut job = Served::start();
    let wait = until_told(&job, "wait");
    job.run(0, "exit 3");
    job.run(1, "kill -9 $$");
    job.run(2, &format!("{wait} exit 4"));
    let first = job.ended(0, 1);
    let second = job.ended(1, 1);
    assert_eq!((first.1, second.1), (Outcome::Exited(3), Outcome::Signalled(9)));
    job.started(2);
    // Nobody has kept what was told.
    job.leave();
    job.told = None;
    let state = job.join();
    assert_eq!((state.job, state.acked_seq), (Some(job.uuid), 0));
    assert_eq!([0, 1, 2].map(|n| job.phase(n).unwrap() as u8), [2, 2, 1]);
    assert!(state.attempts.iter().is_sorted_by_key(|known| known.subtask));
    assert_eq!((job.ended(0, 1), job.ended(1, 1)), (first, second));
    // It ends while nobody is there.
    job.leave();
    let pid = job.pid;
    tell(&job, "wait");
    proc::until("no rank", || {
        dcd::process::children::of(nix::unistd::Pid::from_raw(pid)).unwrap().is_empty()
    });
    job.join();
    let last = job.ended(2, 1);
    assert_eq!((last.1, last.2), (Outcome::Exited(4), false));
    job.ack(last.0);
    job.greet();
    job.leave();
    job.told = None;
    let state = job.join();
    assert_eq!((state.attempts.len(), state.acked_seq, state.next_seq), (0, last.0, last.0 + 1));
}

#[test]
fn who_keeps_what_was_told_is_told_once() {
    let mut job = Served::start();
    job.run(0, "exit 3");
    job.ended(0, 1);
    job.leave();
    job.join();
    job.run(1, "exit 4");
    let mut seen = Vec::new();
    loop {
        match job.fresh().unwrap() {
            Event::Report { report: FromStarter::Ended { subtask, .. }, .. } => {
                seen.push(subtask.0);
                break;
            }
            Event::Report { report: FromStarter::Started { subtask, .. }, .. } => seen.push(subtask.0),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, [1, 1]);
}

#[test]
fn a_new_control_connection_takes_the_place_of_the_old_one() {
    let mut job = Served::start();
    let mut other = Control::connect(&job.dir, None).unwrap();
    assert_eq!(job.lost(), Lost::Ended);
    other.send(&ToStarter::Launch(Box::new(shell(0, "exit 5"))));
    // The first comes again when that is taken, and hears of it.
    while !matches!(other.next_event().unwrap(), Some(Event::Report { .. })) {
        let mut fds = [nix::poll::PollFd::new(other.as_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, 20_000_u16).unwrap();
        other.on_readable();
    }
    job.join();
    drop(other);
    assert_eq!(job.ended(0, 1).1, Outcome::Exited(5));
}

#[test]
fn every_command_may_come_twice() {
    let mut job = Served::start();
    let wait = until_told(&job, "wait");
    let count = format!("echo once >> ran; {wait} exit 3");
    job.run(0, &count);
    job.started(0);
    job.run(0, &count);
    job.launch(attempt(0, 0, "touch old"));
    tell(&job, "wait");
    let end = job.ended(0, 1);
    assert_eq!(end.1, Outcome::Exited(3));
    // It has ended, and nobody has said that this is known: told again, at every asking.
    for _ in 0..2 {
        job.run(0, &count);
        let again = job.wait_for(|event| match event {
            Event::Again { seq, report: FromStarter::Ended { outcome, .. } } => Some((*seq, *outcome)),
            _ => None,
        });
        assert_eq!(again, (end.0, Outcome::Exited(3)));
    }
    job.ack(end.0);
    job.run(0, &count);
    // The first signal has come: the same again is no other.
    job.run(
        1,
        "trap 'echo term >> terms' TERM; echo > ready; while ! test -e go; do sleep 0.01; done; exit 6",
    );
    proc::until("the trap", || job.path("ready").exists());
    let stop = ToStarter::Stop { subtask: SubtaskId(1), attempt: Attempt(1), signal: 15 };
    job.send(&stop);
    proc::until("the signal", || job.path("terms").exists());
    job.send(&stop);
    job.greet();
    std::fs::write(job.path("go"), "").unwrap();
    let (_, outcome, stopped) = job.ended(1, 1);
    assert_eq!((outcome, stopped), (Outcome::Exited(6), true));
    assert_eq!(std::fs::read_to_string(job.path("terms")).unwrap(), "term\n");
    assert_eq!(std::fs::read_to_string(job.path("ran")).unwrap(), "once\n");
    assert!(!job.path("old").exists());
}

#[test]
fn a_newer_attempt_takes_the_place_of_an_older_one() {
    let mut job = Served::start();
    job.run(0, "trap '' TERM; exec sleep 600");
    let pid = job.started(0);
    job.launch(attempt(0, 2, "exit 7"));
    let (_, outcome, stopped) = job.ended(0, 1);
    assert_eq!((outcome, stopped), (Outcome::Signalled(9), true));
    assert_eq!(job.ended(0, 2).1, Outcome::Exited(7));
    assert!(!proc::runs(pid));
    // The older one is not to come back.
    job.run(0, "touch back");
    job.run(1, "exit 1");
    job.ended(1, 1);
    assert!(!job.path("back").exists());
}

#[test]
fn the_job_is_told_again_in_the_same_words_or_refused() {
    let mut job = Served::start();
    job.run(0, "exec sleep 600");
    let pid = job.started(0);
    job.greet();
    job.hello.grace_ms += 1;
    job.send(&ToStarter::Hello(Box::new(job.hello.clone())));
    assert!(matches!(job.lost(), Lost::Refused(text) if text.contains("another job")));
    job.join();
    job.send(&ToStarter::AckOutput { offset: 0 });
    assert!(matches!(job.lost(), Lost::Refused(_)));
    job.join();
    job.ack(1 << 40);
    assert!(matches!(job.lost(), Lost::Refused(text) if text.contains("acknowledged")));
    assert!(proc::runs(pid), "no word of a connection's harms a rank");
}

/// Bytes by hand: what the starter answers until it closes.
fn answer(job: &Served, bytes: &[u8]) -> Vec<u8> {
    let mut socket = UnixStream::connect(job.path(starters::SOCKET)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.write_all(bytes).unwrap();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).unwrap();
    all
}

#[test]
fn who_does_not_say_what_it_wants_is_turned_away() {
    let mut job = Served::start();
    job.run(0, "exec sleep 600");
    let pid = job.started(0);
    let mut frame = Vec::new();
    CONTROL.encode(&mut frame);
    frame[5] ^= 0xff;
    assert!(!answer(&job, &frame).is_empty(), "another version");
    assert!(!answer(&job, &[0xff; 64]).is_empty(), "no frame");
    frame.clear();
    ToStarter::KillAll.encode(&mut frame);
    assert!(!answer(&job, &frame).is_empty(), "no opening");
    // The silent go when there are too many of them, and those who speak are served.
    let silent: Vec<_> = (0..40).map(|_| UnixStream::connect(job.path(starters::SOCKET)).unwrap()).collect();
    job.run(1, "exit 2");
    assert_eq!(job.ended(1, 1).1, Outcome::Exited(2));
    job.join();
    drop(silent);
    assert!(proc::runs(pid));
}

#[test]
fn a_starter_that_is_killed_is_seen_as_such_and_buried() {
    let mut job = Served::start();
    job.run(
        0,
        "setsid sh -c '(sh -c \"echo \\$\\$ > escaped; exec sleep 600\") & exit 0' & wait; exec sleep 600",
    );
    let rank = job.started(0);
    let escaped = proc::number_in(&job.path("escaped"));
    job.kill_starter();
    assert_eq!(job.lost(), Lost::Ended);
    proc::until("the rank's end", || !proc::runs(rank));
    assert_eq!(starters::life(&job.dir).unwrap(), Life::Dead);
    assert!(matches!(Control::connect(&job.dir, None), Err(ConnectError::Dead { .. })));
    let found = starters::find(&job.top.path().join("jobs")).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].job, found[0].life), (job.uuid, Life::Dead));
    assert_eq!(starters::bury(job.uuid, &job.dir).unwrap(), 1);
    assert!(!proc::runs(escaped));
    assert_eq!(starters::life(&job.dir).unwrap(), Life::Absent);
}

#[test]
fn the_living_are_found_and_not_buried() {
    let top = tempfile::tempdir().unwrap();
    let jobs = top.path().join("jobs");
    assert_eq!(starters::find(&jobs).unwrap(), []);
    let mut job = Served::start();
    job.run(0, "exec sleep 600");
    let rank = job.started(0);
    let found = starters::find(&job.top.path().join("jobs")).unwrap();
    assert_eq!((found[0].job, found[0].life), (job.uuid, Life::Alive));
    assert_eq!(starters::bury(job.uuid, &job.dir).unwrap(), 0);
    assert!(proc::runs(rank) && proc::runs(job.pid));
    // There is one of them.
    let second = starters::start(Path::new(EXE), job.uuid, &job.dir, LONG).unwrap().wait();
    assert!(second.unwrap_err().to_string().contains("has a starter already"));
    assert!(proc::runs(rank));
    assert_eq!(starters::life(&job.dir).unwrap(), Life::Alive);
}

#[test]
fn a_directory_that_others_may_enter_is_not_served() {
    let top = tempfile::tempdir().unwrap();
    let (dir, uuid, _) = job_dir(top.path());
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o750)).unwrap();
    let error = starters::start(Path::new(EXE), uuid, &dir, LONG).unwrap().wait().unwrap_err();
    assert!(error.to_string().contains("mode 0700"), "{error}");
    let error = starters::start(Path::new("/nowhere/dc-starter"), uuid, &dir, LONG).unwrap_err();
    assert!(error.to_string().contains("DC_STARTER"), "{error}");
    assert_eq!(starters::life(&dir).unwrap(), Life::Absent);
}

#[test]
fn a_long_path_is_served_too() {
    let top = tempfile::tempdir().unwrap();
    let deep = top.path().join("d".repeat(120)).join("e".repeat(120));
    let (dir, uuid, _) = job_dir(&deep);
    let _ends = Ends(dir.clone());
    starters::start(Path::new(EXE), uuid, &dir, LONG).unwrap().wait().unwrap();
    let mut control = Control::connect(&dir, None).unwrap();
    control.send(&ToStarter::Close);
    proc::until("its end", || starters::life(&dir).unwrap() == Life::Absent);
}

/// A connection that another has made, as dc-exec makes it for dcd.
#[test]
fn a_connection_may_be_handed_over() {
    let mut job = Served::start();
    job.run(0, "echo said; exit 3");
    let end = job.ended(0, 1);
    let dial = || UnixStream::connect(job.path(starters::SOCKET)).unwrap().into();
    let (mut control, mut reader) = (Control::over(dial(), None), OutputReader::over(dial(), None));
    let frame = loop {
        let (frame, _) = output_frame(&mut reader);
        if !frame.bytes.is_empty() {
            break frame;
        }
    };
    assert_eq!(frame.bytes, b"said\n");
    let mut seqs = Vec::new();
    while seqs.last() != Some(&end.0) {
        control.on_readable();
        while let Some(event) = control.next_event().unwrap() {
            if let Event::Report { seq, .. } = event {
                seqs.push(seq);
            }
        }
    }
    assert_eq!(seqs[0], 1);
    assert!(control.take_progress().is_some(), "the file in which ranks say how far they are");
}

/// A gang is one command: all of it comes once, and a newer one takes its place.
#[test]
fn a_gang_is_admitted_once() {
    let mut job = Served::start();
    let gang = |n: u32, launcher: &[u8]| {
        let ranks = (0..2).map(|rank| vec![attempt(rank, n, "exit 0")]).collect();
        let launcher = launcher.to_vec();
        let family = dc_model::MpiFamily::Mpich;
        ToStarter::Gang(Box::new(dc_model::wire::Gang {
            family,
            launcher,
            timeout_ms: 60_000,
            verbose: false,
            ranks,
        }))
    };
    // A launcher that brings nobody, and stays.
    std::fs::write(job.path("launcher"), "#!/bin/sh\necho >> launched\nexec sleep 600\n").unwrap();
    use std::os::unix::fs::PermissionsExt;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(job.path("launcher"), executable).unwrap();
    let launcher = job.path("launcher").into_os_string().into_encoded_bytes();
    job.send(&gang(1, &launcher));
    job.send(&gang(1, &launcher));
    proc::until("the launcher", || job.path("launched").exists());
    job.send(&gang(2, b"/bin/false"));
    for rank in 0..2 {
        assert_eq!((job.ended(rank, 1).1, job.ended(rank, 2).1.success()), (Outcome::Signalled(9), false));
    }
    assert_eq!(std::fs::read_to_string(job.path("launched")).unwrap(), "\n");
    // One half of it is known: nothing of it is done.
    let mut half = match gang(2, b"/bin/false") {
        ToStarter::Gang(gang) => *gang,
        _ => unreachable!(),
    };
    half.ranks[1][0].attempt = Attempt(3);
    job.send(&ToStarter::Gang(Box::new(half)));
    let (_, outcome, stopped) = job.ended(1, 3);
    assert_eq!((outcome, stopped), (Outcome::Signalled(9), true));
}
#[test]
fn bye_waits_for_what_is_known_and_close_does_not() {
    let mut job = Served::start();
    job.run(0, "echo said; exit 3");
    let end = job.ended(0, 1);
    job.send(&ToStarter::Bye);
    let mut reader = OutputReader::connect(&job.dir, None).unwrap();
    // Both streams come to their end.
    let (mut last, mut ends) = (0, 0);
    while ends < 2 {
        let (frame, end) = output_frame(&mut reader);
        (last, ends) = (end, ends + u32::from(frame.last));
    }
    job.greet();
    reader.ack(last);
    job.greet();
    job.ack(end.0);
    assert_eq!(job.lost(), Lost::Ended);
    job.wait_gone();

    let mut job = Served::start();
    job.run(0, "trap '' TERM; echo said; exec sleep 600");
    let rank = job.started(0);
    job.send(&ToStarter::Close);
    job.wait_gone();
    assert!(!proc::runs(rank));
}

#[test]
fn kill_all_is_no_end() {
    let mut job = Served::start();
    job.run(0, "trap '' TERM; exec sleep 600");
    job.started(0);
    job.send(&ToStarter::KillAll);
    let (_, outcome, stopped) = job.ended(0, 1);
    assert_eq!((outcome, stopped), (Outcome::Signalled(9), true));
    job.run(1, "exit 4");
    assert_eq!(job.ended(1, 1).1, Outcome::Exited(4));
}

/// 32,768 reports that nobody acknowledges: nothing more is launched, and it goes on when somebody does.
#[test]
fn nothing_is_launched_while_too_much_waits() {
    let mut job = Served::start();
    // A zero byte makes no process, and a report.
    let nothing = |subtask| dc_model::wire::Launch { args: vec![b"\0".to_vec()], ..shell(subtask, "") };
    let (many, chunk) = (31 << 10, 1 << 10);
    for first in (0..many).step_by(chunk) {
        for subtask in first..first + chunk {
            job.launch(nothing(10 + subtask as u32));
        }
        assert!(matches!(job.ended(10 + (first + chunk - 1) as u32, 1).1, Outcome::NotLaunched { .. }));
    }
    // So many that it is full in any case, whatever else it had to tell.
    for subtask in many..many + chunk {
        job.launch(nothing(10 + subtask as u32));
    }
    job.run(0, "exit 3");
    job.run(1, "exit 4");
    job.launch(attempt(0, 2, "exit 5"));
    job.send(&ToStarter::Stop { subtask: SubtaskId(1), attempt: Attempt(1), signal: 15 });
    let (_, outcome, stopped) = job.ended(1, 1);
    assert_eq!((outcome, stopped), (Outcome::Signalled(15), true), "it never began");
    let told = job.told.unwrap().seq;
    job.join();
    assert_eq!(job.phase(0), Some(KnownPhase::Waiting));
    job.ack(told);
    // The second of them has taken the place of the first, in its life or just at its end, or came behind that.
    let first = job.ended(0, 1);
    assert!(
        matches!((first.1, first.2), (Outcome::Exited(3), _) | (Outcome::Signalled(9), true)),
        "{first:?}"
    );
    assert_eq!(job.ended(0, 2).1, Outcome::Exited(5));
}

#[test]
fn input_goes_on_over_connections_and_none_is_given_twice() {
    let stdin = Source::Relay { only: None };
    let mut job = Served::with(LONG, |hello| hello.streams = StreamPlan { stdin, ..StreamPlan::default() });
    job.run(0, "cat > got");
    let wanted = |job: &mut Served| {
        job.wait_for(|event| match event {
            Event::Said(FromStarter::WantInput { at, .. }) => Some(*at),
            _ => None,
        })
    };
    let input = |at, text: &str, then| ToStarter::Input {
        subtask: SubtaskId(0),
        attempt: Attempt(1),
        at,
        bytes: text.as_bytes().to_vec(),
        then,
    };
    use dc_model::wire::InputThen::{End, More};
    assert_eq!(wanted(&mut job), 0);
    job.leave();
    job.join();
    assert_eq!(wanted(&mut job), 0, "asked again: the answer may have been lost");
    // Both answers come.
    job.send(&input(0, "one\n", More));
    job.send(&input(0, "one\n", More));
    assert_eq!(wanted(&mut job), 4);
    job.send(&input(4, "two\n", More));
    job.leave();
    job.join();
    match wanted(&mut job) {
        8 => {}
        4 => {
            job.send(&input(4, "two\n", More));
            assert_eq!(wanted(&mut job), 8);
        }
        other => panic!("{other}"),
    }
    job.send(&input(8, "", End));
    assert_eq!(job.ended(0, 1).1, Outcome::Exited(0));
    assert_eq!(std::fs::read_to_string(job.path("got")).unwrap(), "one\ntwo\n");
}

/// Offsets that a reader cannot have.
#[test]
fn a_reader_that_has_what_was_not_sent_is_refused() {
    let mut job = Served::start();
    job.run(0, "echo one; echo two");
    job.ended(0, 1);
    let starter_inc = job.state.as_ref().unwrap().starter_inc;
    for offset in [1, 1 << 40] {
        let have = Some(OutputAt { starter_inc, offset });
        let mut reader = OutputReader::connect(&job.dir, have).unwrap();
        assert!(matches!(output_event(&mut reader, DEADLINE), Err(Lost::Refused(_))), "{offset}");
    }
    // Another starter's offset means nothing here.
    let have = Some(OutputAt { starter_inc: starter_inc ^ 1, offset: 1 });
    let mut reader = OutputReader::connect(&job.dir, have).unwrap();
    let from = output_event(&mut reader, DEADLINE).unwrap();
    assert_eq!(from, Some(OutputEvent::From(OutputAt { starter_inc, offset: 0 })));
    reader.ack(1 << 40);
    loop {
        match output_event(&mut reader, DEADLINE) {
            Ok(Some(_)) => {}
            Err(Lost::Refused(_)) => break,
            other => panic!("{other:?}"),
        }
    }
    let mut frame = Vec::new();
    ToStarter::Open(Opening::Output { have: None }).encode(&mut frame);
    ToStarter::KillAll.encode(&mut frame);
    assert!(!answer(&job, &frame).is_empty(), "no command by this way");
}
