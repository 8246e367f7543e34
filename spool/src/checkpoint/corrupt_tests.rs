//! Damage at every byte and every bit of a checkpoint: never accepted, never a panic. And the bytes themselves.

use super::tests::{JOB, SUB, at, file, save, spool};
use super::write::encode;
use super::*;

#[rustfmt::skip]
const GOLDEN: [u8; 112] = [
    0x89, b'd', b'c', b'C', b'K', b'P', 0x1a, b'\n', // magic
    1, 0, 72, 0, 0, 0, 0, 0, // version, header length, zero
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, // job
    3, 0, 0, 0, 2, 0, 0, 0, // subtask, attempt
    0x10, 0x27, 0, 0, 0, 0, 0, 0, // step
    40, 0, 0, 0, 0, 0, 0, 0, // payload length
    0x08, 0x0a, 0x59, 0x6d, // payload CRC
    2, 0, 0, 0, 0, 0, 0, 0, // regions, zero
    0x7a, 0xb2, 0x07, 0xd7, // header CRC
    5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, // region 5: 6 bytes
    9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, // region 9: 2 bytes
    b'a', b'b', b'c', b'd', b'e', b'f', b'g', b'h',
];

const AT: Restart = Restart { attempt: dc_model::Attempt(2), step: 10_000 };

fn regions() -> [Region<'static>; 2] {
    [Region { id: 5, data: b"abcdef" }, Region { id: 9, data: b"gh" }]
}

#[test]
fn golden_bytes() {
    let (dir, checkpoints) = spool();
    checkpoints.write(SUB, AT, &regions()).unwrap();
    let written = std::fs::read(file(dir.path(), AT)).unwrap();
    assert_eq!(written, GOLDEN, "as written: {written:#04x?}");
    assert_eq!(written, encode(JOB, SUB, AT, &regions()));
    assert_eq!(crate::drawn_tests::drawn("checkpoint"), GOLDEN);
}

/// Writes `bytes` in the checkpoint's place and looks whether it is accepted.
fn accepted(checkpoints: &Checkpoints, path: &std::path::Path, bytes: &[u8]) -> bool {
    std::fs::write(path, bytes).unwrap();
    checkpoints.open_verified(SUB, AT).is_ok()
}

#[test]
fn cut_zeroed_flipped_or_longer_is_never_accepted() {
    let (dir, checkpoints) = spool();
    checkpoints.write(SUB, AT, &regions()).unwrap();
    let path = file(dir.path(), AT);
    let good = std::fs::read(&path).unwrap();
    assert!(accepted(&checkpoints, &path, &good));
    for i in 0..good.len() {
        assert!(!accepted(&checkpoints, &path, &good[..i]), "cut at {i}");
        let mut zeroed = good.clone();
        zeroed[i..].fill(0);
        assert!(!accepted(&checkpoints, &path, &zeroed), "zero from {i} on");
        for changed in (0..8).map(|bit| good[i] ^ 1 << bit).chain([0, 0xff]) {
            if changed != good[i] {
                let mut other = good.clone();
                other[i] = changed;
                assert!(!accepted(&checkpoints, &path, &other), "byte {i} is {changed:#x}");
            }
        }
    }
    assert!(!accepted(&checkpoints, &path, &[&good[..], &[0]].concat()));
    assert!(accepted(&checkpoints, &path, &good));
    println!("trust: a checkpoint damaged in every byte: {} files", good.len() * 12);
}

#[test]
fn a_damaged_newest_falls_back_to_the_one_before() {
    let (dir, checkpoints) = spool();
    save(&checkpoints, at(1, 1));
    checkpoints.write(SUB, AT, &regions()).unwrap();
    let path = file(dir.path(), AT);
    let good = std::fs::read(&path).unwrap();
    for i in 0..good.len() {
        let mut other = good.clone();
        other[i] ^= 0x10;
        std::fs::write(&path, &other).unwrap();
        let choice = checkpoints.newest_valid(SUB, None, dc_model::Attempt(3)).unwrap();
        assert_eq!(choice.from.map(|found| found.restart), Some(at(1, 1)), "byte {i}");
        assert_eq!((choice.older, choice.passed_over.len()), (None, 1));
    }
}

/// Right CRCs around a table that cannot be.
#[test]
fn impossible_tables_are_refused() {
    use super::regions::{Entry, decode_count, decode_table, encode_table};
    let table = |entries: &[(u32, u64)], data| {
        let entries: Vec<_> = entries.iter().map(|(id, bytes)| Entry { id: *id, bytes: *bytes }).collect();
        decode_table(&encode_table(&entries), data)
    };
    assert!(table(&[(1, 2), (2, 3)], 5).is_ok());
    assert!(table(&[(1, 2), (2, 3)], 6).is_err());
    assert!(table(&[(1, 2), (1, 3)], 5).is_err(), "an id twice");
    assert!(table(&[(1, u64::MAX), (2, 6)], 5).is_err(), "a sum beyond 2^64");
    assert!(decode_table(&[0; 15], 0).is_err());
    assert!(decode_count(&[0; 7]).is_err() && decode_count(&[0, 0, 0, 0, 1, 0, 0, 0]).is_err());
    assert!(decode_count(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).is_err());
    let (dir, checkpoints) = spool();
    save(&checkpoints, AT);
    let path = file(dir.path(), AT);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60] = 200; // More regions than there is payload, under a right CRC.
    let crc = crc32c::crc32c(&bytes[..68]).to_le_bytes();
    bytes[68..72].copy_from_slice(&crc);
    assert!(!accepted(&checkpoints, &path, &bytes));
}
