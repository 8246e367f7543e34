//! The daemon killed, and its disk failing: what it acknowledged is there, and what it could not keep it did not say.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod daemon_support;

use daemon_support::*;
use dc_model::cluster::client::WhichJob;
use dc_model::cluster::{FromClient, ToClient};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Jobs that somebody has been told are there: number by uuid's number.
type Told = BTreeMap<u64, u64>;

fn rounds(usual: u64) -> u64 {
    std::env::var("DC_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Every one of these is there, under its number, once.
fn check(daemon: &Daemon, told: &Told) {
    let mut client = daemon.client();
    let request = client.number();
    client.send(&FromClient::ListJobs { request, ids: Vec::new(), ended: true }).unwrap();
    let mut found = BTreeMap::new();
    loop {
        let ToClient::Jobs { jobs, last, .. } = client.answer().unwrap() else { panic!() };
        for job in jobs {
            assert!(found.insert(job.uuid, job.id).is_none(), "twice");
        }
        if last {
            break;
        }
    }
    for (n, id) in told {
        assert_eq!(found.get(&uuid(*n)), Some(id), "job {n} was acknowledged as {id}");
    }
    let mut ids: Vec<_> = found.values().collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), found.len());
}

/// Submits until the daemon is gone; what was not answered is submitted again with its key the next time.
fn submit_until_gone(socket: &Path, told: &mut Told, next: &mut u64, stop: &AtomicBool) {
    let Ok(mut client) = Client::connect(socket) else { return };
    while !stop.load(Ordering::SeqCst) {
        match client.submit(uuid(*next).0, &record(*next, 2)) {
            Ok(ToClient::Accepted { id, .. }) => {
                assert_eq!(*told.entry(*next).or_insert(id), id);
                *next += 2;
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => return,
        }
    }
}

#[test]
fn killed_at_any_moment_every_acknowledged_job_is_there() {
    let mut daemon = Daemon::configured("");
    let (mut told, mut next) = ([Told::new(), Told::new()], [1, 2]);
    let mut all = Told::new();
    for round in 0..rounds(12) {
        daemon.start();
        check(&daemon, &all);
        let socket = daemon.socket();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for (told, next) in told.iter_mut().zip(&mut next) {
                let (socket, stop) = (&socket, &stop);
                scope.spawn(move || submit_until_gone(socket, told, next, stop));
            }
            // A moment that differs from round to round; what is tested does not depend on it.
            let at = Instant::now() + Duration::from_micros(3_000 + (round * 7919) % 60_000);
            while Instant::now() < at {
                std::hint::spin_loop();
            }
            daemon.kill();
            stop.store(true, Ordering::SeqCst);
        });
        told.iter().for_each(|told| all.extend(told));
    }
    daemon.start();
    check(&daemon, &all);
    assert!(!all.is_empty());
    daemon.end();
}

fn traces() -> bool {
    let asked = Command::new("strace").args(["-qq", "-e", "trace=none", "-o", "/dev/null", "true"]).status();
    let there = asked.is_ok_and(|status| status.success());
    if !there {
        eprintln!("not tested: strace(1) is not there, or may not trace");
    }
    there
}

fn strace(what: &str) -> Vec<String> {
    ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", what].map(str::to_owned).to_vec()
}

/// A short life of a cluster: jobs, a node that runs some, a cancel. Ends when the daemon does.
fn session(daemon: &Daemon, told: &mut Told, cancelled: &mut bool) -> Result<(), String> {
    let mut client = Client::connect(&daemon.socket())?;
    for n in 1..=3 {
        match client.submit(uuid(n).0, &record(n, 2))? {
            ToClient::Accepted { id, .. } => assert_eq!(*told.entry(n).or_insert(id), id),
            other => panic!("{other:?}"),
        }
    }
    let mut node = Node::try_connect(&daemon.socket(), registration("a", 1, 2), &[])?;
    node.beat()?;
    node.work(2)?;
    let request = client.number();
    client.send(&FromClient::Stop { request, job: WhichJob::Uuid(uuid(3)), reason: 6, signal: 0 })?;
    if matches!(client.answer()?, ToClient::Text { .. }) {
        *cancelled = true;
    }
    Ok(())
}

#[test]
fn killed_at_every_system_call_every_acknowledged_job_is_there() {
    if !traces() {
        return;
    }
    // First how many there are.
    let counted = {
        let mut daemon = Daemon::configured("");
        let out = daemon.dir.join("calls");
        daemon.under = ["strace", "-D", "-f", "-qq", "-o"].map(str::to_owned).to_vec();
        daemon.under.push(out.display().to_string());
        daemon.start();
        session(&daemon, &mut Told::new(), &mut false).unwrap();
        daemon.kill();
        std::fs::read_to_string(out).unwrap().lines().count() as u64
    };
    let points = rounds(40).min(counted);
    for point in 0..points {
        let at = 1 + point * counted / points;
        let mut daemon = Daemon::configured("");
        daemon.under = strace(&format!("inject=all:signal=KILL:when={at}"));
        let (mut told, mut cancelled) = (Told::new(), false);
        if daemon.try_start() {
            let _ = session(&daemon, &mut told, &mut cancelled);
        }
        daemon.kill();
        // What dies in making the directory is made by hand; nothing was acknowledged.
        daemon.under = Vec::new();
        let state = daemon.dir.join("state");
        if !state.join("cluster").exists() {
            assert!(told.is_empty());
            let out = Command::new(env!("CARGO_BIN_EXE_dcsched")).arg("init").arg(&state).output().unwrap();
            assert!(out.status.success(), "call {at}: {}", String::from_utf8_lossy(&out.stderr));
        }
        daemon.start();
        check(&daemon, &told);
        if cancelled {
            let mut client = daemon.client();
            let request = client.number();
            client.send(&FromClient::ListJobs { request, ids: vec![told[&3]], ended: true }).unwrap();
            let ToClient::Jobs { jobs, .. } = client.answer().unwrap() else { panic!() };
            assert!(["stopping", "ended"].contains(&&*jobs[0].state), "call {at}: {:?}", jobs[0]);
        }
        let mut client = daemon.client();
        assert!(
            matches!(client.submit(uuid(9).0, &record(9, 1)), Ok(ToClient::Accepted { .. })),
            "call {at}"
        );
    }
}

