//! The reader: segments one after another, and what it refuses.

use super::super::samples::records;
use super::super::writer::Writer;
use super::*;
use dc_model::{Attempt, SubtaskId};
use std::os::unix::fs::FileExt;
use std::path::Path;

const JOB: JobUuid = JobUuid([5; 16]);

fn granted(seq: u64) -> (u64, Record) {
    (seq, Record::Granted { subtask: SubtaskId(seq as u32), attempt: Attempt(1) })
}

/// Writes `count` records as one batch each in a new segment, going on from what is there.
fn epoch(dir: &Dir, count: u64) -> Writer {
    let replay = read_all(dir, JOB).unwrap();
    let mut writer = Writer::create(dir, JOB, replay.epoch + 1, replay.before).unwrap();
    for _ in 0..count {
        writer.append(&[granted(writer.next_seq())]).unwrap();
        writer.sync().unwrap();
    }
    writer
}

fn numbers(replay: &Replay) -> Vec<u64> {
    replay.records.iter().map(|(seq, _)| *seq).collect()
}

fn patch(dir: &Path, segment: u32, at: u64, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(dir.join(layout::journal(segment))).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

#[test]
fn epochs_follow_each_other() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    assert_eq!(read_all(&dir, JOB).unwrap().epoch, 0);
    epoch(&dir, 3);
    epoch(&dir, 0);
    epoch(&dir, 2);
    let found = read_found(&dir, JOB);
    assert_eq!(found.error, None);
    assert_eq!(numbers(&found.replay), [1, 2, 3, 4, 5]);
    assert_eq!((found.replay.epoch, found.replay.tail), (3, Tail::Clean));
    assert_eq!(found.segments.iter().map(|s| s.records).collect::<Vec<_>>(), [3, 0, 2]);
    assert_eq!(found.segments.iter().map(|s| s.valid_bytes).collect::<Vec<_>>(), [88 + 120, 0, 88 + 80]);
}

#[test]
fn a_torn_tail_is_cut_once_and_stays_cut() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    epoch(&dir, 3);
    // The third record's batch is torn.
    patch(tmp.path(), 1, 88 + 80 + 20, &[0; 12]);
    let replay = read_all(&dir, JOB).unwrap();
    assert_eq!(numbers(&replay), [1, 2]);
    assert_eq!(replay.tail, Tail::Torn { segment: 1, at: 88 + 80, bytes: 37 });
    assert!(replay.tail.to_string().contains("journal.000001: the last 37 bytes, from byte 168 on"));
    epoch(&dir, 1);
    // The rest of the old batch, even whole again, is not read any more.
    let whole = read_all(&dir, JOB).unwrap();
    assert_eq!((numbers(&whole), whole.tail), (vec![1, 2, 3], Tail::Clean));
}

#[test]
fn a_crash_before_the_first_sync_leaves_a_segment_that_counts_for_nothing() {
    for rubbish in [&b""[..], b"\x89dcJNL", &[0; 100], b"rubbish that never was a header"] {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        epoch(&dir, 2);
        for segment in [2, 3] {
            std::fs::write(tmp.path().join(layout::journal(segment)), rubbish).unwrap();
            let replay = read_all(&dir, JOB).unwrap();
            assert_eq!((numbers(&replay), replay.epoch), (vec![1, 2], segment));
        }
        epoch(&dir, 2);
        assert_eq!(numbers(&read_all(&dir, JOB).unwrap()), [1, 2, 3, 4], "{rubbish:?}");
        assert_eq!(read_all(&dir, JOB).unwrap().tail, Tail::Clean);
    }
}

