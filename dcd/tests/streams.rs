//! Output: whole lines, every byte, bounded memory, and no rank's flood in the way of another's control.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test fails by a panic.

mod harness;

use dc_model::Outcome;
use dc_model::wire::{LINE_BYTES_MAX, Output};
use harness::{Job, proc, shell};
use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

/// Frames of all subtasks until each has had the last of both streams.
fn until_all_closed(job: &mut Job, subtasks: usize) -> HashMap<(u32, bool), Vec<Output>> {
    let mut frames: HashMap<(u32, bool), Vec<Output>> = HashMap::new();
    let mut closed = 0;
    while closed < subtasks * 2 {
        let frame = job.frame().expect("output, not its end");
        closed += usize::from(frame.last);
        frames.entry((frame.subtask.0, frame.stderr)).or_default().push(frame);
    }
    frames
}

fn bytes(frames: &[Output]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.bytes.clone()).collect()
}

#[test]
fn lines_stay_whole_when_all_flood() {
    const LINES: usize = 20_000;
    let mut job = Job::shell();
    for subtask in 0..8 {
        let script = format!(
            "awk 'BEGIN {{ for (i = 0; i < {LINES}; i++) print \"rank {subtask} line \" i \" xxxxxxxxxxxxxxxxxxxxxxx\" }}'"
        );
        job.run(subtask, &script);
    }
    let frames = until_all_closed(&mut job, 8);
    for subtask in 0..8 {
        let own = &frames[&(subtask, false)];
        for frame in own {
            assert!(frame.bytes.len() <= LINE_BYTES_MAX);
            assert!(frame.last || frame.bytes.ends_with(b"\n"), "a frame ends where a line does");
        }
        let text = String::from_utf8(bytes(own)).unwrap();
        let expected = (0..LINES)
            .map(|i| format!("rank {subtask} line {i} xxxxxxxxxxxxxxxxxxxxxxx\n"))
            .collect::<String>();
        assert!(text == expected, "every line of rank {subtask}, in order");
        assert_eq!(job.ended(subtask), Outcome::Exited(0));
    }
}

#[test]
fn an_unterminated_last_line_is_passed_as_it_is() {
    let mut job = Job::shell();
    job.run(0, "printf 'one\\ntwo'; printf 'e' >&2");
    job.run(1, "printf '\\000\\377'");
    let frames = until_all_closed(&mut job, 2);
    let out = &frames[&(0, false)];
    assert_eq!(bytes(out), b"one\ntwo");
    assert_eq!(out.last().map(|frame| (&frame.bytes[..], frame.last)), Some((&b"two"[..], true)));
    assert_eq!(bytes(&frames[&(0, true)]), b"e");
    assert_eq!(bytes(&frames[&(1, false)]), b"\x00\xff");
    for stream in frames.values() {
        assert_eq!(stream.iter().filter(|frame| frame.last).count(), 1);
        assert!(stream.last().unwrap().last);
    }
}

#[test]
fn a_line_is_shown_when_it_is_whole_and_not_before_the_rank_ends() {
    let mut job = Job::shell();
    job.run(0, "printf 'now\\nlater'; exec sleep 600");
    let frame = job.frame().unwrap();
    assert_eq!((&frame.bytes[..], frame.last), (&b"now\n"[..], false));
    job.stop(0, 1, 15);
    assert_eq!(job.text(0, false), "later");
}

#[test]
fn a_long_line_is_split_and_loses_nothing() {
    let mut job = Job::shell();
    job.run(0, "head -c 200000 /dev/zero | tr '\\0' x; echo; echo short");
    let frames = &until_all_closed(&mut job, 1)[&(0, false)];
    let mut expected = vec![b'x'; 200_000];
    expected.extend_from_slice(b"\nshort\n");
    assert!(bytes(frames) == expected);
    assert!(frames.iter().all(|frame| frame.bytes.len() <= LINE_BYTES_MAX));
}

