//! A node's peer port: the streams of its jobs, over TLS and on one host; slow, dead and wrong commands.
#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::*;
use dc_link::{Endpoint, KeyPair, PeersFile};
use dc_model::Outcome;
use dc_model::cluster::node::{FromNode, ToNode};
use dc_model::wire::{FromStarter, InputThen, OutputAt, Source, ToStarter};
use dcd::peer::client::{NodeAt, Stream, StreamError, StreamEvent};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn local(address: &str) -> NodeAt {
    assert!(address.starts_with('/'), "{address}");
    NodeAt::Local(PathBuf::from(address), Vec::new())
}

fn tls(sched: &Sched, address: &str, key: &str) -> NodeAt {
    let pair = KeyPair::read(&sched.dir.path().join(key)).unwrap();
    let peers = PeersFile::open(&sched.dir.path().join("peers")).unwrap().peers();
    let (_, port) = address.rsplit_once(':').unwrap();
    let to = format!("127.0.0.1:{port}").parse().unwrap();
    NodeAt::Tls { to, endpoint: Endpoint::new(&pair).unwrap(), peers, key: None }
}

/// Text by rank, until so many streams have ended.
fn collect(stream: &mut Stream, ends: usize) -> BTreeMap<(u32, bool), String> {
    let (mut text, mut ended) = (BTreeMap::<_, String>::new(), 0);
    let end = Instant::now() + DEADLINE;
    while ended < ends {
        match stream.wait(DEADLINE).unwrap() {
            Some(StreamEvent::Output { frame, at }) => {
                let piece = String::from_utf8(frame.bytes).unwrap();
                text.entry((frame.subtask.0, frame.stderr)).or_default().push_str(&piece);
                ended += usize::from(frame.last);
                stream.taken(at).unwrap();
            }
            Some(_) => {}
            None => panic!("output was to come"),
        }
        assert!(Instant::now() < end);
    }
    // The node is told with the look for more.
    assert!(!matches!(stream.wait(Duration::ZERO), Ok(Some(StreamEvent::Output { .. }))));
    text
}

#[test]
fn output_comes_over_tls_from_who_has_a_key() {
    let mut sched = Sched::tls();
    let tmp = tempfile::tempdir().unwrap();
    let _node = Node::start(&sched, tmp.path());
    let (mut talk, register, _) = sched.settle(1);
    assert!(!register.address.is_empty());
    let job = TestJob::new(tmp.path());
    // Attached before there is a job.
    let mut stream = Stream::dial(&tls(&sched, &register.address, "client.key"), job.uuid, None).unwrap();
    assert_eq!(stream.wait(Duration::from_millis(100)).unwrap(), None);
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 1, "echo out; echo err >&2"), shell(1, 1, "echo $DC_RANK")]);
    let text = collect(&mut stream, 4);
    assert_eq!(text[&(0, false)], "out\n");
    assert_eq!(text[&(0, true)], "err\n");
    assert_eq!(text[&(1, false)], "1\n");
    for _ in 0..2 {
        while !matches!(talk.report(job.uuid).2, FromStarter::Ended { .. }) {}
    }
    // All is taken: it ends at once, and says so.
    let began = Instant::now();
    stream.wait(Duration::from_millis(50)).unwrap();
    talk.close(job.uuid, true);
    assert!(began.elapsed() < Duration::from_secs(8), "it did not wait for output to be taken");
    assert_eq!(stream.wait(DEADLINE).unwrap(), Some(StreamEvent::Ended));
}

#[test]
fn strangers_get_nothing() {
    let mut sched = Sched::tls();
    let tmp = tempfile::tempdir().unwrap();
    let _node = Node::start(&sched, tmp.path());
    let (_talk, register, _) = sched.settle(1);
    KeyPair::generate().unwrap().write_new(&sched.dir.path().join("stranger.key")).unwrap();
    let node = tls(&sched, &register.address, "stranger.key");
    let mut stream = Stream::dial(&node, new_job(), None).unwrap();
    assert!(matches!(stream.wait(DEADLINE), Err(StreamError::Link(_))));
    // Who speaks no TLS, and who says nothing.
    let (_, port) = register.address.rsplit_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    let mut plain = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    std::io::Write::write_all(&mut plain, &[0xff; 64]).unwrap();
    let mut rest = Vec::new();
    plain.set_read_timeout(Some(DEADLINE)).unwrap();
    let _ = std::io::Read::read_to_end(&mut plain, &mut rest);
    let silent: Vec<_> =
        (0..40).map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    drop(silent);
    let mut good = Stream::dial(&tls(&sched, &register.address, "client.key"), new_job(), None).unwrap();
    assert_eq!(good.wait(Duration::from_millis(200)).unwrap(), None);
}

