//! A cluster of four hosts that works, and one that is loaded: each job ends, each result is there once and right,
//! nothing is left running, no CPU is given twice.

use dc_integration::cluster::field;
use dc_integration::hosts::{Net, cpus_of, overlap};
use dc_integration::{Cluster, Job, Plan, process, shown};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Long forms are for `make trust` and `make soak`.
fn is_long() -> bool {
    dc_integration::random::rounds() >= 30
}

#[test]
fn the_harness_writes_a_right_dc_toml() {
    let Some(net) = Net::of_hosts("the dc.toml of the cluster tests", 2) else { return };
    for plan in [Plan::new(2, 4), Plan::new(2, 4).keep("partner"), Plan::new(2, 1).on_cpus(&[0, 1])] {
        let text = plan.config(&net);
        let config = dc_config::Config::parse(
            Path::new("dc.toml"),
            text.as_bytes(),
            &dc_config::Surroundings::default(),
        );
        assert!(config.is_ok(), "{text}\n{}", config.unwrap_err());
    }
}

/// Keys and peers files on each host are such as the daemons take.
#[test]
fn the_harness_hands_out_keys() {
    let Some(cluster) = Cluster::make("keys of the cluster tests", Plan::new(2, 4)) else { return };
    for (index, dir) in [(0, "scheduler"), (0, "node"), (1, "node"), (1, "state/dc/client")] {
        let dir = cluster.net.path().join("hosts").join(cluster.host(index).name()).join(dir);
        let key = dc_link::KeyPair::read(&dir.join("key")).unwrap();
        let peers = dc_link::PeersFile::open(&dir.join("peers")).unwrap().peers();
        let role = match dir.file_name().unwrap().to_str().unwrap() {
            "scheduler" => dc_link::Role::Scheduler,
            "node" => dc_link::Role::Node,
            _ => dc_link::Role::Client,
        };
        assert_eq!(peers.get(key.fingerprint()).unwrap().role, role);
        assert_eq!(peers.iter().count(), 4);
    }
}

#[test]
fn four_hosts_run_one_job() {
    let Some(cluster) = Cluster::start("four hosts that run one job", Plan::new(4, 4)) else { return };
    let job = Job::new("four", 64, 40);
    let dcrun = job.start(&cluster, 0, "-n 16");
    job.is_done(&cluster, dcrun);
    cluster.ledger.is_right();
    let entries = cluster.ledger.entries();
    assert_eq!(entries.len(), 64);
    let hosts: BTreeSet<_> = entries.iter().map(|entry| entry.host.as_str()).collect();
    assert_eq!(hosts, BTreeSet::from(["n1", "n2", "n3", "n4"]));
    assert!(
        entries.iter().all(|entry| entry.has_ended && entry.attempt == 1 && entry.cpus.len() == 1),
        "{entries:?}"
    );
    // A client on another host, by TLS.
    let job = Job::new("remote", 8, 10);
    let dcrun = job.start(&cluster, 2, "-n 8");
    job.is_done(&cluster, dcrun);
    for node in cluster.nodes().unwrap() {
        assert_eq!(field(&node, "state"), "up", "{node}");
        assert_eq!(field(&node, "cores"), "4", "{node}");
    }
    cluster.ends_clean();
}

#[test]
fn two_hosts_bound_to_cpus_of_their_own() {
    let allowed = shown::allowed();
    let [first, second, ..] = allowed[..] else {
        eprintln!("skipped: two hosts bound to CPUs of their own: there is one CPU");
        return;
    };
    let plan = Plan::new(2, 1).on_cpus(&[first, second]);
    let Some(cluster) = Cluster::start("two hosts bound to CPUs of their own", plan) else { return };
    let job = Job::new("bound", 6, 100);
    let dcrun = job.start(&cluster, 0, "-n 2");
    cluster.until_computing_on(&[0, 1]);
    let ranks: Vec<i32> = (0..2).map(|host| cluster.host(host).one_called("ledger").pid).collect();
    assert_eq!(overlap(&ranks), None);
    for (host, cpu) in [(0, first), (1, second)] {
        for process in cluster.host(host).processes() {
            let cpus = cpus_of(process.pid).unwrap_or_else(|| BTreeSet::from([cpu]));
            assert_eq!(cpus, BTreeSet::from([cpu]), "{process:?}");
        }
    }
    job.is_done(&cluster, dcrun);
    cluster.ledger.is_right();
    let entries = cluster.ledger.entries();
    assert!(entries.iter().all(|entry| entry.cpus == entry.bound && entry.bound.len() == 1), "{entries:?}");
    cluster.ends_clean();
}

/// Many jobs wait: all are told of, all end.
#[test]
fn many_queued_jobs() {
    let Some(cluster) = Cluster::start("many queued jobs", Plan::new(2, 4)) else { return };
    let count = if is_long() { 10_000 } else { 60 };
    let script = format!(
        "for i in $(seq {count}); do dcrun --detach -n 1 -J j$i true >> {ids} || exit; done",
        ids = cluster.net.shared().join("ids").display()
    );
    let submitter = cluster.ask(0, "sh").arg("-c").arg(script).start();
    let limit = Duration::from_secs(if is_long() { 3600 } else { 120 });
    let _ = submitter.finish_within(limit).ends_with(0);
    let ids = fs::read_to_string(cluster.net.shared().join("ids")).unwrap();
    assert_eq!(ids.lines().count(), count);
    assert_eq!(cluster.all_end(count, limit), Vec::<serde_json::Value>::new());
    cluster.ends_clean();
}

/// A job that prints much harms nobody: its bytes arrive, and dcsched holds none of them.
#[test]
fn a_flood_of_output() {
    let Some(cluster) = Cluster::start("a flood of output", Plan::new(2, 2)) else { return };
    let bytes = if is_long() { 1 << 30 } else { 32 << 20 };
    let mut flood = Job::new("flood", 4, 2);
    flood.flood = bytes;
    let dcrun = flood.start(&cluster, 1, "-n 2");
    let other = Job::new("other", 4, 10);
    let beside = other.start(&cluster, 0, "-n 2");
    other.is_done(&cluster, beside);
    let out = dcrun.out_path().to_owned();
    flood.is_done(&cluster, dcrun);
    assert_eq!(fs::metadata(out).unwrap().len(), 4 * bytes);
    let peak = process::peak_kib(cluster.dcsched_pid()).unwrap();
    assert!(peak < 200 << 10, "dcsched had {peak} KiB");
    cluster.ledger.is_right();
    cluster.ends_clean();
}
