//! Nodes come and go, without a job: a host is cut off, paused, switched off; dcsched and dcd are killed. What dcsched
//! decides of them is read from its journal.

use dc_integration::hosts::Net;
use dc_integration::random::rounds;
use dc_integration::wait::until;
use dc_integration::{Cluster, Plan, process};
use std::time::{Duration, Instant};

const LEASE: Duration = Duration::from_secs(2);
/// dcsched's margin, and what a busy machine that tests may add.
const MARGIN: Duration = Duration::from_secs(5 + 5);

fn three(what: &str) -> Option<Cluster> {
    Cluster::start_daemons(what, Plan::new(3, 4).lease_ms(LEASE.as_millis() as u64))
}

/// Lost not before its lease has ended, and not long after; the others are not.
fn is_lost_after_its_lease(cluster: &Cluster, since: Instant) {
    cluster.until_journaled(2, "node-lost");
    let took = since.elapsed();
    // Its last lease began with a heartbeat of the last sixth before.
    assert!(took > LEASE / 6 * 4 && took < LEASE + MARGIN, "{took:?}");
    for other in [0, 1] {
        assert_eq!(cluster.journaled(other), ["node-seen", "node-up"]);
    }
}

fn is_lost_and_found(what: &str, cut: fn(&mut Net)) {
    let Some(mut cluster) = three(what) else { return };
    let since = Instant::now();
    cut(&mut cluster.net);
    is_lost_after_its_lease(&cluster, since);
    cluster.net.heal(2);
    cluster.until_journaled(2, "node-up");
    assert_eq!(cluster.journaled(2), ["node-seen", "node-up", "node-lost", "node-up"]);
    cluster.ends_clean();
}

#[test]
fn a_node_cut_off_both_ways_is_lost_and_found() {
    is_lost_and_found("a node that is cut off both ways", |net| net.cut(2));
}

#[test]
fn a_node_that_nobody_hears_is_lost_and_found() {
    is_lost_and_found("a node from which nothing comes", |net| net.cut_from(2));
}

#[test]
fn a_node_that_hears_nobody_is_lost_and_found() {
    is_lost_and_found("a node that nothing reaches", |net| net.cut_to(2));
}

#[test]
fn a_node_that_stands_still_is_lost_and_found() {
    let Some(cluster) = three("a node that is paused") else { return };
    let since = Instant::now();
    cluster.host(2).pause();
    is_lost_after_its_lease(&cluster, since);
    cluster.host(2).resume();
    cluster.until_journaled(2, "node-up");
    cluster.ends_clean();
}

#[test]
fn a_node_that_is_switched_off_is_lost_and_comes_back() {
    let Some(mut cluster) = three("a node that is switched off") else { return };
    let since = Instant::now();
    cluster.host(2).power_off();
    is_lost_after_its_lease(&cluster, since);
    cluster.power_on(2);
    cluster.until_journaled(2, "node-up");
    cluster.ends_clean();
}

#[test]
fn a_dcd_that_is_killed_is_another_start_of_it() {
    let Some(mut cluster) = three("a dcd that is killed") else { return };
    for start in 2..5 {
        cluster.kill_dcd(2);
        cluster.start_dcd(2);
        cluster.dcd(2).says(&format!("start={start}"));
        cluster.dcd(2).says("registered");
    }
    assert!(!cluster.journaled(2).contains(&"node-lost".to_owned()), "{:?}", cluster.journaled(2));
    cluster.ends_clean();
}

/// Each time the nodes find the new one, which is an epoch further, and none is lost. A second dcsched on the same state
/// is refused.
#[test]
fn a_dcsched_that_is_killed_finds_its_nodes_again() {
    let what = "a dcsched that is killed";
    let Some(mut cluster) = Cluster::start_daemons(what, Plan::new(3, 4).lease_ms(20_000)) else { return };
    let kills = 4 * rounds().min(25);
    for kill in 0..kills {
        cluster.kill_dcsched();
        cluster.start_dcsched();
        for index in 0..3 {
            cluster.dcd(index).says(&format!("registered epoch={}", kill + 2));
        }
    }
    for index in 0..3 {
        assert!(
            !cluster.journaled(index).contains(&"node-lost".to_owned()),
            "{:?}",
            cluster.journaled(index)
        );
    }
    let second = cluster.ask(0, "dcsched").run();
    assert!(second.code == 125 && second.err.contains("in use"), "{second:?}");
    eprintln!("trust: dcsched killed beside three nodes: {kills} kills");
    cluster.ends_clean();
}

/// Who does not have a key of the cluster's gets nowhere, and harms nobody.
#[test]
fn a_dcd_with_a_strange_key_is_refused() {
    let Some(mut cluster) = three("a dcd with a strange key") else { return };
    cluster.kill_dcd(2);
    let key = Plan::node_state(&cluster.net).join("key");
    let strange = dc_link::KeyPair::generate().unwrap();
    let dir = cluster.net.path().join("keys/strange");
    strange.write_new(&dir).unwrap();
    cluster.host(2).sh(&format!("cat {} > {}", dir.display(), key.display())).run().ends_with(0);
    cluster.start_dcd(2);
    cluster.until_journaled(2, "node-lost");
    let dcsched = process::Process::of(cluster.dcsched_pid()).unwrap();
    until("dcsched", || dcsched.lives().then_some(()));
    for other in [0, 1] {
        assert_eq!(cluster.journaled(other), ["node-seen", "node-up"]);
    }
    assert!(!cluster.dcd(2).err().contains("registered"), "{}", cluster.dcd(2).err());
}