/// A job with a rank that prints so many lines.
fn printing(talk: &mut Talk, dir: &Path, lines: u32) -> TestJob {
    let job = TestJob::new(dir);
    talk.open(&job);
    talk.order(
        job.uuid,
        &[shell(0, 1, &format!("i=0; while test $i -lt {lines}; do echo $i; i=$((i+1)); done"))],
    );
    job
}

#[test]
fn nothing_is_lost_or_doubled_over_cut_connections_and_a_killed_dcd() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let mut node = Node::start(&sched, tmp.path());
    let (mut talk, register, _) = sched.settle(1);
    // More than all that is on its way together.
    let lines = 200_000;
    let job = printing(&mut talk, tmp.path(), lines);
    let mut text = String::new();
    let (mut have, mut is_over) = (None::<OutputAt>, false);
    let mut round = 0;
    while !is_over {
        round += 1;
        let mut stream = match Stream::dial(&local(&register.address), job.uuid, have) {
            Ok(stream) => stream,
            Err(StreamError::Local(_)) => continue,
            Err(error) => panic!("{error}"),
        };
        // A part of it, then the connection goes; now and then dcd too.
        let part = 50_000;
        let before = text.len();
        while text.len() < before + part && !is_over {
            match stream.wait(DEADLINE) {
                Ok(Some(StreamEvent::Output { frame, at })) => {
                    is_over = frame.last && !frame.stderr;
                    text.push_str(std::str::from_utf8(&frame.bytes).unwrap());
                    stream.taken(at).unwrap();
                }
                Ok(Some(_)) => {}
                Ok(None) => panic!("output was to come"),
                Err(error) => panic!("{error}"),
            }
        }
        have = stream.have();
        if round % 3 == 0 {
            drop(stream);
            node.kill();
            drop(talk);
            node.again();
            (talk, ..) = sched.settle(1);
        }
    }
    assert!(round > 5);
    let expected: String = (0..lines).map(|i| format!("{i}\n")).collect();
    assert_eq!(text.len(), expected.len());
    assert!(text == expected);
}

#[test]
fn who_does_not_take_holds_up_its_own_job_alone() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    let (mut talk, register, _) = sched.settle_with(1, 2000);
    let flood = TestJob::new(tmp.path());
    talk.open(&flood);
    talk.order(flood.uuid, &[shell(0, 1, "exec yes")]);
    let pid = talk.started(flood.uuid, 0, 1);
    let mut slow = Stream::dial(&local(&register.address), flood.uuid, None).unwrap();
    // It takes a little, then nothing at all, not even from its socket.
    let mut got = 0;
    while got < 100_000 {
        if let Some(StreamEvent::Output { frame, at }) = slow.wait(DEADLINE).unwrap() {
            got += frame.bytes.len();
            slow.taken(at).unwrap();
        }
    }
    let rss_kib = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap()
    };
    // Beats go on, beyond a whole lease; another job's streams too.
    let before = talk.heartbeats;
    talk.idle(Duration::from_millis(2500));
    assert!(talk.heartbeats > before + 5);
    assert!(runs(pid));
    let other = printing(&mut talk, tmp.path(), 100);
    let mut stream = Stream::dial(&local(&register.address), other.uuid, None).unwrap();
    assert_eq!(collect(&mut stream, 2)[&(0, false)].lines().count(), 100);
    assert!(rss_kib() < 64 << 10, "{} KiB", rss_kib());
    // When it takes again it goes on.
    let before = got;
    while got < before + 1_000_000 {
        if let Some(StreamEvent::Output { frame, at }) = slow.wait(DEADLINE).unwrap() {
            got += frame.bytes.len();
            slow.taken(at).unwrap();
        }
    }
}

