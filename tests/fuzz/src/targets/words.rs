//! What is typed: times, sizes, bindings, distributions, causes, sets of CPUs, names with holes. What is understood is
//! shown as a text that means the same.

use dc_model::pattern::{Names, Pattern};
use dc_model::{CpuSet, JobUuid, Rank, RestartOn, SubtaskId, bind, distribution, size, timespec};

/// The first byte says which reader.
pub fn run(data: &[u8]) {
    let Some((which, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match which % 7 {
        0 => {
            if let Ok(Some(time)) = timespec::parse(text) {
                assert!(time.ms > 0 && time.ms % 1000 == 0);
                assert_eq!(timespec::parse(&time.to_string()), Ok(Some(time)), "{time}");
            }
        }
        1 => {
            if let Ok(bytes) = size::parse(text) {
                assert_eq!(size::parse(&size::shown(bytes)), Ok(bytes), "{}", size::shown(bytes));
            }
        }
        2 => {
            if let Ok(binding) = bind::parse(text)
                && let bind::Bind::Fixed(sets) = binding.bind
            {
                assert!(!sets.is_empty() && sets.iter().all(|set| !set.is_empty()));
            }
        }
        3 => drop(distribution::parse(text)),
        4 => {
            if let Ok(causes) = RestartOn::parse(text) {
                assert_eq!(RestartOn::parse(&causes.to_string()), Ok(causes), "{causes}");
                assert_eq!(RestartOn::from_bits(causes.bits()), Some(causes));
            }
        }
        5 => {
            if let Some(set) = CpuSet::parse(text) {
                assert_eq!(CpuSet::parse(&set.to_string()), Some(set.clone()));
                assert_eq!(CpuSet::from_mask(&set.mask()[2..]), Some(set));
            }
            if let Some(set) = CpuSet::from_mask(text) {
                assert_eq!(CpuSet::parse(&set.to_string()), Some(set));
            }
        }
        _ => {
            if let Some(job) = JobUuid::parse(text) {
                assert_eq!(JobUuid::parse(&job.to_string()), Some(job));
            }
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let words: [&[&str]; 7] = [
        &["90", "1:30", "2:00:00", "1-2", "1-2:3", "1-2:3:4", "30s", "1d", "0", "18446744073709551615"],
        &["512", "4G", "1TiB", "7k"],
        &["core", "verbose,numa", "map_cpu:0,2,4-7", "map_cpu:0*4,1*4", "mask_cpu:0x3,0xc*2", "none"],
        &["block", "cyclic", "cost", "block:cyclic", "*:block"],
        &["signal,node", "none", "exit", "progress"],
        &["0-3,8", "", "ff00ff", "4095"],
        &["07070707-0707-0707-0707-070707070707"],
    ];
    (0u8..)
        .zip(words)
        .flat_map(|(which, all)| all.iter().map(move |text| [&[which], text.as_bytes()].concat()))
        .collect()
}

/// A name with holes: filled, it has no zero byte, and not one slash more than were typed.
pub fn pattern(data: &[u8]) {
    let Ok(pattern) = Pattern::parse(data) else { return };
    let names =
        Names { job: 77, name: b"ocean".to_vec(), user: b"ada".to_vec(), host: b"n1".to_vec(), node: 0 };
    let filled = pattern.fill(&names, Rank(3), SubtaskId(12)).expect("these values fit into names");
    let slashes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
    assert_eq!(slashes(&filled), slashes(data));
    assert!(!filled.is_empty() && !filled.contains(&0));
    assert!(filled.len() <= data.len() * 10);
    let hostile = Names { name: b"../../etc".to_vec(), ..names };
    if let Ok(filled) = pattern.fill(&hostile, Rank(u32::MAX), SubtaskId(u32::MAX)) {
        assert_eq!(slashes(&filled), slashes(data), "no value makes another path");
    }
}

pub fn patterns() -> Vec<Vec<u8>> {
    ["out.%T", "%x/%j.%4t.err", "100%%", "%J%s%n%N%u", "%99999999999t"]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}
