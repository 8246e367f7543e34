//! Every call that reads, made to fail in turn, once and for good, through all that the spool is asked for: what comes
//! is the right data or an error, nothing on the disk is another than before, and no good checkpoint is removed because
//! it could not be read.

use crate::checkpoint::{Checkpoints, Region, RegionMut};
use crate::fakes::{FailingDisk, Fault};
use crate::files::Dir;
use crate::job::JobRecord;
use crate::job::tests::small as sample;
use crate::journal::samples;
use crate::layout;
use crate::result::{Dtype, Layout, Results};
use crate::spool::Spool;
use dc_model::{Attempt, Record, Restart, SubtaskId};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SUBTASK: SubtaskId = SubtaskId(0);
const EIO: Fault = Fault::Error(Errno::EIO);
const FAULTS: [Fault; 5] =
    [EIO, Fault::Error(Errno::EMFILE), Fault::Error(Errno::ENOMEM), Fault::Short, Fault::End];

/// A job with two epochs, five checkpoints, of which the second newest is damaged, and a result.
struct Sample {
    root: tempfile::TempDir,
    job: JobRecord,
    records: Vec<(u64, Record)>,
}

fn at(step: u64) -> Restart {
    Restart { attempt: Attempt(1), step }
}

fn memory(step: u64) -> Vec<u8> {
    vec![step as u8; 1000]
}

impl Sample {
    fn new() -> Self {
        // In memory where that can be: a job is made again for each fault.
        let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = root.path().join("job");
        let job = sample();
        let records: Vec<_> = (1..).zip(samples::records()).collect();
        let (first, second) = records.split_at(records.len() / 2);
        let (spool, mut writer) = Spool::create(&path, &job).unwrap();
        writer.append(first).unwrap();
        writer.sync().unwrap();
        drop((writer, spool));
        let resumed = Spool::resume(&path).unwrap();
        let mut writer = resumed.spool.next_epoch(&resumed.replay).unwrap();
        for batch in second.chunks(3) {
            writer.append(batch).unwrap();
            writer.sync().unwrap();
        }
        let checkpoints = Checkpoints::open(resumed.spool.dir(), job.uuid).unwrap();
        for step in 1..=5 {
            checkpoints.write(SUBTASK, at(step), &[Region { id: 1, data: &memory(step) }]).unwrap();
        }
        let results = Results::open(resumed.spool.dir(), job.uuid).unwrap();
        let mut result = results.writer(SUBTASK, Attempt(1), Dtype::U1, Layout::Bytes, 1).unwrap();
        result.append(b"the result").unwrap();
        result.finish().unwrap();
        let sample = Self { root, job, records };
        let damaged = sample.checkpoint(4);
        let mut bytes = std::fs::read(&damaged).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(damaged, bytes).unwrap();
        sample
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("job")
    }

    fn checkpoint(&self, step: u64) -> PathBuf {
        let dir = self.path().join(layout::CKPT).join(layout::subtask_dir(SUBTASK));
        dir.join(layout::checkpoint(at(step)))
    }

    /// All files and what is in them, but for the lock's, which names its last holder.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(dir: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, all);
                } else if !path.ends_with(layout::LOCK) {
                    all.insert(path.clone(), std::fs::read(&path).unwrap());
                }
            }
        }
        let mut all = BTreeMap::new();
        walk(&self.path(), &mut all);
        all
    }
}

/// Runs `act` with a fault at read 0, 1, 2 … until a run meets none. `act` says whether it succeeded, and panics when
/// what it got is wrong. `is_kept`: nothing on the disk changes, so that one sample does for all runs.
fn with_every_fault(
    what: &str,
    faults: &[Fault],
    is_kept: bool,
    act: impl Fn(&Sample, Arc<FailingDisk>) -> bool,
) {
    let mut sample = Sample::new();
    let before = sample.files();
    let (mut met, mut failed) = (0, 0);
    for fault in faults {
        for persistent in [false, true] {
            for n in 0.. {
                assert!(n < 1000, "the calls end");
                let disk = Arc::new(FailingDisk::reading(n, *fault, persistent));
                let is_well = act(&sample, Arc::clone(&disk));
                if is_kept {
                    assert_eq!(sample.files(), before, "{what}: call {n}, {fault:?}");
                } else {
                    sample = Sample::new();
                }
                if disk.calls().len() <= n {
                    assert!(is_well, "{what}: without a fault");
                    break;
                }
                met += 1;
                failed += u32::from(!is_well);
                assert!(is_well || *fault != Fault::Short, "{what}: call {n}: a short read is gone on with");
            }
        }
    }
    println!("trust: reads made to fail, {what}: {met} calls");
    println!("{what}: {failed} of {met} ended with an error, all others with the right data");
    assert!(met > 0 && failed > 0, "{what}: {met} faults were met, {failed} told");
}