#[test]
fn the_last_who_attaches_has_the_streams() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let _node = Node::start(&sched, tmp.path());
    let (mut talk, register, _) = sched.settle(1);
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 1, "read x < fifo; echo $x")]);
    nix::unistd::mkfifo(&tmp.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut first = Stream::dial(&local(&register.address), job.uuid, None).unwrap();
    assert!(matches!(first.wait(DEADLINE).unwrap(), Some(StreamEvent::From(_))));
    let mut second = Stream::dial(&local(&register.address), job.uuid, None).unwrap();
    assert!(matches!(second.wait(DEADLINE).unwrap(), Some(StreamEvent::From(_))));
    match first.wait(DEADLINE) {
        Err(StreamError::Refused(text)) => assert!(text.contains("another command has attached"), "{text}"),
        other => panic!("{other:?}"),
    }
    std::fs::write(tmp.path().join("fifo"), "through\n").unwrap();
    assert_eq!(collect(&mut second, 2)[&(0, false)], "through\n");
}

#[test]
fn input_goes_to_the_rank_that_wants_it() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let _node = Node::start(&sched, tmp.path());
    let (mut talk, register, _) = sched.settle(1);
    let mut job = TestJob::new(tmp.path());
    job.streams.stdin = Source::Relay { only: None };
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 1, "wc -c; exit 6")]);
    let bytes = vec![b'x'; 1_000_000];
    let mut stream = Stream::dial(&local(&register.address), job.uuid, None).unwrap();
    let mut text = String::new();
    let mut cuts = 2;
    while !text.contains('\n') {
        match stream.wait(DEADLINE).unwrap() {
            Some(StreamEvent::WantInput(FromStarter::WantInput { subtask, attempt, at, room })) => {
                let rest = &bytes[at as usize..];
                let piece = rest[..rest.len().min(room as usize)].to_vec();
                let then = if piece.len() == rest.len() { InputThen::End } else { InputThen::More };
                // What nobody has asked for is dropped.
                let stray = ToStarter::Input {
                    subtask,
                    attempt,
                    at: at + 1,
                    bytes: vec![b'y'; 9],
                    then: InputThen::More,
                };
                stream.input(stray).unwrap();
                stream.input(ToStarter::Input { subtask, attempt, at, bytes: piece, then }).unwrap();
                // The scheduler starts anew in the midst of it.
                if at > 200_000 && cuts > 0 {
                    cuts -= 1;
                    drop(talk);
                    (talk, ..) = sched.settle(1);
                }
            }
            Some(StreamEvent::Output { frame, at }) => {
                text.push_str(std::str::from_utf8(&frame.bytes).unwrap());
                stream.taken(at).unwrap();
            }
            Some(_) => {}
            None => panic!("something was to come: {text:?}"),
        }
    }
    assert_eq!(text.trim(), "1000000");
    assert_eq!(talk.ended(job.uuid, 0, 1).2, Outcome::Exited(6));
}

#[test]
fn a_starter_that_is_replaced_begins_anew_on_the_same_connection() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    let (mut talk, register, _) = sched.settle(1);
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 1, "echo one; exec sleep 1000")]);
    let mut stream = Stream::dial(&local(&register.address), job.uuid, None).unwrap();
    let line = |stream: &mut Stream| loop {
        if let Some(StreamEvent::Output { frame, at }) = stream.wait(DEADLINE).unwrap() {
            stream.taken(at).unwrap();
            return (String::from_utf8(frame.bytes).unwrap(), at.starter_inc);
        }
    };
    let (text, first) = line(&mut stream);
    assert_eq!(text, "one\n");
    kill(Pid::from_raw(starter_of(&node.job(job.uuid))), Signal::SIGKILL).unwrap();
    while !matches!(talk.next(), FromNode::Closed { .. }) {}
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 2, "echo two")]);
    let (text, second) = line(&mut stream);
    assert_eq!(text, "two\n");
    assert_ne!(first, second);
}

#[test]
fn what_is_not_taken_waits_for_a_while_and_no_longer() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    let (mut talk, register, _) = sched.settle(1);
    let job = printing(&mut talk, tmp.path(), 3);
    let (starter, seq, _) = talk.ended(job.uuid, 0, 1);
    talk.send(&ToNode::Acknowledge { job: job.uuid, starter, seq });
    talk.send(&ToNode::Close { job: job.uuid, remove: true });
    // It has ended long ago when somebody comes for its output.
    talk.idle(Duration::from_millis(500));
    let began = Instant::now();
    let mut stream = Stream::dial(&local(&register.address), job.uuid, None).unwrap();
    assert_eq!(collect(&mut stream, 2)[&(0, false)], "0\n1\n2\n");
    talk.closed(job.uuid);
    assert!(began.elapsed() < Duration::from_secs(8), "it ends when that is taken");
    assert!(!node.job(job.uuid).exists());
}
