//! Every target over its kept corpus and over mutations of it. `DC_SEED=n` gives another series, `DC_FUZZ_SECONDS=n`
//! a longer one.

use dc_fuzz::{TARGETS, corpus_dir, run_for, target};
use std::time::Duration;

/// So many without `DC_FUZZ_SECONDS`: a second or two in a debug build.
const MUTATIONS: u64 = 4_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn run(name: &str) {
    let target = target(name).unwrap_or_else(|| panic!("no target {name}"));
    let seed = number("DC_SEED").unwrap_or(1);
    let (mutations, time) = match number("DC_FUZZ_SECONDS") {
        Some(seconds) => (u64::MAX, Duration::from_secs(seconds)),
        None => (MUTATIONS, Duration::from_secs(20)),
    };
    println!("{name}: seed {seed}");
    let summary = run_for(target, seed, mutations, time);
    println!("trust: decoder {name}, kept inputs: {} inputs", summary.kept);
    println!("trust: decoder {name}, mutations: {} inputs, seed {seed}", summary.mutated);
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_is_run_here_and_by_libfuzzer() {
            let here = [$(stringify!($name)),*];
            let all: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(here[..], all[..]);
            let fuzz = corpus_dir("").join("../fuzz_targets");
            let mut there: Vec<String> = std::fs::read_dir(fuzz).unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
            there.sort();
            let mut sorted = all.clone();
            sorted.sort_unstable();
            assert_eq!(there, sorted);
            let corpora = std::fs::read_dir(corpus_dir("")).unwrap();
            let bytes: u64 = corpora.flat_map(|dir| std::fs::read_dir(dir.unwrap().path()).unwrap())
                .map(|file| file.unwrap().metadata().unwrap().len()).sum();
            assert!(bytes < 500_000, "the kept corpora have {bytes} bytes: minimise them (tools/fuzz --keep)");
        }
    };
}

targets! {
    domain list to_starter from_starter output frames
    job header journal journal_damage checkpoint result cost
    words pattern claim elf data exec_request exec_config npy_header config
    cluster_messages cluster_state
}