#[test]
fn a_failed_sync_ends_it_and_nothing_is_acknowledged_after() {
    if !traces() {
        return;
    }
    for at in [4, 6, 9] {
        let mut daemon = Daemon::configured("");
        daemon.under = strace(&format!("inject=fdatasync:error=EIO:when={at}+"));
        if !daemon.try_start() {
            continue;
        }
        let mut told = Told::new();
        let mut client = daemon.client();
        for n in 1.. {
            match client.submit(uuid(n).0, &record(n, 1)) {
                Ok(ToClient::Accepted { id, .. }) => {
                    told.insert(n, id);
                }
                Ok(other) => panic!("{other:?}"),
                Err(_) => break,
            }
        }
        assert_eq!(daemon.wait(), Some(1));
        let said = daemon.wait_log("the journal has stopped");
        assert!(said.starts_with("dcsched: "), "{said}");
        daemon.under = Vec::new();
        daemon.start();
        check(&daemon, &told);
        assert!(Client::connect(&daemon.socket()).unwrap().submit(uuid(999).0, &record(999, 1)).is_ok());
    }
}

/// A small disk; unmounted at the end.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=0700");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).status();
        done.is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_submissions_are_refused_and_ends_are_recorded() {
    let mut daemon = Daemon::configured("");
    let state = daemon.dir.join("state");
    let Some(disk) = Disk::mount(&state, "80m") else {
        eprintln!("not tested: a small disk cannot be mounted here (root can)");
        return;
    };
    daemon.start();
    let mut client = daemon.client();
    let first = client.submitted(&record(1, 2));
    // All but a little is taken by somebody else.
    let filler = state.join("..").canonicalize().unwrap().join("state/filler");
    {
        use std::io::Write;
        let mut file = std::fs::File::create(&filler).unwrap();
        let piece = vec![1; 1 << 20];
        while file.write_all(&piece).is_ok() {}
    }
    let mut big = record(2, 1);
    big.env = (0..8).map(|i| format!("V{i}={}", "x".repeat(100_000)).into_bytes()).collect();
    let mut taken = Told::from([(1, first)]);
    let refused = loop {
        big.uuid = uuid(100 + taken.len() as u64);
        match client.submit(big.uuid.0, &big).unwrap() {
            ToClient::Accepted { id, .. } => drop(taken.insert(100 + taken.len() as u64, id)),
            ToClient::Refused { text, .. } => break text,
            other => panic!("{other:?}"),
        }
        assert!(taken.len() < 200, "the disk is never full");
    };
    assert!(refused.contains("disk is full"), "{refused}");
    assert_eq!(client.submitted(&record(1, 2)), first, "what was taken is answered all the same");
    // What is there ends, and a cancel is taken.
    let request = client.number();
    client.send(&FromClient::Stop { request, job: WhichJob::Uuid(uuid(101)), reason: 6, signal: 0 }).unwrap();
    assert!(matches!(client.answer().unwrap(), ToClient::Text { .. }));
    std::fs::remove_file(&filler).unwrap();
    daemon.wait_log("space for the journal again");
    big.uuid = uuid(5000);
    taken.insert(5000, client.submitted(&big));
    daemon.kill();
    daemon.start();
    check(&daemon, &taken);
    daemon.kill();
    drop(disk);
}

#[test]
fn a_snapshot_is_made_and_begun_from() {
    let mut daemon = Daemon::started("");
    let mut client = daemon.client();
    let mut told = Told::new();
    let mut big = record(1, 1);
    big.env = (0..8).map(|i| format!("V{i}={}", "x".repeat(100_000)).into_bytes()).collect();
    for n in 1..=40 {
        big.uuid = uuid(n);
        told.insert(n, client.submitted(&big));
    }
    daemon.wait_log("snapshot");
    daemon.kill();
    assert!(daemon.dump().starts_with("snapshot.000002"), "{}", &daemon.dump()[..100]);
    daemon.start();
    check(&daemon, &told);
    // One that is longer than a record of the journal.
    big.uuid = uuid(99);
    big.env = (0..40).map(|i| format!("V{i}={}", "x".repeat(100_000)).into_bytes()).collect();
    told.insert(99, daemon.client().submitted(&big));
    daemon.kill();
    daemon.start();
    check(&daemon, &told);
}
