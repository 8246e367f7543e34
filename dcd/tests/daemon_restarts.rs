//! What dies, is cut off or starts anew: dcd, its scheduler, the connection between them, a starter.
#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::*;
use dc_model::Outcome;
use dc_model::cluster::node::{FromNode, ToNode};
use dc_model::wire::FromStarter;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// All ends that are told, until these subtasks have one; a second end of one must be the same.
fn ends(talk: &mut Talk, job: dc_model::JobUuid, count: usize) -> Vec<(u32, Outcome)> {
    let mut seen = std::collections::BTreeMap::new();
    while seen.len() < count {
        if let (_, _, FromStarter::Ended { subtask, outcome, .. }) = talk.report(job)
            && let Some(before) = seen.insert(subtask.0, outcome)
        {
            assert_eq!(before, outcome, "subtask {subtask}");
        }
    }
    seen.into_iter().collect()
}

#[test]
fn a_killed_dcd_loses_nothing() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let mut node = Node::start(&sched, tmp.path());
    let (mut talk, ..) = sched.settle(1);
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    // One ends before dcd dies, two while it is dead, one after.
    let wait = |file: &str| format!("while ! test -e {file}; do sleep 0.01; done;");
    talk.order(
        job.uuid,
        &[
            shell(0, 1, "exit 10"),
            shell(1, 1, &(wait("go") + "exit 11")),
            shell(2, 1, &(wait("go") + "kill -9 $$")),
            shell(3, 1, &(wait("end") + "exit 13")),
        ],
    );
    let first = talk.ended(job.uuid, 0, 1);
    assert_eq!(first.2, Outcome::Exited(10));
    node.kill();
    drop(talk);
    std::fs::write(tmp.path().join("go"), "").unwrap();
    let starter = starter_of(&node.job(job.uuid));
    until("the ends of two ranks", || {
        let children = std::fs::read_to_string(format!("/proc/{starter}/task/{starter}/children")).unwrap();
        children.split_whitespace().filter(|pid| runs(pid.parse().unwrap())).count() <= 1
    });
    node.again();
    let (mut talk, register, told) = sched.settle(1);
    assert_eq!(register.incarnation.start, 2);
    let (number, held) = held(&told, job.uuid).expect("what runs is told");
    assert_eq!(number, first.0, "the same starter");
    let held: Vec<(u32, bool)> = held.iter().map(|held| (held.subtask.0, held.ended)).collect();
    assert_eq!(held, [(0, true), (1, true), (2, true), (3, false)]);
    std::fs::write(tmp.path().join("end"), "").unwrap();
    let expected = [
        (0, Outcome::Exited(10)),
        (1, Outcome::Exited(11)),
        (2, Outcome::Signalled(9)),
        (3, Outcome::Exited(13)),
    ];
    assert_eq!(ends(&mut talk, job.uuid, 4), expected);
    assert_eq!(starter_of(&node.job(job.uuid)), starter);
}

#[test]
fn a_dcd_that_is_asked_to_end_leaves_its_ranks() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let mut node = Node::start(&sched, tmp.path());
    let (mut talk, ..) = sched.settle(1);
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 1, "exec sleep 1000")]);
    let pid = talk.started(job.uuid, 0, 1);
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait().code(), Some(0));
    node.says("live on until the lease's end");
    assert!(runs(pid));
    node.again();
    let (mut talk, _, told) = sched.settle(1);
    assert_eq!(held(&told, job.uuid).unwrap().1.len(), 1);
    assert!(runs(pid));
    let (subtask, attempt) = (dc_model::SubtaskId(0), dc_model::Attempt(1));
    talk.order(job.uuid, &[dc_model::wire::ToStarter::Stop { subtask, attempt, signal: 15 }]);
    assert_eq!(talk.ended(job.uuid, 0, 1).2, Outcome::Signalled(15));
}

