//! A cluster in which something fails: a host cut off, paused or switched off; dcsched, a dcd or a starter killed; a disk
//! that is full. Each job ends, each result is there once and right, nothing is left running, no CPU is given twice.

use dc_integration::random::Random;
use dc_integration::wait::{until, within};
use dc_integration::{Cluster, Job, Ledger, Plan};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const LEASE_MS: u64 = 3000;
/// What a lost node's subtasks may wait beyond the lease, and what a busy machine that tests may add.
const LOST_MAX: Duration = Duration::from_secs(5 + 5);

/// Long forms are for `make trust` and `make soak`.
fn is_long() -> bool {
    dc_integration::random::rounds() >= 30
}

/// Four hosts of four cores, with a job of some seconds on all of them.
fn four_at_work(what: &str) -> Option<(Cluster, Job, dc_integration::hosts::Inside)> {
    let cluster = Cluster::start(what, Plan::new(4, 4).lease_ms(LEASE_MS))?;
    let job = Job::new("job", 48, 200);
    let dcrun = job.start(&cluster, 0, "-n 16");
    cluster.until_computing_on(&[0, 1, 2, 3]);
    Some((cluster, job, dcrun))
}

/// Ranks that run on a host now: subtask and attempt.
fn running_on(cluster: &Cluster, index: usize) -> BTreeSet<(u32, u32)> {
    let name = cluster.host(index).name();
    let entries = cluster.ledger.entries();
    entries.iter().filter(|e| e.host == name && !e.has_ended).map(|e| (e.subtask, e.attempt)).collect()
}

/// Waits until each of these subtasks is being computed again, elsewhere; how long after `since`.
fn until_elsewhere(cluster: &Cluster, lost: &BTreeSet<(u32, u32)>, host: usize, since: Instant) -> Duration {
    let name = cluster.host(host).name();
    until("the lost subtasks to be computed elsewhere", || {
        let entries = cluster.ledger.entries();
        let is_again = |(subtask, attempt): &(u32, u32)| {
            entries.iter().any(|e| {
                e.subtask == *subtask
                    && (e.attempt > *attempt && e.host != name || e.attempt == *attempt && e.has_ended)
            })
        };
        lost.iter().all(is_again).then_some(())
    });
    since.elapsed()
}

/// A node out of reach: its ranks end by themselves before the others begin; the job ends without it; it comes back.
fn out_of_reach(what: &str, cut: fn(&mut dc_integration::hosts::Net)) {
    let Some((mut cluster, job, dcrun)) = four_at_work(what) else { return };
    cut(&mut cluster.net);
    let since = Instant::now();
    let lost = running_on(&cluster, 2);
    cluster.until_no_rank_on(2);
    let took = until_elsewhere(&cluster, &lost, 2, since);
    eprintln!("{what}: lost to computed again in {took:?} with a lease of {LEASE_MS} ms");
    assert!(took < Duration::from_millis(LEASE_MS) + LOST_MAX, "{took:?}");
    job.is_done(&cluster, dcrun);
    cluster.ledger.is_right();
    cluster.net.heal(2);
    cluster.until_up(&[0, 1, 2, 3]);
    // It works again.
    let again = Job::new("again", 16, 20);
    let dcrun = again.start(&cluster, 0, "-n 16");
    cluster.until_computing_on(&[2]);
    again.is_done(&cluster, dcrun);
    cluster.ledger.is_right();
    cluster.ends_clean();
}

#[test]
fn a_host_cut_off_both_ways() {
    out_of_reach("a host that is cut off both ways", |net| net.cut(2));
}

#[test]
fn a_host_cut_off_one_way_from_it() {
    out_of_reach("a host from which nothing comes", |net| net.cut_from(2));
}

#[test]
fn a_host_cut_off_one_way_to_it() {
    out_of_reach("a host that nothing reaches", |net| net.cut_to(2));
}

