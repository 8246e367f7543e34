//! The writer: golden bytes, what it calls, and every call failing in turn.

use super::super::reader::{Tail, read_all};
use super::super::samples::records;
use super::super::segment::SEGMENT_HEADER_BYTES;
use super::*;
use crate::fakes::{FailingDisk, Fault};
use dc_model::{Attempt, SubtaskId};
use std::sync::Arc;

const JOB: JobUuid = JobUuid(*b"0123456789abcdef");

fn granted(seq: u64) -> (u64, Record) {
    (seq, Record::Granted { subtask: SubtaskId(seq as u32), attempt: Attempt(1) })
}

#[test]
fn golden_bytes() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let mut writer = Writer::create(&dir, JOB, 1, Before::default()).unwrap();
    writer.append(&[(1, Record::Epoch { epoch: 1 })]).unwrap();
    assert_eq!(writer.sync().unwrap(), 1);
    writer.append(&[granted(2), (3, Record::Ended { status: 7 })]).unwrap();
    assert_eq!(writer.sync().unwrap(), 3);
    let bytes = std::fs::read(tmp.path().join("journal.000001")).unwrap();
    assert_eq!(bytes.len() as u64, FIRST_CHUNK_BYTES);
    assert_eq!(bytes[..88 + 40 * 3], crate::drawn_tests::drawn("journal"), "the format has changed");
    assert!(bytes[88 + 40 * 3..].iter().all(|b| *b == 0));
}

#[test]
fn a_sync_is_one_write_and_one_fdatasync() {
    let tmp = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::never());
    let dir = Dir::open_on(disk.clone(), tmp.path()).unwrap();
    let mut writer = Writer::create(&dir, JOB, 1, Before::default()).unwrap();
    let ops = |from: usize| disk.calls()[from..].iter().map(|call| call.op).collect::<Vec<_>>();
    assert_eq!(ops(0), [Op::Create, Op::Allocate]);
    writer.append(&[granted(1)]).unwrap();
    writer.append(&(2..100).map(granted).collect::<Vec<_>>()).unwrap();
    assert_eq!(writer.durable_seq(), 0);
    writer.sync().unwrap();
    assert_eq!(ops(2), [Op::Write, Op::SyncData]);
    assert_eq!(writer.sync().unwrap(), 99, "and nothing when there is nothing to do");
    assert_eq!(ops(2).len(), 2);
}

#[test]
fn space_is_reserved_before_it_is_needed() {
    let tmp = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::never());
    let dir = Dir::open_on(disk.clone(), tmp.path()).unwrap();
    let mut writer = Writer::create(&dir, JOB, 1, Before::default()).unwrap();
    for seq in 1..20_000 {
        writer.append(&[granted(seq)]).unwrap();
        if seq % 100 == 0 {
            writer.sync().unwrap();
            assert!(writer.durable_bytes + RESERVE_BYTES <= writer.allocated_bytes);
        }
    }
    writer.sync().unwrap();
    let allocations = disk.calls().iter().filter(|call| call.op == Op::Allocate).count();
    assert_eq!(allocations, 5, "64, 64, 128, 256 and 512 KiB");
    assert_eq!(read_all(&dir, JOB).unwrap().records.len(), 19_999);
}

#[test]
fn a_full_disk_is_told_while_the_ends_can_still_be_written() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("full");
    std::fs::create_dir(&path).unwrap();
    let disk = Arc::new(crate::fakes::FullDisk::after_allocations(1));
    let dir = Dir::open_on(disk, &path).unwrap();
    let mut writer = Writer::create(&dir, JOB, 1, Before::default()).unwrap();
    let mut seq = 0;
    while writer.full().is_none() {
        seq += 1;
        writer.append(&[granted(seq)]).unwrap();
        writer.sync().unwrap();
    }
    assert!(writer.full().unwrap().is_full());
    let told = seq;
    let error = loop {
        seq += 1;
        writer.append(&[granted(seq)]).unwrap();
        match writer.sync() {
            Ok(durable) => assert_eq!(durable, seq),
            Err(error) => break error,
        }
    };
    assert!(seq - told > 300, "{} more records fitted", seq - told);
    assert!(matches!(&error, JournalError::File(file) if file.is_full()), "{error}");
    assert_eq!(writer.append(&[granted(seq)]), Err(error), "and no more is taken");
    assert_eq!(read_all(&dir, JOB).unwrap().records.len() as u64, seq - 1);
}

/// Acknowledges batches of all record types until an error; gives back what was acknowledged and what was tried.
fn run(dir: &Dir) -> (u64, u64, Option<JournalError>) {
    let mut writer = match Writer::create(dir, JOB, 1, Before::default()) {
        Ok(writer) => writer,
        Err(error) => return (0, 0, Some(error)),
    };
    let mut acknowledged = 0;
    for batch in numbered().chunks(3) {
        let tried = batch.last().unwrap().0;
        match writer.append(batch).and_then(|()| writer.sync()) {
            Ok(durable) => acknowledged = durable,
            Err(error) => {
                assert_eq!(writer.sync(), Err(error.clone()), "the first error stays");
                return (acknowledged, tried, Some(error));
            }
        }
    }
    (acknowledged, acknowledged, None)
}

fn numbered() -> Vec<(u64, Record)> {
    (1..).zip(records()).collect()
}

#[test]
fn with_every_call_failing_what_was_acknowledged_is_there() {
    let mut faults = 0;
    for fault in
        [Fault::Error(Errno::EIO), Fault::Error(Errno::ENOSPC), Fault::DoneBut(Errno::EIO), Fault::Short]
    {
        for persistent in [false, true] {
            for n in 0.. {
                let tmp = tempfile::tempdir().unwrap();
                let disk = Arc::new(FailingDisk::new(n, fault, persistent));
                let dir = Dir::open_on(disk.clone(), tmp.path()).unwrap();
                let (acknowledged, tried, error) = run(&dir);
                let calls = disk.calls();
                let met = calls.len() > n;
                assert_eq!(error.is_some(), met && fault != Fault::Short, "{fault:?} at {n}");
                if met && error.is_some() {
                    assert_eq!(calls.len(), n + 1, "nothing is tried after a failure");
                }
                let dir = Dir::open(tmp.path()).unwrap();
                let replay = read_all(&dir, JOB).unwrap();
                let got = replay.records.len() as u64;
                assert!(acknowledged <= got && got <= tried, "{acknowledged} <= {got} <= {tried}");
                assert_eq!(replay.records, numbered()[..replay.records.len()]);
                assert!(replay.tail == Tail::Clean || error.is_some());
                if !met {
                    break;
                }
                faults += 1;
            }
        }
    }
    println!("trust: changes of a disk made to fail, the journal: {faults} calls");
}

#[test]
#[should_panic(expected = "in order")]
fn a_decision_that_is_left_out_stops_everything() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let mut writer = Writer::create(&dir, JOB, 1, Before::default()).unwrap();
    let _ = writer.append(&[granted(1), granted(3)]);
}

#[test]
fn a_segment_is_never_opened_a_second_time() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let _writer = Writer::create(&dir, JOB, 1, Before::default()).unwrap();
    let again = Writer::create(&dir, JOB, 1, Before::default()).unwrap_err();
    assert!(matches!(again, JournalError::File(file) if file.is_exists()));
    assert_eq!(SEGMENT_HEADER_BYTES, 88);
}