#[test]
fn a_cut_connection_harms_no_rank_and_loses_no_report() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let _node = Node::start(&sched, tmp.path());
    let (mut talk, ..) = sched.settle(1);
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    nix::unistd::mkfifo(&tmp.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    talk.order(job.uuid, &[shell(0, 1, "exit 1"), shell(1, 1, "read x < fifo; exit 2")]);
    let (starter, seq, _) = talk.ended(job.uuid, 0, 1);
    // Acknowledged: not told again. What comes after is.
    talk.send(&ToNode::Acknowledge { job: job.uuid, starter, seq });
    talk.idle(Duration::from_millis(100));
    drop(talk);
    std::fs::write(tmp.path().join("fifo"), "x\n").unwrap();
    for epoch in [2, 3] {
        let (mut talk, _, told) = sched.settle(epoch);
        let (number, held) = held(&told, job.uuid).unwrap();
        assert_eq!((number, held.len(), held[0].subtask.0), (starter, 1, 1), "epoch {epoch}");
        let (_, _, outcome) = talk.ended(job.uuid, 1, 1);
        assert_eq!(outcome, Outcome::Exited(2), "epoch {epoch}");
    }
}

#[test]
fn what_was_ordered_before_the_cut_is_not_done_after_it() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let _node = Node::start(&sched, tmp.path());
    let job = TestJob::new(tmp.path());
    for epoch in 1..=10 {
        let (mut talk, _, told) = sched.settle(epoch);
        let known = held(&told, job.uuid).map_or(0, |(_, held)| held.len());
        talk.open(&job);
        talk.order(job.uuid, &[shell(epoch, 1, &format!("echo {epoch} >> ran"))]);
        // Whatever had come through was told; now the connection goes before anything can be known.
        drop(talk);
        let (mut talk, _, told) = sched.settle(epoch);
        let now = held(&told, job.uuid).map_or(0, |(_, held)| held.len());
        let came: Vec<FromNode> = talk.idle(Duration::from_millis(100));
        let ran = std::fs::read_to_string(tmp.path().join("ran")).unwrap_or_default().lines().count();
        assert!(ran <= now.max(known), "{ran} ran, {now} were told: {came:?}");
        drop(talk);
    }
}

#[test]
fn ranks_end_with_the_lease_while_dcd_is_dead() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let mut node = Node::start(&sched, tmp.path());
    let (mut talk, ..) = sched.settle_with(1, 1500);
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 1, "trap '' TERM; while :; do sleep 1000; done")]);
    let pid = talk.started(job.uuid, 0, 1);
    // Heartbeats are answered: it lives on well beyond one lease.
    talk.idle(Duration::from_millis(2500));
    assert!(runs(pid));
    node.kill();
    drop(talk);
    let dead = Instant::now();
    until("the rank's end", || !runs(pid));
    assert!(dead.elapsed() < Duration::from_millis(1500 + 1000), "{:?}", dead.elapsed());
    // The starter stays to tell.
    node.again();
    let (mut talk, _, told) = sched.settle_with(2, 1500);
    let (_, held) = held(&told, job.uuid).unwrap();
    assert!(held.iter().all(|held| held.ended), "{held:?}");
    assert_eq!(talk.ended(job.uuid, 0, 1).2, Outcome::Signalled(9));
    // A new lease lets it go on.
    talk.order(job.uuid, &[shell(0, 2, "exit 5")]);
    assert_eq!(talk.ended(job.uuid, 0, 2).2, Outcome::Exited(5));
}

#[test]
fn a_scheduler_that_does_not_answer_is_dialled_anew() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    let (mut talk, ..) = sched.settle_with(1, 1000);
    talk.grants = false;
    talk.is_refused();
    node.says("for a whole lease");
    let _ = sched.settle_with(1, 1000);
}

#[test]
fn a_killed_starter_takes_its_ranks_with_it_and_is_replaced() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let node = Node::start(&sched, tmp.path());
    let (mut talk, ..) = sched.settle(1);
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    // One has left its rank's session, its group and its parent.
    talk.order(
        job.uuid,
        &[shell(0, 1, "setsid sh -c 'echo $$ > escaped; exec sleep 1000' & exec sleep 1000")],
    );
    let pid = talk.started(job.uuid, 0, 1);
    let escaped = || std::fs::read_to_string(tmp.path().join("escaped")).unwrap_or_default();
    until("the escape", || escaped().ends_with('\n'));
    let escaped: i32 = escaped().trim().parse().unwrap();
    kill(Pid::from_raw(starter_of(&node.job(job.uuid))), Signal::SIGKILL).unwrap();
    loop {
        match talk.next() {
            FromNode::Closed { job: closed, asked } if closed == job.uuid => break assert!(!asked),
            FromNode::Report { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(!runs(pid) && !runs(escaped), "nothing runs when that is told");
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 2, "exit 4")]);
    assert_eq!(talk.ended(job.uuid, 0, 2).2, Outcome::Exited(4));
}

