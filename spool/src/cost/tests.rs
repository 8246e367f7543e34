//! Golden bytes and the page; what is damaged counts as nothing; runs that end at once lose nothing of each other.

use super::codec::{self, ENTRY_BYTES, HEAD_BYTES, Refused};
use super::*;
use dc_model::cost::WEIGHT_ONE;
use std::fs;

const PAGE: &str = include_str!("../../../docs/cost-format.md");
const KERNEL: ContentHash = ContentHash(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);

fn sums(cells: u64, ns: u64) -> CostSums {
    let (w, x, y) = (u128::from(WEIGHT_ONE), u128::from(cells), u128::from(ns));
    CostSums { shift: 0, weight: WEIGHT_ONE, x: w * x, y: w * y, xx: w * x * x, xy: w * x * y }
}

fn key(arguments: u64) -> CostKey {
    CostKey { node: 5, arguments }
}

fn sample() -> KernelCost {
    let mut cost = KernelCost::new(KERNEL);
    cost.add(CostKey { node: 0x11, arguments: 0x22 }, sums(3, 500), 0x33);
    cost
}

#[test]
fn golden_bytes_are_as_drawn() {
    let lines = PAGE.lines().skip_while(|line| !line.contains("cost bytes, held to the code by a test"));
    let lines = lines.skip(2).take_while(|line| line.starts_with("    "));
    let drawn: Vec<u8> =
        lines.flat_map(str::split_whitespace).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    assert_eq!(encode(&sample()), drawn, "{:02x?}", encode(&sample()));
    assert_eq!(decode(KERNEL, &drawn), Ok(sample()));
    assert!(PAGE.contains(&format!("| {HEAD_BYTES} + {ENTRY_BYTES} N | u32 |")));
}

#[test]
fn what_is_damaged_is_refused() {
    let bytes = encode(&sample());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(KERNEL, &flipped).is_err(), "bit {bit}");
    }
    for cut in 0..bytes.len() {
        assert_eq!(decode(KERNEL, &bytes[..cut]), Err(Refused::Damaged));
    }
    assert_eq!(decode(ContentHash(7), &bytes), Err(Refused::Damaged), "another kernel's");
    let mut newer = bytes;
    newer[8] = 2;
    assert_eq!(decode(KERNEL, &newer), Err(Refused::Newer(2)));
}

#[test]
fn impossible_sums_are_refused_whatever_the_crc_says() {
    let mut cost = sample();
    cost.entries[0].sums.xy = u128::MAX;
    assert_eq!(decode(KERNEL, &encode(&cost)), Err(Refused::Damaged));
    let mut twice = sample();
    twice.entries.push(twice.entries[0]);
    assert_eq!(decode(KERNEL, &encode(&twice)), Err(Refused::Damaged));
}

#[test]
fn old_runs_count_for_less() {
    let mut cost = KernelCost::new(KERNEL);
    (0..100).for_each(|_| cost.add(key(1), sums(10, 1000), 1));
    assert_eq!(cost.entries[0].sums.observations(), 5, "four times as much as the newest, and that");
    (0..20).for_each(|_| cost.add(key(1), sums(10, 9000), 2));
    let mean = cost.entries[0].sums.y / u128::from(cost.entries[0].sums.weight);
    assert!(mean > 8800, "{mean}");
}

#[test]
fn the_oldest_entry_goes() {
    let mut cost = KernelCost::new(KERNEL);
    for at in 0..ENTRIES_MAX as u64 + 3 {
        cost.add(key(1000 - at), sums(1, 1), 100 + at);
    }
    assert_eq!(cost.entries.len(), ENTRIES_MAX);
    assert_eq!(cost.entries.iter().map(|entry| entry.last_s).min(), Some(103));
    assert_eq!(decode(KERNEL, &encode(&cost)).as_ref(), Ok(&cost));
}

