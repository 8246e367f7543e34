//! A journal of every record type, damaged in every way at every byte: what is read is an exact beginning of what was
//! written, or an error; what was acknowledged is never silently lost; nothing panics.

use super::samples::records;
use super::{Before, JournalError, Tail, Writer, read_all};
use crate::files::Dir;
use crate::layout;
use dc_model::{JobUuid, Record};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const JOB: JobUuid = JobUuid([5; 16]);

/// A journal, and what it must still say when it is damaged.
struct Journal {
    tmp: tempfile::TempDir,
    dir: Dir,
    records: Vec<(u64, Record)>,
    /// Of the last segment: its used bytes, a little of the zeros behind them included.
    bytes: Vec<u8>,
    path: PathBuf,
    used: usize,
    /// Where the last batch begins, and how many records come before it.
    last_batch: usize,
    before_last_batch: usize,
}

/// `epochs` segments with all records each, in batches of three.
fn journal(epochs: u32) -> Journal {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let mut all: Vec<(u64, Record)> = Vec::new();
    let (mut last_batch, mut before_last_batch) = (0, 0);
    for epoch in 1..=epochs {
        let before = read_all(&dir, JOB).unwrap().before;
        let mut writer = Writer::create(&dir, JOB, epoch, before).unwrap();
        let numbered: Vec<_> = (before.seq + 1..).zip(records()).collect();
        for batch in numbered.chunks(3) {
            last_batch = read_all(&dir, JOB).unwrap().before.bytes as usize;
            before_last_batch = all.len();
            writer.append(batch).unwrap();
            writer.sync().unwrap();
            all.extend_from_slice(batch);
        }
    }
    let used = read_all(&dir, JOB).unwrap().before.bytes as usize;
    let path = tmp.path().join(layout::journal(epochs));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(used + 160);
    Journal { tmp, dir, records: all, bytes, path, used, last_batch, before_last_batch }
}