#[test]
fn starter_and_dcd_killed_together() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let mut node = Node::start(&sched, tmp.path());
    let (mut talk, ..) = sched.settle(1);
    let job = TestJob::new(tmp.path());
    talk.open(&job);
    talk.order(
        job.uuid,
        &[shell(0, 1, "setsid sh -c 'echo $$ > escaped; exec sleep 1000' & exec sleep 1000")],
    );
    let pid = talk.started(job.uuid, 0, 1);
    let escaped = || std::fs::read_to_string(tmp.path().join("escaped")).unwrap_or_default();
    until("the escape", || escaped().ends_with('\n'));
    let escaped: i32 = escaped().trim().parse().unwrap();
    let starter = starter_of(&node.job(job.uuid));
    node.kill();
    kill(Pid::from_raw(starter), Signal::SIGKILL).unwrap();
    drop(talk);
    node.again();
    let (mut talk, _, told) = sched.settle(1);
    assert_eq!(held(&told, job.uuid), None, "nothing is said to run");
    assert!(!runs(pid) && !runs(escaped), "and nothing runs when the node is settled");
    talk.open(&job);
    talk.order(job.uuid, &[shell(0, 2, "exit 4")]);
    let (starter, _, outcome) = talk.ended(job.uuid, 0, 2);
    assert_eq!(outcome, Outcome::Exited(4));
    assert!(starter > 2 << 20, "of the second dcd");
}

#[test]
fn dcd_killed_again_and_again_while_ranks_come_and_go() {
    let mut sched = Sched::local();
    let tmp = tempfile::tempdir().unwrap();
    let mut node = Node::start(&sched, tmp.path());
    let job = TestJob::new(tmp.path());
    let mut ended = std::collections::BTreeMap::new();
    let mut next = 0;
    let seed = std::process::id();
    println!("seed {seed}");
    let mut random = seed;
    for round in 0..15u32 {
        let (mut talk, _, told) = sched.settle(1);
        if held(&told, job.uuid).is_none() {
            talk.open(&job);
        }
        for _ in 0..4 {
            talk.order(job.uuid, &[shell(next, 1, &format!("echo {next} >> ran; exit {}", next % 7))]);
            next += 1;
        }
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        for message in talk.idle(Duration::from_millis(u64::from(random >> 25))) {
            let FromNode::Report { starter, seq, frame, .. } = message else { continue };
            if let FromStarter::Ended { subtask, outcome, .. } = read(&frame) {
                ended.insert(subtask.0, outcome);
            }
            if round % 2 == 0 {
                talk.send(&ToNode::Acknowledge { job: job.uuid, starter, seq });
            }
        }
        node.kill();
        node.again();
    }
    // What the node never heard of is ordered again; the ends of the rest come by themselves.
    let (mut talk, _, told) = sched.settle(1);
    let known: Vec<u32> =
        held(&told, job.uuid).map_or(Vec::new(), |h| h.1.iter().map(|h| h.subtask.0).collect());
    if held(&told, job.uuid).is_none() {
        talk.open(&job);
    }
    for subtask in 0..next {
        if !ended.contains_key(&subtask) && !known.contains(&subtask) {
            talk.order(
                job.uuid,
                &[shell(subtask, 1, &format!("echo {subtask} >> ran; exit {}", subtask % 7))],
            );
        }
    }
    while ended.len() < next as usize {
        let (starter, seq, report) = talk.report(job.uuid);
        if let FromStarter::Ended { subtask, outcome, .. } = report {
            ended.insert(subtask.0, outcome);
        }
        talk.send(&ToNode::Acknowledge { job: job.uuid, starter, seq });
    }
    assert!(
        ended.iter().all(|(subtask, outcome)| *outcome == Outcome::Exited((subtask % 7) as u8)),
        "{ended:?}"
    );
    let text = std::fs::read_to_string(tmp.path().join("ran")).unwrap();
    let mut ran: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, (0..next).collect::<Vec<_>>(), "each ran once");
}