#[test]
fn a_batch_that_reached_the_disk_out_of_order_is_a_torn_tail() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let mut writer = epoch(&dir, 1);
    writer.append(&(2..300).map(granted).collect::<Vec<_>>()).unwrap();
    writer.sync().unwrap();
    // The first block of the batch was lost, the later ones were not.
    patch(tmp.path(), 1, 512, &[0; 512]);
    let replay = read_all(&dir, JOB).unwrap();
    assert_eq!(numbers(&replay).len(), 10);
    assert!(matches!(replay.tail, Tail::Torn { segment: 1, at: 488, .. }), "{:?}", replay.tail);
    // Once a later batch is there, the same damage is no tail.
    writer.append(&[granted(300)]).unwrap();
    writer.sync().unwrap();
    assert!(matches!(read_all(&dir, JOB), Err(JournalError::Corrupt { segment: 1, at: 488, .. })));
}

#[test]
fn damage_before_acknowledged_records_is_refused_in_plain_words() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    epoch(&dir, 3);
    patch(tmp.path(), 1, 88 + 33, b"x");
    let error = read_all(&dir, JOB).unwrap_err();
    assert_eq!(
        error.to_string(),
        "journal.000001 is damaged at byte 88: a record there is not whole, and later ones prove that it once was. \
         It is left as it is; restore it from a copy, or start the job anew (dcspool dump shows what can be read)"
    );
}

#[test]
fn an_earlier_segment_must_reach_where_the_next_one_says() {
    let set_up = || {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        epoch(&dir, 3);
        epoch(&dir, 1);
        (tmp, dir)
    };
    // Its last record, which alone would pass for a torn tail.
    let (tmp, dir) = set_up();
    patch(tmp.path(), 1, 88 + 80 + 33, b"x");
    assert!(matches!(read_all(&dir, JOB), Err(JournalError::Corrupt { segment: 1, at: 168, .. })));
    let (tmp, dir) = set_up();
    std::fs::OpenOptions::new()
        .write(true)
        .open(tmp.path().join("journal.000001"))
        .unwrap()
        .set_len(168)
        .unwrap();
    assert!(matches!(read_all(&dir, JOB), Err(JournalError::Corrupt { segment: 1, at: 168, .. })));
    // Gone.
    let (tmp, dir) = set_up();
    std::fs::remove_file(tmp.path().join("journal.000001")).unwrap();
    assert_eq!(read_all(&dir, JOB), Err(JournalError::Missing { segment: 1 }));
    // Put back from an older copy, which ends earlier.
    let (tmp, dir) = set_up();
    let other = tempfile::tempdir().unwrap();
    epoch(&Dir::open(other.path()).unwrap(), 1);
    std::fs::copy(other.path().join("journal.000001"), tmp.path().join("journal.000001")).unwrap();
    assert!(matches!(read_all(&dir, JOB), Err(JournalError::Corrupt { segment: 1, at: 128, .. })));
}

#[test]
fn foreign_misplaced_and_newer_segments_are_named() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    epoch(&dir, 1);
    let other = JobUuid([6; 16]);
    let error = read_all(&dir, other).unwrap_err();
    assert!(
        matches!(error, JournalError::Header { segment: 1, error: HeaderError::Foreign { .. } }),
        "{error}"
    );
    std::fs::copy(tmp.path().join("journal.000001"), tmp.path().join("journal.000002")).unwrap();
    let error = read_all(&dir, JOB).unwrap_err();
    assert_eq!(error, JournalError::Header { segment: 2, error: HeaderError::Misplaced });
    std::fs::remove_file(tmp.path().join("journal.000002")).unwrap();
    patch(tmp.path(), 1, 8, &[2]);
    let error = read_all(&dir, JOB).unwrap_err().to_string();
    assert!(error.starts_with("journal.000001: it says that a newer dc wrote it (format 2"), "{error}");
}

#[test]
fn what_comes_before_the_damage_can_still_be_shown() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let mut writer = Writer::create(&dir, JOB, 1, Before::default()).unwrap();
    for (seq, record) in (1..).zip(records()) {
        writer.append(&[(seq, record)]).unwrap();
        writer.sync().unwrap();
    }
    patch(tmp.path(), 1, 500, b"x");
    let found = read_found(&dir, JOB);
    assert!(found.error.is_some());
    assert!(found.replay.records.len() > 5);
    assert!(found.replay.records.iter().zip(records()).all(|((_, a), b)| *a == b));
}