/// Gives a file other bytes. Not by cutting it to nothing first: some file systems sync such files when they are closed.
fn put(path: &Path, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

impl Journal {
    /// Reads with the last segment replaced; the result must be a beginning of what was written.
    fn read_with(&self, bytes: &[u8], what: &str) -> Result<(usize, Tail), JournalError> {
        put(&self.path, bytes);
        let replay = read_all(&self.dir, JOB)?;
        assert!(replay.records.len() <= self.records.len(), "{what}: more than was written");
        assert_eq!(replay.records, self.records[..replay.records.len()], "{what}: other data");
        Ok((replay.records.len(), replay.tail))
    }
}

#[test]
fn every_flipped_bit_is_seen() {
    for epochs in [1, 2] {
        let journal = journal(epochs);
        let mut refused = 0;
        for bit in 0..journal.bytes.len() * 8 {
            let mut bytes = journal.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match journal.read_with(&bytes, &format!("bit {bit}")) {
                Ok((found, tail)) => {
                    assert_ne!(tail, Tail::Clean, "bit {bit}");
                    assert!(bit / 8 >= journal.last_batch, "bit {bit}: acknowledged records were cut away");
                    assert!(found >= journal.before_last_batch, "bit {bit}");
                    assert!(found < journal.records.len() || bit / 8 >= journal.used, "bit {bit}");
                }
                Err(_) => refused += 1,
            }
        }
        assert_eq!(refused, journal.last_batch * 8, "all that a later record vouches for, and no more");
        let bits = journal.bytes.len() * 8;
        println!("trust: bits of a journal of {epochs} segments turned round: {bits} bits");
        assert!(journal.tmp.path().exists());
    }
}

#[test]
fn every_cut_and_fill_gives_a_beginning() {
    // What an older file system block may hold: another job's journal, and this job's own first segment.
    let stale = [journal(1).bytes, {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        let mut writer = Writer::create(&dir, JobUuid([6; 16]), 1, Before::default()).unwrap();
        writer.append(&(1..).zip(records()).collect::<Vec<_>>()).unwrap();
        writer.sync().unwrap();
        let mut bytes = std::fs::read(tmp.path().join(layout::journal(1))).unwrap();
        bytes.truncate(2000);
        bytes
    }];
    let mut cuts = 0;
    for epochs in [1, 2] {
        let journal = journal(epochs);
        for at in 0..=journal.bytes.len() {
            let (kept, lost) = journal.bytes.split_at(at);
            let garbage: Vec<u8> = (0..lost.len()).map(|i| (i * 151 + at * 7 + 13) as u8).collect();
            let mut fills = vec![Vec::new(), vec![0; lost.len()], vec![0xff; lost.len()], garbage];
            if epochs == 2 {
                fills.extend(stale.iter().map(|old| old.get(at..).unwrap_or_default().to_vec()));
            }
            for (nth, fill) in fills.iter().enumerate() {
                let what = format!("fill {nth} from byte {at} on");
                let bytes = [kept, fill].concat();
                cuts += 1;
                // A tail that is lost as a whole takes its proof with it; never more than that.
                match journal.read_with(&bytes, &what) {
                    Ok((found, _)) if at >= journal.used => {
                        assert_eq!(found, journal.records.len(), "{what}")
                    }
                    Ok((found, _)) if at >= journal.last_batch => {
                        assert!(found >= journal.before_last_batch, "{what}");
                    }
                    Ok(_) => {}
                    Err(error) => assert!(at < 88, "{what}: {error}"),
                }
            }
        }
    }
    println!("trust: a journal cut at every byte, and filled: {cuts} journals");
}

#[test]
fn every_zeroed_stretch_before_the_last_batch_is_refused() {
    let journal = journal(2);
    for at in 0..journal.bytes.len() {
        for len in [1, 8, 32, 64, 512] {
            let end = (at + len).min(journal.bytes.len());
            let mut bytes = journal.bytes.clone();
            bytes[at..end].fill(0);
            let what = format!("{len} zeros at {at}");
            match journal.read_with(&bytes, &what) {
                Ok((found, _)) => {
                    let untouched = bytes == journal.bytes;
                    assert!(untouched || end > journal.last_batch, "{what}");
                    assert!(!untouched || found == journal.records.len(), "{what}");
                }
                Err(_) => assert!(at < journal.last_batch, "{what}"),
            }
        }
    }
}

#[test]
fn an_earlier_segment_is_as_well_guarded() {
    let journal = journal(2);
    let path = journal.tmp.path().join(layout::journal(1));
    let whole = std::fs::read(&path).unwrap();
    let used = whole.iter().rposition(|b| *b != 0).unwrap() + 1;
    for at in 0..used {
        for damaged in [
            whole[..at].to_vec(),
            [&whole[..at], &[whole[at] ^ 0x10], &whole[at + 1..]].concat(),
            [&whole[..at], &vec![0; whole.len() - at][..]].concat(),
        ] {
            put(&path, &damaged);
            match read_all(&journal.dir, JOB) {
                Ok(replay) => assert_eq!(replay.records, journal.records, "byte {at}"),
                Err(_) => assert_ne!(damaged, whole),
            }
        }
    }
}

/// A power cut in a sync: any of its sectors may have reached the disk, or not.
#[test]
fn every_subset_of_the_last_syncs_sectors_is_a_torn_tail_at_most() {
    const SECTOR: usize = 512;
    for epochs in [1, 2] {
        for first in [true, false] {
            let tmp = tempfile::tempdir().unwrap();
            let dir = Dir::open(tmp.path()).unwrap();
            let mut all = Vec::new();
            let mut sync = |writer: &mut Writer, count: usize| {
                let batch: Vec<_> =
                    (writer.next_seq()..).zip(records().into_iter().cycle().take(count)).collect();
                writer.append(&batch).unwrap();
                writer.sync().unwrap();
                all.extend(batch);
            };
            for epoch in 1..epochs {
                sync(&mut Writer::create(&dir, JOB, epoch, Before::default()).unwrap(), 5);
            }
            let mut writer = Writer::create(&dir, JOB, epochs, read_all(&dir, JOB).unwrap().before).unwrap();
            let path = tmp.path().join(layout::journal(epochs));
            if !first {
                sync(&mut writer, 20);
            }
            let before = std::fs::read(&path).unwrap();
            let acknowledged = read_all(&dir, JOB).unwrap();
            sync(&mut writer, 80);
            let after = std::fs::read(&path).unwrap();
            let end = read_all(&dir, JOB).unwrap().before.bytes as usize;
            let begin = if first { 0 } else { acknowledged.before.bytes as usize };
            let sectors: Vec<usize> = (begin / SECTOR..end.div_ceil(SECTOR)).collect();
            assert!((5..14).contains(&sectors.len()), "{} sectors", sectors.len());
            for reached in 0..1u32 << sectors.len() {
                let mut bytes = before.clone();
                for (nth, sector) in sectors.iter().enumerate() {
                    let range = sector * SECTOR..(sector + 1) * SECTOR;
                    if reached >> nth & 1 == 1 {
                        bytes[range.clone()].copy_from_slice(&after[range]);
                    }
                }
                bytes.truncate(end.next_multiple_of(SECTOR));
                put(&path, &bytes);
                let replay =
                    read_all(&dir, JOB).unwrap_or_else(|error| panic!("sectors {reached:b}: {error}"));
                assert!(replay.records.len() >= acknowledged.records.len(), "sectors {reached:b}");
                assert_eq!(replay.records, all[..replay.records.len()], "sectors {reached:b}");
                let whole = reached + 1 == 1 << sectors.len();
                assert_eq!(whole, replay.records.len() == all.len(), "sectors {reached:b}");
            }
        }
    }
}