#[test]
fn nobody_reads_and_control_still_answers() {
    let mut job = Job::shell();
    job.run(0, "exec yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    job.run(1, "exec yes");
    let (flood, pid) = (job.started(0), job.starter.pid);
    // The flood comes to stand still in a full pipe: it sleeps whenever it is looked at.
    let mut seen_asleep = 0;
    proc::until("the flood to stand", || {
        seen_asleep = if proc::state(flood as i32) == Some('S') { seen_asleep + 1 } else { 0 };
        seen_asleep == 20
    });
    for subtask in 2..200 {
        job.run(subtask, "exit 3");
        assert_eq!(job.ended(subtask), Outcome::Exited(3));
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let rss = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    let kib: u64 = rss.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 32 << 10, "memory is bounded: {rss}");
    job.stop(0, 1, 15);
    assert_eq!(job.ended_fully(0), (Outcome::Signalled(15), true));
}

#[test]
fn what_was_in_the_pipe_at_the_end_is_delivered_however_late_it_is_read() {
    let mut job = Job::shell();
    // Together more than sockets and buffers hold, so that pipes are still full when all have ended.
    for subtask in 0..12 {
        job.run(subtask, "head -c 60000 /dev/zero | tr '\\0' y; echo; printf end");
    }
    for subtask in 0..12 {
        assert_eq!(job.ended(subtask), Outcome::Exited(0));
    }
    // Longer than streams are held open for others.
    job.run(12, "exec sleep 1.3");
    assert_eq!(job.ended(12), Outcome::Exited(0));
    let frames = until_all_closed(&mut job, 13);
    for subtask in 0..12 {
        let text = bytes(&frames[&(subtask, false)]);
        assert_eq!(text.len(), 60_004, "rank {subtask}");
        assert!(text.ends_with(b"y\nend"));
    }
}

#[test]
fn bye_waits_for_what_runs_and_for_its_output() {
    let mut job = Job::shell();
    job.launch(shell(0, "sleep 0.2; echo done"));
    job.send(&dc_model::wire::ToStarter::Bye);
    assert_eq!(job.text(0, false), "done\n");
    assert_eq!(job.ended(0), Outcome::Exited(0));
    job.control_ends();
    job.wait_end();
}

#[test]
fn who_closes_the_output_hangs_nobody() {
    let mut job = Job::shell();
    job.run(0, "head -c 3000000 /dev/zero; exit 3");
    job.started(0);
    job.starter.output.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(job.ended(0), Outcome::Exited(3));
    // And nobody spins over it.
    let starter = job.starter.pid;
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{starter}/stat")).unwrap();
        let after = stat[stat.rfind(')').unwrap() + 1..].split_whitespace();
        after.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>()
    };
    let before = ticks();
    job.run(1, "exec sleep 0.5");
    assert_eq!(job.ended(1), Outcome::Exited(0));
    assert!(ticks() - before < 20, "hundredths of a second of CPU time in half a second");
}

#[test]
fn more_ranks_than_files_may_be_open() {
    let mut job = Job::with(|hello| hello.ranks = 700);
    let text = job.output_of("ulimit -Sn; ulimit -Hn");
    let (soft, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    let shown = |limit: u64| if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() };
    assert_eq!(text, format!("{}\n{}\n", shown(soft), shown(hard)), "ranks keep the limits of dcrun");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", job.starter.pid)).unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let own: u64 = files.split_whitespace().next().unwrap().parse().unwrap();
    assert!(own >= 1464.min(hard), "{files}");
}

#[test]
fn a_pipe_that_others_hold_is_read_for_a_second_and_closed() {
    let mut job = Job::shell();
    job.run(0, "echo first; exec sleep 600");
    let pid = job.started(0);
    assert_eq!(job.said(), "first\n");
    // Somebody out of the starter's reach: this test.
    let mut held = std::fs::File::options().write(true).open(format!("/proc/{pid}/fd/1")).unwrap();
    job.stop(0, 1, 9);
    assert_eq!(job.ended_fully(0), (Outcome::Signalled(9), true), "its end does not wait for them");
    let begin = Instant::now();
    held.write_all(b"afterwards\n").unwrap();
    assert_eq!(job.text(0, false), "afterwards\n");
    assert!(begin.elapsed() > Duration::from_millis(500) && begin.elapsed() < Duration::from_secs(10));
    job.bye();
}