#[test]
fn a_job_is_resumed_as_it_was_or_not_at_all() {
    with_every_fault("resume", &FAULTS, true, |sample, disk| match Spool::resume_on(disk, &sample.path()) {
        Ok(resumed) => {
            assert_eq!(resumed.job, sample.job);
            assert_eq!(resumed.replay.records, sample.records);
            true
        }
        Err(_) => false,
    });
}

#[test]
fn the_next_epoch_loses_no_record_and_no_checkpoint() {
    with_every_fault("next epoch", &FAULTS, false, |sample, disk| {
        let good: Vec<_> = (1..=5).map(|step| std::fs::read(sample.checkpoint(step)).unwrap()).collect();
        let is_well = Spool::resume_on(disk, &sample.path())
            .is_ok_and(|resumed| resumed.spool.next_epoch(&resumed.replay).is_ok());
        let again = Spool::resume(&sample.path()).unwrap();
        assert_eq!(again.replay.records, sample.records);
        for (step, good) in (1..=5).zip(good) {
            assert_eq!(std::fs::read(sample.checkpoint(step)).unwrap(), good);
        }
        is_well
    });
}

#[test]
fn a_checkpoint_is_chosen_that_is_valid_and_none_is_touched() {
    let faults = [&FAULTS[..], &[Fault::Flipped]].concat();
    with_every_fault("choose", &faults, true, |sample, disk| {
        let choose = || {
            let spool = Dir::open_on(disk, &sample.path()).ok()?;
            let checkpoints = Checkpoints::open(&spool, sample.job.uuid).ok()?;
            checkpoints.newest_valid(SUBTASK, None, Attempt(2)).ok()
        };
        let Some(choice) = choose() else { return false };
        let found: Vec<u64> =
            [&choice.from, &choice.older].into_iter().flatten().map(|f| f.restart.step).collect();
        assert!(found.iter().all(|step| [1, 2, 3, 5].contains(step)), "{found:?}");
        assert!(found.is_sorted_by(|newer, older| newer > older), "{found:?}");
        let newest = found.first().copied().unwrap_or(0);
        let newer = [5, 4, 3, 2, 1].iter().filter(|step| **step > newest).count();
        assert!(choice.passed_over.len() >= newer.min(1), "what is passed over is told: {choice:?}");
        found == [5, 3]
    });
}

#[test]
fn a_checkpoint_is_restored_as_it_was_written_or_not_at_all() {
    let faults = [&FAULTS[..], &[Fault::Flipped]].concat();
    with_every_fault("restore", &faults, true, |sample, disk| {
        let mut data = vec![0; 1000];
        let restore = || {
            let spool = Dir::open_on(disk, &sample.path()).ok()?;
            let checkpoint =
                Checkpoints::open(&spool, sample.job.uuid).ok()?.open_verified(SUBTASK, at(5)).ok()?;
            checkpoint.restore(&mut [RegionMut { id: 1, data: &mut data }]).ok()
        };
        let is_well = restore().is_some();
        assert!(!is_well || data == memory(5));
        is_well
    });
}

#[test]
fn the_newest_good_checkpoints_outlive_every_prune() {
    let faults = [&FAULTS[..], &[Fault::Flipped]].concat();
    for (keep, good) in [(1, &[5][..]), (2, &[5, 3])] {
        with_every_fault(&format!("prune to {keep}"), &faults, false, |sample, disk| {
            let prune = || {
                let spool = Dir::open_on(disk, &sample.path()).ok()?;
                Checkpoints::open(&spool, sample.job.uuid).ok()?.prune(SUBTASK, keep, true).ok()
            };
            let pruned = prune();
            for step in good {
                assert!(sample.checkpoint(*step).exists(), "step {step} was removed: {pruned:?}");
            }
            pruned.is_some_and(|pruned| pruned.kept == good.iter().map(|step| at(*step)).collect::<Vec<_>>())
        });
    }
}