#[test]
fn a_directory_keeps_adds_and_replaces() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = CostDir::new(tmp.path().join("state/dc/cost"));
    assert_eq!(dir.read(KERNEL), Ok(None));
    dir.add(KERNEL, key(1), sums(3, 500), 9).unwrap();
    dir.add(KERNEL, key(1), sums(4, 600), 10).unwrap();
    let entry = dir.read(KERNEL).unwrap().unwrap().entries[0];
    assert_eq!((entry.sums.observations(), entry.last_s), (2, 10));

    let file = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    for damaged in [&b""[..], b"rubbish", &vec![0; 9000]] {
        fs::write(&file, damaged).unwrap();
        assert_eq!(dir.read(KERNEL), Err(CostError::Damaged(file.clone())));
    }
    dir.add(KERNEL, key(1), sums(4, 600), 11).unwrap();
    assert_eq!(dir.read(KERNEL).unwrap().unwrap().entries[0].sums.observations(), 1);

    let mut newer = encode(&sample());
    newer[8] = 9;
    fs::write(&file, &newer).unwrap();
    assert!(matches!(dir.add(KERNEL, key(1), sums(4, 600), 11), Err(CostError::Newer { found: 9, .. })));
    assert_eq!(fs::read(&file).unwrap(), newer, "a newer dc's is left alone");
}

#[test]
fn runs_that_end_at_once_lose_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = CostDir::new(tmp.path().join("cost"));
    std::thread::scope(|scope| {
        for arguments in 0..8 {
            let dir = &dir;
            scope.spawn(move || {
                for _ in 0..4 {
                    // On a slow machine the lock may be taken for as long as is waited: then it says so.
                    while let Err(error) = dir.add(KERNEL, key(arguments), sums(1, 1), 1) {
                        assert!(matches!(error, CostError::Busy(_)), "{error}");
                    }
                }
            });
        }
    });
    let cost = dir.read(KERNEL).unwrap().unwrap();
    let counts: Vec<_> = cost.entries.iter().map(|entry| entry.sums.observations()).collect();
    assert_eq!(counts, [4; 8]);
}

#[test]
fn who_holds_the_lock_is_not_waited_for_long() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = CostDir::new(tmp.path().to_owned());
    let file = fs::File::open(tmp.path()).unwrap();
    let held = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).unwrap();
    assert_eq!(dir.add(KERNEL, key(1), sums(1, 1), 1), Err(CostError::Busy(tmp.path().to_owned())));
    drop(held);
    dir.add(KERNEL, key(1), sums(1, 1), 1).unwrap();
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_and_no_more() {
    let tmp = tempfile::tempdir().unwrap();
    fs::write(tmp.path().join("file"), "").unwrap();
    let dir = CostDir::new(tmp.path().join("file/cost"));
    assert!(dir.add(KERNEL, key(1), sums(1, 1), 1).is_err());
    assert!(dir.read(KERNEL).is_err());
}

#[test]
fn kernels_that_ran_least_recently_go() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = CostDir::new(tmp.path().to_owned());
    fs::write(tmp.path().join(".tmp-0123456789abcdef"), "left").unwrap();
    fs::write(tmp.path().join("mine"), "not dc's").unwrap();
    for kernel in 0..KERNELS_MAX as u128 {
        fs::write(tmp.path().join(format!("{}.cost", ContentHash(kernel))), "").unwrap();
    }
    let old = fs::File::options().write(true).open(tmp.path().join(format!("{}.cost", ContentHash(77))));
    old.unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    dir.add(KERNEL, key(1), sums(1, 1), 1).unwrap();
    let names: Vec<_> = fs::read_dir(tmp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), KERNELS_MAX + 1, "and what is not dc's");
    assert!(!names.contains(&format!("{}.cost", ContentHash(77)).into()));
    assert!(dir.read(KERNEL).unwrap().is_some());
}

#[test]
fn the_codec_and_the_page_agree_on_the_magic() {
    let magic: Vec<_> = codec::MAGIC.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(PAGE.contains(&format!("`{}`", magic.join(" "))));
}
