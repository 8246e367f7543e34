//! Many seeds of the simulated cluster, with and without planted bugs. `DC_SEED=n` runs that one, `DC_SEEDS=n` so many,
//! from DC_SEED or 0 on; `DC_TRACE=1` prints every event of it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use dcsched::sim::cluster::{Faults, Plant, run};
use std::ops::Range;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn seeds() -> Range<u64> {
    match number("DC_SEED") {
        Some(seed) => seed..seed + number("DC_SEEDS").unwrap_or(1),
        None => 0..number("DC_SEEDS").unwrap_or(300),
    }
}

#[test]
fn without_faults_every_job_ends_well() {
    for seed in seeds().take(200) {
        let report = run(seed, Faults::NONE, Plant::Nothing);
        assert_eq!(report.violation, None, "repeat with DC_SEED={seed}; {report:?}");
        assert_eq!(report.jobs.0, report.jobs.1, "repeat with DC_SEED={seed}; {report:?}");
    }
}

#[test]
fn every_promise_holds_whatever_dies() {
    let mut killed = [0u32; 4];
    let (mut cut, mut paused, mut leases, mut adopted, mut runs) = (0, 0, 0, 0, 0);
    for seed in seeds() {
        let report = run(seed, Faults::ALL, Plant::Nothing);
        assert_eq!(report.violation, None, "repeat with DC_SEED={seed}; {report:?}");
        assert_eq!(report.jobs.0, report.jobs.1, "repeat with DC_SEED={seed}; {report:?}");
        let (a, b, c, d) = report.killed;
        killed.iter_mut().zip([a, b, c, d]).for_each(|(sum, n)| *sum += n);
        cut += report.cut.0;
        paused += report.cut.1;
        leases += report.leases_ended;
        adopted += report.adopted;
        runs += 1;
    }
    let [schedulers, dcds, starters, nodes] = killed;
    println!(
        "trust: simulated clusters: {runs}; killed: {schedulers} schedulers, {dcds} dcds, {starters} starters, {nodes} \
         nodes; {cut} links cut, {paused} nodes paused; {leases} leases ended over ranks, {adopted} ranks told of anew"
    );
    if runs >= 100 {
        let seen = [schedulers, dcds, starters, nodes, cut, paused, leases, adopted];
        assert!(seen.iter().all(|count| *count > runs / 4), "the faults do happen: {seen:?}");
    }
}

/// Each planted bug is found by some seed.
#[test]
fn planted_bugs_are_found() {
    let plants = [
        Plant::EarlyAcknowledgement,
        Plant::LostRecord,
        Plant::NoLeaseKill,
        Plant::LeaseFromReceipt,
        Plant::NoMargin,
        Plant::KilledEndedWell,
        Plant::SilentNode,
        Plant::LateEndAccepted,
        Plant::LateLaunch,
    ];
    for plant in plants {
        let found = (0..400).find_map(|seed| Some((seed, run(seed, Faults::ALL, plant).violation?)));
        let (seed, violation) = found.unwrap_or_else(|| panic!("{plant:?} is never found"));
        println!("{plant:?}: seed {seed}: {violation:?}");
    }
}