#[test]
fn a_result_is_read_as_it_was_written_or_not_at_all() {
    let faults = [&FAULTS[..], &[Fault::Flipped]].concat();
    with_every_fault("result", &faults, true, |sample, disk| {
        let read = || {
            let spool = Dir::open_on(disk, &sample.path()).ok()?;
            let results = Results::open(&spool, sample.job.uuid).ok()?;
            // That there is none is an answer too, and would be a wrong one.
            let meta = results.meta(SUBTASK, Attempt(1)).ok()?;
            assert_eq!(meta.map(|meta| meta.len), Some(10));
            let reader = results.open_verified(SUBTASK, Attempt(1)).ok()?;
            let mut payload = Vec::new();
            reader.payload().read_to_end(&mut payload).ok().map(|_| payload)
        };
        let payload = read();
        assert!(payload.as_ref().is_none_or(|payload| payload == b"the result"));
        payload.is_some()
    });
}

#[test]
fn what_cannot_be_read_is_not_removed_for_it() {
    with_every_fault("remove", &FAULTS, false, |sample, disk| {
        let others = sample.path().join(layout::RESULT).join("mine");
        std::fs::write(&others, "mine").unwrap();
        let removed =
            Spool::resume_on(disk, &sample.path()).ok().and_then(|resumed| resumed.spool.remove().ok());
        assert_eq!(std::fs::read_to_string(&others).unwrap(), "mine");
        removed.is_some()
    });
}

#[test]
fn a_new_job_is_there_or_nothing_is() {
    let job = sample();
    with_every_fault("create", &FAULTS, false, |sample, disk| {
        let path = sample.root.path().join("new");
        let created = Spool::create_on(disk, &path, &job).is_ok();
        let there = path.join(layout::JOB).exists();
        assert_eq!(there, created);
        assert!(!created || Spool::resume(&path).unwrap().job == job);
        created
    });
}

/// One read that fails once costs no work: what cannot be read is tried again before it is passed over.
#[test]
fn a_passing_error_sends_nobody_back() {
    let sample = Sample::new();
    let (mut met, mut listed) = (0, 0);
    for fault in FAULTS {
        for n in 0.. {
            let disk = Arc::new(FailingDisk::reading(n, fault, false));
            let choose = || {
                let spool = Dir::open_on(disk.clone(), &sample.path()).ok()?;
                Checkpoints::open(&spool, sample.job.uuid).ok()?.newest_valid(SUBTASK, None, Attempt(2)).ok()
            };
            // Where the directory cannot be listed there is an error, and the caller tries again.
            let choice = choose();
            if disk.calls().len() <= n {
                break;
            }
            met += 1;
            listed += u32::from(choice.is_some());
            let from = choice.map(|choice| choice.from.map(|found| found.restart));
            assert!(from.is_none_or(|from| from == Some(at(5))), "{fault:?} at {n}: {from:?}");
        }
    }
    assert!(listed > met / 2, "{listed} of {met}");
    println!("trust: reads made to fail once, the newest checkpoint chosen all the same: {listed} calls");
}

/// A set of one subtask's checkpoints: chosen and pruned by the same rules.
#[test]
fn a_set_is_chosen_that_is_valid_and_the_newest_outlive_every_prune() {
    let faults = [&FAULTS[..], &[Fault::Flipped]].concat();
    with_every_fault("choose a set", &faults, true, |sample, disk| {
        let choose = || {
            let spool = Dir::open_on(disk, &sample.path()).ok()?;
            Checkpoints::open(&spool, sample.job.uuid).ok()?.newest_sets(&[SUBTASK], None, Attempt(2)).ok()
        };
        let Some(choice) = choose() else { return false };
        let found: Vec<u64> = choice.sets.iter().map(|(restart, _)| restart.step).collect();
        assert!(found.iter().all(|step| [1, 2, 3, 5].contains(step)), "{found:?}");
        found == [5, 3]
    });
    with_every_fault("prune sets", &faults, false, |sample, disk| {
        let prune = || {
            let spool = Dir::open_on(disk, &sample.path()).ok()?;
            Checkpoints::open(&spool, sample.job.uuid).ok()?.prune_sets(&[SUBTASK], 2, true).ok()
        };
        let removed = prune();
        assert!(sample.checkpoint(5).exists() && sample.checkpoint(3).exists(), "{removed:?}");
        removed == Some(2)
    });
}
