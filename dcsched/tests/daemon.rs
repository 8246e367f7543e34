//! The daemon as nodes and commands meet it: a job's way through it, who may do what, restarts.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod daemon_support;

use daemon_support::*;
use dc_model::cluster::client::WhichJob;
use dc_model::cluster::node::Held;
use dc_model::cluster::{FromClient, NodeState, ToClient};
use dc_model::wire::{FromStarter, Launch};
use dc_model::{Outcome, Record};
use std::time::{Duration, Instant};

/// Follows a job to its end; gives its decisions and its status.
fn follow(client: &mut Client, id: u64) -> (Vec<Record>, u8) {
    let request = client.number();
    client.send(&FromClient::Attach { request, job: WhichJob::Id(id), after: 0 }).unwrap();
    let (mut records, mut next) = (Vec::new(), 1);
    loop {
        match client.receive().unwrap() {
            ToClient::Attached { request: of, seq, .. } => {
                assert_eq!(of, request);
                next = seq + 1;
            }
            ToClient::Records { job, first_seq, records: batch, durable_seq } => {
                assert_eq!(first_seq, next, "decisions come in their order, none twice");
                next += batch.len() as u64;
                assert!(durable_seq < next);
                let decoded =
                    batch.iter().map(|it| dc_spool::journal::from_payload(it.kind, &it.payload).unwrap());
                records.extend(decoded);
                client.send(&FromClient::Window { job, seq: next - 1 }).unwrap();
            }
            ToClient::Ended { status, .. } => return (records, status),
            ToClient::Report { .. } | ToClient::Nodes { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_job_goes_through_a_cluster_of_two_nodes() {
    let daemon = Daemon::started("");
    let mut client = daemon.client();
    let job = record(1, 6);
    let id = client.submitted(&job);
    let mut nodes: Vec<_> = ["a", "b"].into_iter().map(|name| daemon.node(name, 2)).collect();
    assert_eq!(nodes[0].lease_ms, 2000);
    let follower = std::thread::spawn(move || follow(&mut client, id));
    let ran = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for node in &mut nodes {
            let (ran, follower) = (&ran, &follower);
            scope.spawn(move || {
                // The other one may be so quick that nothing is left.
                while !follower.is_finished() {
                    let until = Instant::now() + Duration::from_millis(200);
                    let Ok((kind, body)) = node.talk.receive(until) else {
                        node.beat().unwrap();
                        continue;
                    };
                    for told in node.take(kind, &body) {
                        if let Told::Launch(job, launch) = told {
                            ran.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            node.run(job, &launch).unwrap();
                        }
                    }
                }
            });
        }
    });
    let (records, status) = follower.join().unwrap();
    assert_eq!(status, 0);
    assert_eq!(ran.into_inner(), 6);
    let done = records.iter().filter(|record| matches!(record, Record::Done { .. })).count();
    assert_eq!(done, 6);
    assert!(matches!(records.last(), Some(Record::Ended { status: 0 })));
}

fn refused(answer: ToClient) -> String {
    match answer {
        ToClient::Refused { text, status, .. } => {
            assert!(!text.contains('\n') && status == 125, "{text}");
            text
        }
        other => panic!("{other:?}"),
    }
}

fn text(answer: ToClient) -> String {
    match answer {
        ToClient::Text { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_key_is_one_job_before_and_after_a_restart() {
    let mut daemon = Daemon::started("");
    let job = record(1, 2);
    let mut clients: Vec<_> = (0..4).map(|_| daemon.client()).collect();
    let ids: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = clients.iter_mut().map(|client| scope.spawn(|| client.submitted(&job))).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(ids, [1, 1, 1, 1]);
    daemon.kill();
    daemon.start();
    let mut client = daemon.client();
    assert_eq!(client.submitted(&job), 1);
    assert_eq!(client.submitted(&record(2, 1)), 2);
    let other_key = client.submit([9; 16], &job).unwrap();
    assert!(refused(other_key).contains("another key"));
    assert!(daemon.dump().contains("submitted job=1"));
}

#[test]
fn a_node_that_comes_back_with_what_it_runs_keeps_it() {
    let mut daemon = Daemon::started("");
    let mut client = daemon.client();
    let mut node = daemon.node("a", 2);
    let job = record(1, 2);
    let id = client.submitted(&job);
    let mut launches = Vec::new();
    while launches.len() < 2 {
        for told in node.told().unwrap() {
            if let Told::Launch(_, launch) = told {
                launches.push(launch);
            }
        }
    }
    for launch in &launches {
        let (subtask, attempt) = (launch.subtask, launch.attempt);
        node.report(job.uuid, &FromStarter::Started { subtask, attempt, pid: 1, from: None }).unwrap();
    }
    daemon.kill();
    daemon.start();
    // One goes on, and of the other the end is still to be told.
    let held = |launch: &Launch, ended| Held {
        subtask: launch.subtask,
        attempt: launch.attempt,
        rank: launch.rank,
        cpus: launch.cpus.clone(),
        ended,
        from: None,
    };
    let running = [(job.uuid, 1, vec![held(&launches[0], false), held(&launches[1], true)])];
    let mut register = registration("a", 2, 2);
    register.epoch_seen = 1;
    let mut node = Node::try_connect(&daemon.socket(), register, &running).unwrap();
    let mut last = 0;
    for launch in launches.iter().rev() {
        last = node.report(job.uuid, &ended(launch, Outcome::Exited(0))).unwrap();
    }
    let mut follower = daemon.client();
    let (_, status) = follow(&mut follower, id);
    assert_eq!(status, 0);
    let (mut acknowledged, mut closed) = (0, false);
    while acknowledged < last || !closed {
        for told in node.told().unwrap() {
            match told {
                Told::Acknowledged(_, seq) => acknowledged = seq,
                Told::Closed(_, remove) => closed = remove,
                other => panic!("nothing is started or killed again: {other:?}"),
            }
        }
    }
}

#[test]
fn a_cancel_is_on_disk_when_it_is_answered() {
    let mut daemon = Daemon::started("");
    let mut client = daemon.client();
    let id = client.submitted(&record(1, 2));
    let request = client.number();
    client.send(&FromClient::Stop { request, job: WhichJob::Id(id), reason: 6, signal: 0 }).unwrap();
    assert!(text(client.answer().unwrap()).contains("stopped"));
    daemon.kill();
    daemon.start();
    let (_, status) = follow(&mut daemon.client(), id);
    assert_eq!(status, 143);
}

#[test]
fn lists_and_words_for_what_is_there() {
    let daemon = Daemon::started("");
    let mut client = daemon.client();
    let mut node = daemon.node("n1", 4);
    node.beat().unwrap();
    let id = client.submitted(&record(1, 3));
    node.work(3).unwrap();
    let waiting = client.submitted(&record(2, 2));
    let mut ask = |message: &dyn Fn(u64) -> FromClient| {
        let request = client.number();
        client.send(&message(request)).unwrap();
        client.answer().unwrap()
    };
    let ToClient::Nodes { nodes, .. } = ask(&|request| FromClient::ListNodes { request }) else { panic!() };
    assert_eq!((nodes.len(), &*nodes[0].name, nodes[0].cores, nodes[0].done), (1, "n1", 4, 3));
    assert_eq!((nodes[0].state, &*nodes[0].address), (NodeState::Up, "127.0.0.1:7"));
    let all = ask(&|request| FromClient::ListJobs { request, ids: vec![], ended: true });
    let ToClient::Jobs { jobs, last: true, .. } = all else { panic!() };
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [id, waiting]);
    assert_eq!((&*jobs[0].name, jobs[0].subtasks_done, jobs[0].cells_done), ("job-1", 3, 3));
    let list =
        |from| move |request| FromClient::ListSubtasks { request, job: WhichJob::Id(id), from, count_max: 2 };
    let ToClient::Subtasks { subtasks, last: false, .. } = ask(&list(0)) else { panic!() };
    assert_eq!((subtasks.len(), &*subtasks[0].node, subtasks[0].attempt.0), (2, "n1", 1));
    let ToClient::Subtasks { subtasks, last: true, .. } = ask(&list(2)) else { panic!() };
    assert_eq!(subtasks.len(), 1);

    let drain = |nodes: &[&str], drain| {
        let nodes: Vec<_> = nodes.iter().map(|name| (*name).to_owned()).collect();
        move |request| FromClient::Drain { request, nodes: nodes.clone(), drain, reason: "disk\n".into() }
    };
    assert!(refused(ask(&drain(&["n1", "n\u{1b}2"], true))).contains("nothing was changed"));
    assert!(text(ask(&drain(&["n1"], true))).contains("n1"));
    let ToClient::Nodes { nodes, .. } = ask(&|request| FromClient::ListNodes { request }) else { panic!() };
    assert!(matches!(nodes[0].state, NodeState::Draining | NodeState::Drained));
    assert_eq!(nodes[0].reason, "disk ");
    let explain = |what: &str| {
        let what = what.to_owned();
        move |request| FromClient::Explain { request, what: what.clone() }
    };
    assert!(text(ask(&explain("n1"))).contains("disk"));
    assert!(text(ask(&explain("2"))).contains("job 2"));
    assert!(refused(ask(&explain("nobody"))).contains("nobody"));
    assert!(text(ask(&drain(&["n1"], false))).contains("again"));
    let attach = ask(&|request| FromClient::Attach { request, job: WhichJob::Id(99), after: 0 });
    assert!(refused(attach).contains("99"));
    assert!(daemon.dump().contains("node-drain node=1"));
}

#[test]
fn a_follower_merges_and_another_when_that_one_is_gone() {
    let daemon = Daemon::started("");
    let mut node = daemon.node("a", 2);
    let mut job = record(1, 2);
    job.options.merges = vec![dc_spool::job::MergeTarget {
        kind: dc_spool::job::MergeKind::Concat,
        path: "/tmp/out".into(),
        fill: None,
    }];
    let mut first = daemon.client();
    let id = first.submitted(&job);
    let attach = |client: &mut Client| {
        let request = client.number();
        client.send(&FromClient::Attach { request, job: WhichJob::Id(id), after: 0 }).unwrap();
        assert!(matches!(client.answer().unwrap(), ToClient::Attached { .. }));
    };
    attach(&mut first);
    node.work(2).unwrap();
    let merge = |client: &mut Client| {
        let mut done = 0;
        loop {
            match client.receive().unwrap() {
                ToClient::Records { records, .. } => {
                    done += records.iter().filter(|record| record.kind == 5).count();
                }
                ToClient::Merge { job: of } => {
                    assert_eq!(of, job.uuid);
                    return done;
                }
                _ => {}
            }
        }
    };
    merge(&mut first);
    let mut second = daemon.client();
    attach(&mut second);
    drop(first);
    merge(&mut second);
    second.send(&FromClient::Merged { job: job.uuid, status: 0 }).unwrap();
    loop {
        if let ToClient::Ended { status, .. } = second.receive().unwrap() {
            assert_eq!(status, 0);
            break;
        }
    }
}

#[test]
fn a_second_dcsched_on_the_same_state_refuses_and_the_first_goes_on() {
    let daemon = Daemon::started("");
    let out = daemon.command().output().unwrap();
    assert_eq!(out.status.code(), Some(125));
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(error.contains("one dcsched at a time"), "{error}");
    daemon.client().submitted(&record(1, 1));
}

#[test]
fn sigterm_ends_it_cleanly_and_sighup_reads_the_configuration_again() {
    let mut daemon = Daemon::started("");
    daemon.client().submitted(&record(1, 1));
    let path = daemon.dir.join("dc.toml");
    let old = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, old.replace("\"2s\"", "\"7s\"")).unwrap();
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    daemon.wait_log("changed: scheduler.lease");
    assert_eq!(daemon.node("a", 1).lease_ms, 7000);
    std::fs::write(&path, "[scheduler]\nnonsense = 1\n").unwrap();
    let mut client = daemon.client();
    let request = client.number();
    client.send(&FromClient::Reload { request }).unwrap();
    let said = refused(client.answer().unwrap());
    assert!(said.contains("dc.toml:2:1: ") && said.contains("nonsense"), "{said}");
    assert!(said.contains("stays as it is"), "{said}");
    assert_eq!(daemon.node("b", 1).lease_ms, 7000);
    std::fs::write(&path, old.replace("/state\"", "/state2\"")).unwrap();
    let request = client.number();
    client.send(&FromClient::Reload { request }).unwrap();
    let said = text(client.answer().unwrap());
    assert!(said.contains("started again") && said.contains("scheduler.state"), "{said}");
    std::fs::write(&path, old).unwrap();
    daemon.end();
    assert!(!daemon.socket().exists());
    daemon.start();
    assert!(daemon.wait_log("jobs=1").contains("epoch=2"));
}

#[test]
fn a_lost_node_is_told_and_its_work_goes_to_another() {
    let daemon = Daemon::started("");
    let mut a = daemon.node("a", 1);
    let job = record(1, 1);
    let mut client = daemon.client();
    let id = client.submitted(&job);
    let launch = loop {
        let told = a.told().unwrap();
        if let Some(Told::Launch(_, launch)) = told.into_iter().find(|told| matches!(told, Told::Launch(..)))
        {
            break launch;
        }
    };
    let mut b = daemon.node("b", 1);
    // It falls silent; the lease is 2 s, and 2 s more are waited.
    let began = std::time::Instant::now();
    b.beat().unwrap();
    b.work(1).unwrap();
    let waited = began.elapsed().as_secs_f64();
    assert!((3.5..7.0).contains(&waited), "{waited}");
    daemon.wait_log("lost: its lease has ended");
    let (records, status) = follow(&mut client, id);
    assert_eq!(status, 0, "{records:?}");
    drop((a, launch));
}