/// A cut that is shorter than the lease harms nobody.
#[test]
fn a_short_cut_harms_no_rank() {
    let Some((mut cluster, job, dcrun)) = four_at_work("a host that is cut off for a moment") else { return };
    cluster.net.cut(2);
    let cut = Instant::now();
    until("a moment", || (cut.elapsed() > Duration::from_millis(LEASE_MS / 3)).then_some(()));
    cluster.net.heal(2);
    job.is_done(&cluster, dcrun);
    cluster.ledger.is_right();
    let entries = cluster.ledger.entries();
    assert!(entries.iter().all(|entry| entry.attempt == 1 && entry.has_ended), "{entries:?}");
    cluster.ends_clean();
}

#[test]
fn a_host_that_stands_still() {
    let Some((cluster, job, dcrun)) = four_at_work("a host that is paused") else { return };
    let lost = running_on(&cluster, 2);
    cluster.host(2).pause_by_signals();
    let (since, still_ns) = (Instant::now(), Ledger::now_ns());
    until_elsewhere(&cluster, &lost, 2, since);
    job.is_done(&cluster, dcrun);
    cluster.host(2).resume();
    cluster.until_no_rank_on(2);
    cluster.until_up(&[0, 1, 2, 3]);
    job.is_merged(&cluster);
    assert_eq!(cluster.ledger.wrongs_but(&[("n3", still_ns)]), Vec::<String>::new());
    cluster.ends_clean();
}

#[test]
fn a_host_that_is_switched_off() {
    let Some((mut cluster, job, dcrun)) = four_at_work("a host that is switched off") else { return };
    let lost = running_on(&cluster, 2);
    cluster.host(2).power_off();
    let took = until_elsewhere(&cluster, &lost, 2, Instant::now());
    assert!(took < Duration::from_millis(LEASE_MS) + LOST_MAX, "{took:?}");
    job.is_done(&cluster, dcrun);
    cluster.ledger.is_right();
    cluster.power_on(2);
    cluster.until_up(&[0, 1, 2, 3]);
    let again = Job::new("again", 16, 20);
    let dcrun = again.start(&cluster, 0, "-n 16");
    cluster.until_computing_on(&[2]);
    again.is_done(&cluster, dcrun);
    cluster.ends_clean();
}

/// As if dcd had been upgraded: no rank is harmed, no end is lost.
#[test]
fn dcd_killed_and_started_again() {
    let Some((mut cluster, job, dcrun)) = four_at_work("a dcd that is killed") else { return };
    cluster.kill_dcd(2);
    assert!(!running_on(&cluster, 2).is_empty());
    cluster.start_dcd(2);
    job.is_done(&cluster, dcrun);
    cluster.ledger.is_right();
    let entries = cluster.ledger.entries();
    assert!(entries.iter().all(|entry| entry.attempt == 1 && entry.has_ended), "{entries:?}");
    cluster.until_up(&[0, 1, 2, 3]);
    cluster.ends_clean();
}

/// Nobody is left who could tell the starter anything: it ends its ranks by itself, at the lease's end.
#[test]
fn dcd_killed_for_good_and_the_link_cut() {
    let Some((mut cluster, job, dcrun)) = four_at_work("a dcd that is killed for good") else { return };
    let lost = running_on(&cluster, 2);
    cluster.kill_dcd(2);
    cluster.net.cut(2);
    let since = Instant::now();
    cluster.until_no_rank_on(2);
    assert!(since.elapsed() < Duration::from_millis(LEASE_MS) + LOST_MAX);
    until_elsewhere(&cluster, &lost, 2, since);
    job.is_done(&cluster, dcrun);
    cluster.ledger.is_right();
    cluster.net.heal(2);
    cluster.start_dcd(2);
    cluster.until_up(&[0, 1, 2, 3]);
    cluster.ends_clean();
}

#[test]
fn a_starter_killed() {
    let Some((cluster, job, dcrun)) = four_at_work("a starter that is killed") else { return };
    assert!(cluster.kill_starters(2) > 0);
    job.is_done(&cluster, dcrun);
    cluster.ledger.is_right();
    cluster.ends_clean();
}

