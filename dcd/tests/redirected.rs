//! Streams that do not go to dcrun: standard input that is sent, output in files and results.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

mod harness;

use dc_model::wire::{FromStarter, InputThen, Launch, Sink, Source, StreamPlan, ToStarter};
use dc_model::{Attempt, LaunchStage, Outcome, SubtaskId};
use harness::{Job, shell};

fn job(plan: StreamPlan) -> Job {
    Job::with(|hello| hello.streams = plan)
}

fn relay() -> StreamPlan {
    StreamPlan { stdin: Source::Relay { only: Some(SubtaskId(1)) }, ..StreamPlan::default() }
}

fn give(job: &mut Job, at: u64, bytes: &[u8], then: InputThen) {
    let (subtask, attempt) = (SubtaskId(1), Attempt(1));
    job.send(&ToStarter::Input { subtask, attempt, at, bytes: bytes.to_vec(), then });
}

/// How far the rank has taken its input when it next asks for more.
fn wanted(job: &mut Job) -> u64 {
    job.wait_for(|message| match message {
        FromStarter::WantInput { subtask: SubtaskId(1), attempt: Attempt(1), at, room } => {
            assert!(*room > 0);
            Some(*at)
        }
        _ => None,
    })
}

#[test]
fn input_is_asked_for_as_it_is_taken() {
    let mut job = job(relay());
    job.run(0, "cat");
    assert_eq!(job.ended(0), Outcome::Exited(0), "not for this one");
    job.run(1, "cat");
    assert_eq!(wanted(&mut job), 0);
    give(&mut job, 0, b"one\n", InputThen::More);
    assert_eq!(job.said(), "one\n");
    assert_eq!(wanted(&mut job), 4);
    give(&mut job, 0, b"again, as if its first sending had been lost\n", InputThen::More);
    give(&mut job, 4, b"two\n", InputThen::End);
    assert_eq!(job.said(), "two\n");
    assert_eq!(job.ended(1), Outcome::Exited(0));
    // Late words for one that has ended, or never was, change nothing.
    give(&mut job, 8, b"late", InputThen::More);
}

#[test]
fn who_closes_its_input_lives() {
    let mut job = job(relay());
    job.run(1, "exec <&-; echo closed; until [ -e go ]; do sleep 0.01; done");
    assert_eq!(wanted(&mut job), 0);
    assert_eq!(job.said(), "closed\n");
    give(&mut job, 0, &[b'x'; 1000], InputThen::More);
    std::fs::write(job.dir.path().join("go"), "").unwrap();
    assert_eq!(job.ended(1), Outcome::Exited(0));
}

/// More than its pipe holds, to one that does not read: others are served, and it can be stopped.
#[test]
fn who_does_not_read_holds_up_nobody() {
    let mut job = job(relay());
    job.run(1, "exec sleep 600");
    assert_eq!(wanted(&mut job), 0);
    give(&mut job, 0, &[b'x'; 128 << 10], InputThen::More);
    assert_eq!(job.output_of("echo served"), "served\n");
    job.stop(1, 1, 15);
    assert_eq!(job.ended_fully(1), (Outcome::Signalled(15), true));
}

