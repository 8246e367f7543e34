//! The daemon as nodes and commands meet it: a job's way through it, who may do what, restarts.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod daemon_support;

use daemon_support::*;
use dc_model::Record;
use dc_model::cluster::client::WhichJob;
use dc_model::cluster::{FromClient, ToClient};

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
            let ran = &ran;
            scope.spawn(move || {
                loop {
                    for told in node.told().unwrap() {
                        match told {
                            Told::Launch(job, launch) => {
                                ran.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                                node.run(job, &launch).unwrap();
                            }
                            Told::Closed(..) => return,
                            _ => {}
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
