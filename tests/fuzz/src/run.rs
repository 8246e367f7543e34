//! Runs a target without a fuzzer: every input of the corpus, then mutations of them from a seed, each held to a limit
//! of memory and of time.

use crate::allocation::peak_bytes;
use crate::mutate::mutate;
use crate::random::Random;
use crate::targets::Target;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest input that is made.
const INPUT_BYTES_MAX: usize = 4096;
/// An input of a few kilobytes takes microseconds; one that takes so long is a loop.
const INPUT_TIME_MAX: Duration = Duration::from_secs(5);

/// Says which input it was when a target panics.
pub struct Guard<'a> {
    target: &'a str,
    input: &'a [u8],
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.input.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("target {}: {} bytes break it: {hex}", self.target, self.input.len());
        }
    }
}

/// Runs one input, and holds it to the limits.
pub fn run_guarded(target: &Target, input: &[u8]) {
    let _guard = Guard { target: target.name, input };
    let begun = Instant::now();
    let ((), peak) = peak_bytes(|| (target.run)(input));
    let allowed = input.len() * target.times_input + target.free_bytes;
    assert!(peak <= allowed, "{} bytes of input made it allocate {peak} bytes", input.len());
    let took = begun.elapsed();
    assert!(took < INPUT_TIME_MAX, "{} bytes of input took {took:?}", input.len());
}

/// What was run.
pub struct Summary {
    /// Inputs of the corpus, seeds included.
    pub kept: u64,
    /// Mutations of them.
    pub mutated: u64,
}

/// Runs the corpus, then mutations for as long or as many as are given, whichever ends first.
pub fn run_for(target: &Target, seed: u64, mutations_max: u64, time: Duration) -> Summary {
    let mut corpus = (target.seeds)();
    corpus.extend(corpus_of(target.name));
    assert!(!corpus.is_empty(), "{}: there is something to begin with", target.name);
    corpus.iter().for_each(|input| run_guarded(target, input));

    let random = &mut Random::new(seed);
    let (begun, mut mutated) = (Instant::now(), 0);
    while mutated < mutations_max && begun.elapsed() < time {
        let mut input = corpus[random.below(corpus.len())].clone();
        let other = random.below(corpus.len());
        mutate(random, &mut input, &corpus[other], INPUT_BYTES_MAX);
        run_guarded(target, &input);
        mutated += 1;
    }
    Summary { kept: corpus.len() as u64, mutated }
}

/// Where the corpus of a target is kept.
#[must_use]
pub fn corpus_dir(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

fn corpus_of(target: &str) -> Vec<Vec<u8>> {
    let Ok(list) = std::fs::read_dir(corpus_dir(target)) else { return Vec::new() };
    let mut paths: Vec<_> = list.map(|entry| entry.expect("the corpus can be listed").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("the corpus can be read")).collect()
}