#[test]
fn lost_input_is_a_failure() {
    let mut job = job(relay());
    job.run(1, "cat; exec sleep 600");
    assert_eq!(wanted(&mut job), 0);
    give(&mut job, 0, b"", InputThen::Lost);
    let (outcome, stopped) = job.ended_fully(1);
    assert!(matches!(outcome, Outcome::NotLaunched { stage: LaunchStage::Input, .. }), "{outcome}");
    assert!(!stopped, "it failed, and was not stopped");
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

#[test]
fn output_becomes_the_result() {
    let mut job = job(StreamPlan { stdout: Sink::Result, ..StreamPlan::default() });
    let result = |job: &mut Job| {
        job.wait_for(|message| match message {
            FromStarter::Ended { outcome, result, .. } => Some((*outcome, *result)),
            _ => None,
        })
    };
    job.run(0, "printf 12345");
    let (outcome, meta) = result(&mut job);
    assert_eq!(outcome, Outcome::Exited(0));
    assert_eq!(meta.map(|meta| meta.len), Some(5));
    assert_eq!(meta.map(|meta| meta.crc), Some(crc32c(b"12345")), "of these bytes");
    job.run(1, "printf 12345; exit 3");
    assert_eq!(result(&mut job), (Outcome::Exited(3), None));
    let left = std::fs::read_dir(job.dir.path().join("result")).unwrap().count();
    assert_eq!(left, 1, "of the one that failed there is nothing");
}

#[test]
fn files_of_a_later_starter_are_appended_to() {
    let plan = |fresh| StreamPlan {
        stdout: Sink::File(b"out".to_vec()),
        stderr: Sink::File(b"err.%T".to_vec()),
        fresh,
        ..StreamPlan::default()
    };
    for fresh in [true, false] {
        let mut job = job(plan(fresh));
        let path = |name: &str| job.dir.path().join(name);
        let (out, err) = (path("out"), path("err.0"));
        std::fs::write(&out, "before").unwrap();
        std::fs::write(&err, "before").unwrap();
        job.run(0, "echo out; echo err >&2");
        assert_eq!(job.ended(0), Outcome::Exited(0));
        job.launch(Launch { attempt: Attempt(2), ..shell(0, "echo again; echo again >&2") });
        assert_eq!(job.ended(0), Outcome::Exited(0));
        let again = "-- dcrun: subtask 0, attempt 2 --\nagain\n";
        let first = if fresh { "" } else { "before\n-- dcrun: subtask 0, attempt 1 --\n" };
        assert_eq!(std::fs::read_to_string(&out).unwrap(), format!("{first}out\n{again}"));
        // A first attempt is the first to open its own file.
        assert_eq!(std::fs::read_to_string(&err).unwrap(), format!("err\n{again}"));
    }
}

#[test]
fn a_file_that_cannot_be_opened_or_written() {
    let mut job =
        job(StreamPlan { stdout: Sink::File(b"/dev/full".to_vec()), fresh: true, ..StreamPlan::default() });
    job.run(0, "echo x; exec sleep 600");
    let (outcome, stopped) = job.ended_fully(0);
    assert_eq!(outcome, Outcome::NotLaunched { stage: LaunchStage::Output, errno: 28 });
    assert!(!stopped);
    let mut job = self::job(StreamPlan { stdout: Sink::File(b"no/out".to_vec()), ..StreamPlan::default() });
    job.run(0, "echo x");
    assert_eq!(job.ended(0), Outcome::NotLaunched { stage: LaunchStage::Files, errno: 2 });
}

/// A named pipe that somebody holds open and does not read.
fn unread(job: &Job, name: &str) -> std::fs::File {
    let path = job.dir.path().join(name);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::File::options().read(true).write(true).open(path).unwrap()
}

#[test]
fn a_reader_who_does_not_read_holds_up_nobody_else() {
    let plan = StreamPlan { stdout: Sink::File(b"out".to_vec()), fresh: true, ..StreamPlan::default() };
    let mut job = job(plan);
    let _reader = unread(&job, "out");
    job.run(0, "yes");
    job.started(0);
    harness::proc::until("the pipe to be full", || full(&job.dir.path().join("out")));
    // A line says from where on another attempt writes: it comes when the pipe takes it.
    job.launch(Launch { attempt: Attempt(2), ..shell(1, "exec sleep 600") });
    job.started(1);
    for subtask in [1, 0] {
        job.stop(subtask, if subtask == 1 { 2 } else { 1 }, 9);
        let (_, stopped) = job.ended_fully(subtask);
        assert!(stopped, "subtask {subtask}");
    }
}

#[test]
fn a_rank_with_a_pipe_of_its_own_that_is_full_holds_up_nobody_else() {
    let plan = StreamPlan { stdout: Sink::File(b"out.%T".to_vec()), fresh: true, ..StreamPlan::default() };
    let mut job = job(plan);
    let pipe = unread(&job, "out.0");
    while !full(&job.dir.path().join("out.0")) {
        std::io::Write::write_all(&mut &pipe, &[b'x'; 4096]).unwrap();
    }
    job.launch(Launch { attempt: Attempt(2), ..shell(0, "echo x") });
    job.started(0);
    job.run(1, "exit 3");
    assert_eq!(job.ended(1), Outcome::Exited(3));
    job.stop(0, 2, 9);
    assert_eq!(job.ended_fully(0), (Outcome::Signalled(9), true));
}

/// Whether a pipe takes no more.
fn full(path: &std::path::Path) -> bool {
    use std::os::unix::fs::OpenOptionsExt;
    let pipe = std::fs::File::options().write(true).custom_flags(nix::libc::O_NONBLOCK).open(path).unwrap();
    let mut fds = [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&pipe), nix::poll::PollFlags::POLLOUT)];
    nix::poll::poll(&mut fds, 0_u8).unwrap() == 0
}

/// What is said of the input of one that has ended comes too late: neither is it a failure, nor is its process's number,
/// which may be another's by now, signalled.
#[test]
fn input_that_is_lost_after_the_end_is_nobodys() {
    let mut job = job(StreamPlan { stdout: Sink::File(b"out".to_vec()), fresh: true, ..relay() });
    let mut reader = unread(&job, "out");
    job.run(1, "head -c 100000 /dev/zero");
    let pid = job.started(1) as i32;
    harness::proc::until("its end", || harness::proc::state(pid).is_none());
    give(&mut job, 0, b"", InputThen::Lost);
    // Taken one after the other: when this one has ended, the word before it was heard.
    job.run(2, "exit 3");
    let mut left = vec![0; 100_000];
    std::io::Read::read_exact(&mut reader, &mut left).unwrap();
    assert_eq!(job.ended(2), Outcome::Exited(3));
    assert_eq!(job.ended(1), Outcome::Exited(0));
}
