//! Results on a real disk: read back, damaged at every byte, swapped, on a disk that fails.

use super::*;
use crate::fakes::{FailingDisk, Fault};
use crate::files::TMP_PREFIX;
use nix::errno::Errno;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const JOB: JobUuid = JobUuid([7; 16]);
const SUB: SubtaskId = SubtaskId(3);
const ATTEMPT: Attempt = Attempt(2);

#[rustfmt::skip]
const GOLDEN: [u8; 88] = [
    0x89, b'd', b'c', b'R', b'E', b'S', 0x1a, b'\n', // magic
    1, 0, 80, 0, 0, 0, 0, 0, // version, header length, zero
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, // job
    3, 0, 0, 0, 2, 0, 0, 0, // subtask, attempt
    0, 0, 0, 0, 0, 0, 0, 0, // no step
    8, 0, 0, 0, 0, 0, 0, 0, // payload length
    0x8b, 0x87, 0x30, 0x32, // payload CRC
    3, 2, 0, 0, 2, 0, 0, 0, // u2, block, zero, values a cell
    4, 0, 0, 0, 0, 0, 0, 0, // values
    0x78, 0xc7, 0x41, 0x2a, // header CRC
    1, 0, 2, 0, 3, 0, 4, 0,
];

fn spool() -> (tempfile::TempDir, Results) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(layout::RESULT)).unwrap();
    let results = Results::open(&Dir::open(dir.path()).unwrap(), JOB).unwrap();
    (dir, results)
}

fn path(dir: &Path, subtask: SubtaskId, attempt: Attempt) -> PathBuf {
    dir.join(layout::RESULT).join(layout::result(subtask, attempt))
}

fn put(results: &Results, attempt: Attempt, data: &[u8]) -> Result<Head, ResultError> {
    let mut writer = results.writer(SUB, attempt, Dtype::U2, Layout::Block, 2)?;
    writer.append(data)?;
    writer.finish()
}

const DATA: [u8; 8] = [1, 0, 2, 0, 3, 0, 4, 0];

#[test]
fn golden_bytes() {
    let (dir, results) = spool();
    put(&results, ATTEMPT, &DATA).unwrap();
    let written = std::fs::read(path(dir.path(), SUB, ATTEMPT)).unwrap();
    assert_eq!(written, GOLDEN, "as written: {written:#04x?}");
    assert_eq!(crate::drawn_tests::drawn("result"), GOLDEN);
}

#[test]
fn what_is_written_is_read() {
    let (dir, results) = spool();
    assert_eq!(results.meta(SUB, ATTEMPT), Ok(None));
    let head = put(&results, ATTEMPT, &DATA).unwrap();
    assert_eq!((head.values, head.cells()), (4, 2));
    let reader = results.open_verified(SUB, ATTEMPT).unwrap();
    assert_eq!(reader.head(), head);
    assert_eq!(results.meta(SUB, ATTEMPT), Ok(Some(reader.meta())));
    assert_eq!(reader.meta(), ResultMeta { len: 8, crc: crc32c::crc32c(&DATA) });
    let mut two = [0; 2];
    reader.read_at(6, &mut two).unwrap();
    assert_eq!(two, [4, 0]);
    assert!(reader.read_at(7, &mut two).is_err() && reader.read_at(u64::MAX, &mut two).is_err());
    let mut all = Vec::new();
    reader.payload().read_to_end(&mut all).unwrap();
    assert_eq!(all, DATA);
    put(&results, ATTEMPT, &DATA[..4]).unwrap();
    assert_eq!(results.meta(SUB, ATTEMPT).unwrap().unwrap().len, 4, "a second one replaces the first");
    assert_eq!(results.list().unwrap(), [(SUB, ATTEMPT)]);
    assert_eq!(reader.path(), path(dir.path(), SUB, ATTEMPT));
}

#[test]
fn a_long_payload_streams() {
    let (_dir, results) = spool();
    let data: Vec<u8> = (0..1_000_001u32).map(|i| (i % 253) as u8).collect();
    let mut writer = results.writer(SUB, ATTEMPT, Dtype::U1, Layout::Bytes, 1).unwrap();
    writer.append_all(&mut &data[..], "memory").unwrap();
    writer.finish().unwrap();
    let mut all = Vec::new();
    results.open_verified(SUB, ATTEMPT).unwrap().payload().read_to_end(&mut all).unwrap();
    assert!(all == data);
    results.writer(SUB, Attempt(3), Dtype::U1, Layout::Bytes, 1).unwrap().finish().unwrap();
    let empty = results.open_verified(SUB, Attempt(3)).unwrap();
    assert_eq!(empty.payload().read_to_end(&mut all).unwrap(), 0);
}

