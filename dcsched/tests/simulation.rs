//! Many seeds of the simulated node, with and without planted bugs. `DC_SEED=n` runs that one, `DC_SEEDS=n` so many,
//! from DC_SEED or 0 on.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use dcsched::sim::{Faults, Plant, Report, run};
use std::ops::Range;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn seeds() -> Range<u64> {
    match number("DC_SEED") {
        Some(seed) => seed..seed + number("DC_SEEDS").unwrap_or(1),
        None => 0..number("DC_SEEDS").unwrap_or(4_000),
    }
}

#[test]
fn every_promise_holds_whatever_dies() {
    let mut sum = (0, 0, 0, 0, 0);
    for seed in seeds() {
        let report = run(seed, Faults::ALL, Plant::Nothing, None);
        assert_eq!(report.violation, None, "repeat with DC_SEED={seed}; {report:?}");
        assert!(report.status.is_some(), "repeat with DC_SEED={seed}; {report:?}");
        sum.0 += report.dcrun_crashes;
        sum.1 += report.starter_crashes;
        sum.2 += report.rank_failures;
        sum.3 += u32::from(report.status == Some(0));
        sum.4 += 1;
    }
    println!(
        "{} runs, {} ended well; killed: {} dcruns, {} starters; {} ranks failed",
        sum.4, sum.3, sum.0, sum.1, sum.2
    );
    let Range { start, end } = seeds();
    println!("trust: simulated runs in which anything dies: {} runs, seed {start} to {}", sum.4, end - 1);
    println!("trust: … in which dcrun or the starter was killed: {} times", sum.0 + sum.1);
    if seeds().count() > 100 {
        assert!(sum.0 > sum.4 / 4 && sum.1 > sum.4 / 4 && sum.2 > sum.4 / 4, "the faults do happen: {sum:?}");
        assert!(sum.3 > sum.4 / 4, "many runs end well: {sum:?}");
    }
}

#[test]
fn without_faults_every_job_ends_well() {
    for seed in seeds() {
        let Report { violation, status, failed_merge, .. } = run(seed, Faults::NONE, Plant::Nothing, None);
        assert_eq!(violation, None, "repeat with DC_SEED={seed}");
        assert!(status == Some(0) || failed_merge, "only a merge may go wrong: DC_SEED={seed}, {status:?}");
    }
}

#[test]
fn a_torn_journal_on_disk_keeps_every_promise() {
    let scratch = tempfile::tempdir().unwrap();
    let seeds = match number("DC_SEED") {
        Some(seed) => seed..seed + (number("DC_SEEDS").unwrap_or(1) / 20).max(1),
        None => 0..number("DC_SEEDS").unwrap_or(4_000) / 20,
    };
    let mut crashes = 0;
    for seed in seeds {
        let directory = scratch.path().join(seed.to_string());
        std::fs::create_dir(&directory).unwrap();
        let report = run(seed, Faults::ALL, Plant::Nothing, Some(&directory));
        assert_eq!(report.violation, None, "repeat with DC_SEED={seed}; {report:?}");
        crashes += report.dcrun_crashes;
        std::fs::remove_dir_all(&directory).unwrap();
    }
    println!("trust: simulated runs with a journal on disk, torn: {crashes} journals");
    assert!(crashes > 20 || number("DC_SEED").is_some());
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..50 {
        assert_eq!(
            run(seed, Faults::ALL, Plant::Nothing, None),
            run(seed, Faults::ALL, Plant::Nothing, None),
            "seed {seed}"
        );
    }
}

#[test]
fn planted_bugs_are_found() {
    for (plant, expected) in [
        (Plant::EarlyAcknowledgement, "LaunchedBeforeDurable"),
        (Plant::NoDeathSignal, ""),
        (Plant::LateEndAccepted, ""),
        (Plant::LostRecord, ""),
        (Plant::WrongCore, "Overbooked"),
        (Plant::MoreMemory, "OverCommitted"),
        (Plant::NoWaiting, "Overbooked"),
        (Plant::MixedSet, "MixedSet"),
        (Plant::MemoryTwice, "OverCommitted"),
        (Plant::RankForgotten, "PartOfGang"),
        (Plant::SuspectForgotten, "SuspectAgain"),
        (Plant::MoreRestarts, "TriedAgain"),
        (Plant::AnyFailure, "TriedAgain"),
        (Plant::StaleMerge, "NotMerged"),
    ] {
        let found = (0..5_000).find_map(|seed| Some((seed, run(seed, Faults::ALL, plant, None).violation?)));
        let (seed, violation) = found.unwrap_or_else(|| panic!("{plant:?} was not found in 5,000 seeds"));
        println!("{plant:?}: {violation:?} at seed {seed}");
        assert!(format!("{violation:?}").starts_with(expected), "{plant:?} was taken for {violation:?}");
    }
}
