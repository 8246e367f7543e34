//! The power fails before every change of a job's life: what was acknowledged is there afterwards, what was not is there
//! whole or not at all, and nothing is ever other data. `DC_SEED=n` gives other states, `DC_STATES=n` more of them.

use crate::checkpoint::{Checkpoints, Region};
use crate::fakes::PowerCut;
use crate::job::JobRecord;
use crate::job::tests::small as sample;
use crate::journal::samples;
use crate::result::{Dtype, Layout, Results};
use crate::spool::{Spool, SpoolError};
use dc_model::{Attempt, Record, Restart, SubtaskId};
use std::path::Path;
use std::sync::Arc;

const SUBTASK: SubtaskId = SubtaskId(0);
const MEMORY_BYTES: usize = 1500;

/// What was acknowledged before the power failed.
#[derive(Clone, Copy, Default, Debug)]
struct Acknowledged {
    job: bool,
    records: usize,
    checkpoint: Option<u64>,
    result: bool,
    is_removing: bool,
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn memory(step: u64) -> Vec<u8> {
    (0..MEMORY_BYTES).map(|i| (i as u64 * (step + 1)) as u8).collect()
}

fn at(step: u64) -> Restart {
    Restart { attempt: Attempt(1), step }
}

/// A job's life, two epochs of it, until something fails.
fn live(
    disk: &Arc<PowerCut>,
    path: &Path,
    job: &JobRecord,
    records: &[(u64, Record)],
    acked: &mut Acknowledged,
) -> Option<()> {
    let (first, second) = records.split_at(records.len() / 2);
    let (spool, mut writer) = Spool::create_on(disk.clone(), path, job).ok()?;
    acked.job = true;
    for batch in first.chunks(5) {
        writer.append(batch).ok()?;
        acked.records = writer.sync().ok()? as usize;
    }
    let checkpoints = Checkpoints::open(spool.dir(), job.uuid).ok()?;
    for step in 1..=4 {
        checkpoints.write(SUBTASK, at(step), &[Region { id: 1, data: &memory(step) }]).ok()?;
        acked.checkpoint = Some(step);
        checkpoints.prune(SUBTASK, 2, false).ok()?;
    }
    drop((writer, spool));
    let resumed = Spool::resume_on(disk.clone(), path).ok()?;
    let mut writer = resumed.spool.next_epoch(&resumed.replay).ok()?;
    let results = Results::open(resumed.spool.dir(), job.uuid).ok()?;
    let mut result = results.writer(SUBTASK, Attempt(1), Dtype::U1, Layout::Bytes, 1).ok()?;
    result.append(&memory(9)).ok()?;
    result.finish().ok()?;
    acked.result = true;
    for batch in second.chunks(5) {
        writer.append(batch).ok()?;
        acked.records = writer.sync().ok()? as usize;
    }
    acked.is_removing = true;
    drop(writer);
    resumed.spool.remove().ok().map(drop)
}

/// What is found after the power has come back.
fn check(path: &Path, job: &JobRecord, records: &[(u64, Record)], acked: Acknowledged) {
    let resumed = match Spool::resume(path) {
        Ok(resumed) => resumed,
        Err(error) if acked.is_removing => {
            // Its results have been delivered: that some of it is left is no job any more, and told as that.
            drop(error);
            return;
        }
        Err(error) => {
            assert!(!acked.job, "an acknowledged job is gone: {error}");
            // Its record may have come before the rest of it: there is no job to go on with, and that is said.
            let is_none =
                matches!(error, SpoolError::Nowhere(_) | SpoolError::Job(_) | SpoolError::Journal { .. });
            assert!(is_none, "{error}");
            return;
        }
    };
    assert_eq!(resumed.job, *job);
    assert!(records.starts_with(&resumed.replay.records), "other records: {:?}", resumed.replay);
    if acked.is_removing {
        return;
    }
    assert!(resumed.replay.records.len() >= acked.records, "{:?}", resumed.replay);
    let mut writer = resumed.spool.next_epoch(&resumed.replay).unwrap();
    let next = writer.next_seq();
    writer.append(&[(next, Record::Merging)]).unwrap();
    writer.sync().unwrap();
    let checkpoints = Checkpoints::open(resumed.spool.dir(), job.uuid).unwrap();
    for restart in checkpoints.list(SUBTASK).unwrap() {
        let checkpoint = checkpoints.open_verified(SUBTASK, restart).unwrap();
        let mut bytes = Vec::new();
        checkpoint.copy_to(&mut bytes, "memory").unwrap();
        assert_eq!(bytes, memory(restart.step));
    }
    let newest = checkpoints.newest_valid(SUBTASK, None, Attempt(2)).unwrap();
    assert!(newest.passed_over.is_empty(), "{newest:?}");
    let step = newest.from.map(|found| found.restart.step);
    assert!(step >= acked.checkpoint, "{step:?}");
    let results = Results::open(resumed.spool.dir(), job.uuid).unwrap();
    let meta = results.meta(SUBTASK, Attempt(1)).unwrap();
    assert!(meta.is_some() || !acked.result);
    if meta.is_some() {
        assert_eq!(results.open_verified(SUBTASK, Attempt(1)).unwrap().meta().len, MEMORY_BYTES as u64);
    }
    // What was read is there again, and what was added to it.
    drop((writer, resumed.spool));
    let again = Spool::resume(path).unwrap().replay.records;
    assert_eq!(again.len(), resumed.replay.records.len() + 1);
    assert!(again.starts_with(&resumed.replay.records));
}

#[test]
fn what_was_acknowledged_outlives_the_power() {
    let (seed, each) = (number("DC_SEED", 1), number("DC_STATES", 60));
    println!("repeat with DC_SEED={seed} DC_STATES={each}");
    let (job, records) = (sample(), (1..).zip(samples::records()).collect::<Vec<_>>());
    let mut random = seed;
    let (mut states, mut cuts, mut whole) = (0u64, 0, 0);
    for last in 0.. {
        assert!(last < 1000, "the calls end");
        let root = in_memory();
        let disk = Arc::new(PowerCut::before(last, root.path()).unwrap());
        let mut acked = Acknowledged::default();
        let ended = live(&disk, &root.path().join("job"), &job, &records, &mut acked);
        cuts += 1;
        for nth in 0..each {
            let image = in_memory();
            // First nothing, then all of what is in doubt, then each of it as the seed says.
            disk.lay_out(image.path(), || match nth {
                0 => false,
                1 => true,
                _ => {
                    random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                    (random >> 60) & 3 != 0
                }
            })
            .unwrap();
            let path = image.path().join("job");
            let checked = std::panic::catch_unwind(|| check(&path, &job, &records, acked));
            if let Err(panic) = checked {
                eprintln!(
                    "cut before change {last}, state {nth}: DC_SEED={seed} DC_STATES={each}; {acked:?}"
                );
                std::panic::resume_unwind(panic);
            }
            states += 1;
            if disk.in_doubt() == 0 {
                break;
            }
        }
        whole += u32::from(ended.is_some());
        if disk.calls() <= last {
            break;
        }
    }
    assert_eq!(whole, 1, "a life that nothing cuts ends well");
    println!("trust: power cut before every change of a job's life: {cuts} cuts, seed {seed}");
    println!("trust: states after a power cut: {states} states, seed {seed}");
}

fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