#[test]
fn what_cannot_be_a_result_is_refused_before_it_is_written() {
    let (dir, results) = spool();
    let error = |error: Result<Head, ResultError>| error.unwrap_err().to_string();
    assert_eq!(error(put(&results, ATTEMPT, &DATA[..3])), "3 bytes are not a whole number of u2 values");
    assert_eq!(
        error(put(&results, ATTEMPT, &DATA[..2])),
        "1 values are not a whole number of cells with 2 values each"
    );
    assert!(results.writer(SUB, ATTEMPT, Dtype::F8, Layout::Effective, 0).is_err());
    assert!(results.writer(SUB, ATTEMPT, Dtype::F8, Layout::Bytes, 1).is_err());
    assert_eq!(std::fs::read_dir(dir.path().join(layout::RESULT)).unwrap().count(), 0);
}

#[test]
fn cut_zeroed_flipped_or_longer_is_never_accepted() {
    let (dir, results) = spool();
    put(&results, ATTEMPT, &DATA).unwrap();
    let path = path(dir.path(), SUB, ATTEMPT);
    let good = std::fs::read(&path).unwrap();
    let accepted = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let _ = results.meta(SUB, ATTEMPT);
        let streamed = results
            .reader(SUB, ATTEMPT)
            .is_ok_and(|reader| reader.payload().read_to_end(&mut Vec::new()).is_ok());
        let verified = results.open_verified(SUB, ATTEMPT).is_ok();
        assert_eq!(streamed, verified);
        verified
    };
    assert!(accepted(&good));
    for i in 0..good.len() {
        assert!(!accepted(&good[..i]), "cut at {i}");
        let mut zeroed = good.clone();
        zeroed[i..].fill(0);
        assert!(i == good.len() - 1 || !accepted(&zeroed), "zero from {i} on");
        for changed in (0..8).map(|bit| good[i] ^ 1 << bit).chain([0, 0xff]) {
            if changed != good[i] {
                let mut other = good.clone();
                other[i] = changed;
                assert!(!accepted(&other), "byte {i} is {changed:#x}");
            }
        }
    }
    assert!(!accepted(&[&good[..], &[0]].concat()));
    println!("trust: a result damaged in every byte: {} files", good.len() * 12);
}

#[test]
fn swapped_between_subtasks_attempts_and_jobs_is_refused() {
    let (dir, results) = spool();
    put(&results, ATTEMPT, &DATA).unwrap();
    let good = path(dir.path(), SUB, ATTEMPT);
    for (subtask, attempt) in [(SubtaskId(4), ATTEMPT), (SUB, Attempt(3))] {
        std::fs::copy(&good, path(dir.path(), subtask, attempt)).unwrap();
        assert!(results.meta(subtask, attempt).is_err());
        assert!(results.open_verified(subtask, attempt).is_err());
    }
    let other = Results::open(&Dir::open(dir.path()).unwrap(), JobUuid([8; 16])).unwrap();
    let error = other.meta(SUB, ATTEMPT).unwrap_err().to_string();
    assert!(error.contains("belongs to job 07070707-"), "{error}");
}

#[test]
fn a_disk_that_fails_leaves_the_one_before() {
    let never = Arc::new(FailingDisk::never());
    let on_disk =
        |disk: Arc<FailingDisk>, dir: &Path| Results::open(&Dir::open_on(disk, dir).unwrap(), JOB).unwrap();
    let calls = {
        let (dir, _) = spool();
        put(&on_disk(never.clone(), dir.path()), ATTEMPT, &DATA).unwrap();
        never.calls().len()
    };
    let faults = [Fault::Error(Errno::ENOSPC), Fault::Error(Errno::EIO), Fault::DoneBut(Errno::EIO)];
    let each = (0..calls).flat_map(|first| faults.map(|fault| (first, fault)));
    for ((first, fault), persistent) in each.flat_map(|at| [(at, false), (at, true)]) {
        let (dir, good) = spool();
        put(&good, ATTEMPT, &DATA[..4]).unwrap();
        let disk = Arc::new(FailingDisk::new(first, fault, persistent));
        put(&on_disk(disk.clone(), dir.path()), ATTEMPT, &DATA).unwrap_err();
        let left = good.open_verified(SUB, ATTEMPT).unwrap().meta().len;
        let renamed = disk.calls().iter().any(|call| call.op == crate::files::Op::Rename);
        assert!(left == 4 || renamed, "call {first}, {fault:?}");
        let names = std::fs::read_dir(dir.path().join(layout::RESULT)).unwrap();
        let tmp =
            names.filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().starts_with(TMP_PREFIX));
        assert_eq!(tmp.count(), 0);
    }
    println!("trust: changes of a disk made to fail, a result: {} calls", calls * faults.len() * 2);
}