/// dcsched is killed again and again while jobs are submitted and run: what was acknowledged is not lost, and no rank is
/// harmed.
#[test]
fn dcsched_killed_again_and_again() {
    let (kills, jobs) = if is_long() { (100, 1000) } else { (6, 24) };
    let plan = Plan::new(4, 4).lease_ms(10_000);
    let Some(mut cluster) = Cluster::start("a dcsched that is killed again and again", plan) else { return };
    let mut random = Random::of_this_run("dcsched_killed_again_and_again");
    let mut told = Vec::new();
    let all: Vec<Job> = (0..jobs).map(|n| Job::new(&format!("j{n}"), 4, 20 + n % 40)).collect();
    let each = jobs as usize / kills;
    for some in all.chunks(each.max(1)) {
        // Submitted while it dies: each goes on asking with the same key until it is answered.
        let submits: Vec<_> = some.iter().map(|job| job.start(&cluster, 0, "--detach -n 4")).collect();
        let moment = Duration::from_millis(random.below(300));
        within(moment, || None::<()>);
        cluster.kill_dcsched();
        cluster.start_dcsched();
        told.extend(submits);
    }
    // Each was acknowledged with its number. A job that merges waits for a command that does: so each is gone back to.
    for (job, submit) in all.iter().zip(told) {
        let id = submit.finish().ends_with(0).out;
        let dcrun = cluster.ask(0, "dcrun").words(&format!("--attach {}", id.trim())).start();
        job.is_done(&cluster, dcrun);
    }
    let limit = Duration::from_secs(if is_long() { 1800 } else { 120 });
    let others = cluster.all_end(all.len(), limit);
    assert!(others.is_empty(), "{others:?}");
    eprintln!("trust: dcsched killed beside {} jobs: {kills} kills", all.len());
    cluster.ledger.is_right();
    let entries = cluster.ledger.entries();
    let ended = entries.iter().filter(|entry| entry.has_ended).map(|entry| (&entry.job, entry.subtask));
    assert_eq!(ended.collect::<BTreeSet<_>>().len(), all.len() * 4);
    cluster.ends_clean();
}

/// A node's disk fills up: its subtasks go on elsewhere or wait for room, and every result is right.
#[test]
fn a_nodes_disk_that_is_full() {
    let plan = Plan::new(3, 2).lease_ms(LEASE_MS).keep("local").disk(2, 8 << 20);
    let Some(cluster) = Cluster::start("a node whose disk is full", plan) else { return };
    let job = Job::new("job", 24, 100);
    let dcrun = job.start(&cluster, 0, "-n 6 --restarts 20");
    cluster.until_computing_on(&[2]);
    cluster.host(2).sh("head -c 100000000 /dev/zero > big; sync").run();
    until("a checkpoint that does not fit", || (!cluster.ledger.lines("unsaved").is_empty()).then_some(()));
    cluster.host(2).sh("rm big").run().ends_with(0);
    job.is_done(&cluster, dcrun);
    cluster.ledger.is_right();
    cluster.ends_clean();
}

/// dcsched's disk fills up: a submission is refused before it is acknowledged, what runs goes on and its ends are kept; with
/// room again, all is as before.
#[test]
fn the_schedulers_disk_that_is_full() {
    let plan = Plan::new(2, 4).lease_ms(LEASE_MS).disk(0, 256 << 20);
    let Some(cluster) = Cluster::start("a scheduler whose disk is full", plan) else { return };
    let job = Job::new("job", 16, 200);
    let dcrun = job.start(&cluster, 1, "-n 8");
    cluster.until_computing_on(&[0, 1]);
    cluster.host(0).sh("head -c 1000000000 /dev/zero > big").run();
    let job_2 = Job::new("refused", 2000, 1);
    let refused = within(Duration::from_secs(30), || {
        let ended = job_2.start(&cluster, 1, "--detach -n 1").finish();
        (ended.code != 0).then_some(ended)
    });
    if let Some(refused) = &refused {
        assert!(refused.err.contains("space") || refused.err.contains("full"), "{refused:?}");
    }
    job.is_done(&cluster, dcrun);
    cluster.host(0).sh("rm big").run().ends_with(0);
    // dcsched looks for room once a second; until then it says so.
    let after = Job::new("after", 8, 10);
    let ended = until("a submission that is taken again", || {
        let ended = after.start(&cluster, 1, "-n 8").finish();
        (!ended.err.contains("disk is full")).then_some(ended)
    });
    assert_eq!(ended.code, 0, "{ended:?}");
    cluster.ledger.is_right();
}
