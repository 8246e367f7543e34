//! The kernel's side as a kernel meets it: under dcrun by variables, by hand with a spool of its own.

use super::*;
use crate::checkpoint::Checkpoints;
use crate::fakes::{FailingDisk, Fault};
use crate::files::Dir;
use crate::layout;
use crate::progress::Slots;
use dc_model::{Block, JobUuid};
use nix::errno::Errno;
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

const JOB: JobUuid = JobUuid([7; 16]);

/// A job's spool, as far as a kernel uses it.
fn spool() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in [layout::CKPT, layout::RESULT] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    dir
}

fn environment(vars: &[(&'static str, String)]) -> Environment {
    Environment::read(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v))).unwrap()
}

fn under_dcrun(dir: &Path, attempt: u32, more: &[(&'static str, String)]) -> Kernel {
    let mut vars = vec![
        ("DC_JOB_UUID", JOB.to_string()),
        ("DC_SPOOL", dir.to_str().unwrap().to_owned()),
        ("DC_SUBTASK", "3".to_owned()),
        ("DC_ATTEMPT", attempt.to_string()),
    ];
    vars.extend_from_slice(more);
    Kernel::new(environment(&vars), Arc::new(Linux))
}

fn by_hand(dir: &Path) -> Kernel {
    Kernel::new(environment(&[("DC_SPOOL", dir.to_str().unwrap().to_owned())]), Arc::new(Linux))
}

fn save(kernel: &mut Kernel, step: Step) {
    kernel.checkpoint(step, &[Region { id: 1, data: &[step as u8; 4] }]).unwrap();
}

/// The step restored, having seen that the data are that step's.
fn restored(kernel: &mut Kernel) -> Result<Option<Step>, KernelError> {
    let mut data = [0; 4];
    let step = kernel.restore(&mut [RegionMut { id: 1, data: &mut data }])?;
    assert!(step.is_none_or(|step| data == [step as u8; 4]));
    Ok(step)
}

fn from(dir: &Path, name: &'static str, attempt: u32, step: Step) -> (&'static str, String) {
    let at = Restart { attempt: Attempt(attempt), step };
    let path = dir.join(layout::CKPT).join("00000003").join(layout::checkpoint(at));
    (name, path.to_str().unwrap().to_owned())
}

fn spoil(path: &str) {
    let mut bytes = std::fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn restores_what_it_is_told_and_nothing_else() {
    let dir = spool();
    let mut first = under_dcrun(dir.path(), 1, &[]);
    assert_eq!(restored(&mut first), Ok(None));
    save(&mut first, 10);
    save(&mut first, 20);
    assert_eq!(restored(&mut under_dcrun(dir.path(), 2, &[])), Ok(None), "it was not told");
    let newest = from(dir.path(), "DC_RESTART_FROM", 1, 20);
    let older = from(dir.path(), "DC_RESTART_FROM_OLDER", 1, 10);
    assert_eq!(restored(&mut under_dcrun(dir.path(), 2, std::slice::from_ref(&newest))), Ok(Some(20)));
    spoil(&newest.1);
    let both = [newest.clone(), older.clone()];
    assert_eq!(restored(&mut under_dcrun(dir.path(), 2, &both)), Ok(Some(10)), "falls back");
    let error = restored(&mut under_dcrun(dir.path(), 2, &[newest])).unwrap_err().to_string();
    assert!(error.ends_with("its content is damaged; not starting from the beginning instead"), "{error}");
    std::fs::remove_file(older.1).unwrap();
    assert!(restored(&mut under_dcrun(dir.path(), 2, &both)).is_err());
}

#[test]
fn a_checkpoint_of_this_attempt_or_a_later_one_is_fenced_off() {
    let dir = spool();
    save(&mut under_dcrun(dir.path(), 2, &[]), 10);
    let vars = [from(dir.path(), "DC_RESTART_FROM", 2, 10)];
    for attempt in [1, 2] {
        let error = restored(&mut under_dcrun(dir.path(), attempt, &vars)).unwrap_err();
        assert!(matches!(error, KernelError::Fenced { .. }), "{error}");
    }
    assert_eq!(restored(&mut under_dcrun(dir.path(), 3, &vars)), Ok(Some(10)));
}

#[test]
fn by_hand_it_goes_on_from_its_newest() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("spool");
    let mut kernel = by_hand(&dir);
    assert_eq!(restored(&mut kernel), Ok(None));
    assert!(!dir.exists(), "asking makes nothing");
    save(&mut kernel, 10);
    save(&mut kernel, 20);
    assert_eq!(kernel.attempt(), Ok(Attempt(1)));
    let busy = by_hand(&dir).checkpoint(1, &[]).unwrap_err();
    assert!(matches!(busy, KernelError::ByHand(ByHandError::Busy(_))), "{busy}");
    drop(kernel);
    let mut kernel = by_hand(&dir);
    assert_eq!(restored(&mut kernel), Ok(Some(20)));
    assert_eq!(kernel.attempt(), Ok(Attempt(2)));
    save(&mut kernel, 15);
    drop(kernel);
    assert_eq!(restored(&mut by_hand(&dir)), Ok(Some(15)), "the newest attempt's, not the largest step");
    let mut kernel = by_hand(&dir);
    kernel.result(Dtype::U1, Layout::Bytes, 1, b"x").unwrap();
    drop(kernel);
    assert_eq!(by_hand(&dir).attempt(), Ok(Attempt(4)), "a result takes a number too");
}

#[test]
fn by_hand_damage_is_told_and_never_taken_for_a_start() {
    let dir = tempfile::tempdir().unwrap();
    save(&mut by_hand(dir.path()), 10);
    let path = dir.path().join("ckpt/00000000/a000001-s00000000000000000010.ckpt");
    spoil(path.to_str().unwrap());
    let error = restored(&mut by_hand(dir.path())).unwrap_err();
    assert!(matches!(error, KernelError::NoneValid { .. }), "{error}");
    save(&mut by_hand(dir.path()), 5);
    assert_eq!(restored(&mut by_hand(dir.path())), Ok(Some(5)));
    std::fs::write(dir.path().join("by-hand"), "dc-by-hand 2\n").unwrap();
    let error = restored(&mut by_hand(dir.path())).unwrap_err();
    assert!(matches!(error, KernelError::ByHand(ByHandError::Damaged(_))), "{error}");
}

#[test]
fn by_hand_what_killed_kernels_left_is_swept() {
    let dir = tempfile::tempdir().unwrap();
    save(&mut by_hand(dir.path()), 10);
    let halves = [dir.path().join("ckpt/00000000/.tmp-1"), dir.path().join("result/.tmp-2")];
    halves.iter().for_each(|half| std::fs::write(half, "half").unwrap());
    assert_eq!(restored(&mut by_hand(dir.path())), Ok(Some(10)));
    assert!(halves.iter().all(|half| !half.exists()));
}

#[test]
fn by_hand_a_jobs_spool_is_left_alone() {
    let dir = spool();
    std::fs::write(dir.path().join(layout::JOB), "").unwrap();
    for error in
        [restored(&mut by_hand(dir.path())).unwrap_err(), by_hand(dir.path()).checkpoint(1, &[]).unwrap_err()]
    {
        assert!(matches!(error, KernelError::ByHand(ByHandError::Job(_))), "{error}");
    }
}

#[test]
fn progress_and_checkpoints_show_in_the_slot() {
    let dir = spool();
    let slots = Slots::create(2).unwrap();
    let path = format!("/proc/self/fd/{}", slots.as_fd().as_raw_fd());
    let mut kernel = under_dcrun(dir.path(), 1, &[("DC_PROGRESS", path), ("DC_RANK", "1".to_owned())]);
    kernel.progress(50);
    save(&mut kernel, 8);
    let heard = slots.read(Rank(1)).unwrap();
    assert_eq!((heard.subtask, heard.cells, heard.step, heard.checkpoints), (SubtaskId(3), 50, 8, 1));
    assert!(!kernel.checkpoint_due());
    slots.want_checkpoint(Rank(1), SubtaskId(3), Attempt(1));
    assert!(kernel.checkpoint_due());
    save(&mut kernel, 9);
    assert!(!kernel.checkpoint_due(), "answered");
    let lost = under_dcrun(dir.path(), 1, &[("DC_PROGRESS", "/nowhere".to_owned())]);
    lost.progress(1);
}

#[test]
fn a_chosen_interval_is_obeyed() {
    let dir = spool();
    let mut kernel = under_dcrun(dir.path(), 1, &[("DC_CHECKPOINT_INTERVAL", "0".to_owned())]);
    assert!(kernel.checkpoint_due());
    save(&mut kernel, 1);
    assert!(kernel.checkpoint_due());
    assert!(!under_dcrun(dir.path(), 1, &[("DC_CHECKPOINT_INTERVAL", "1000".to_owned())]).checkpoint_due());
}

#[test]
fn a_full_disk_is_an_error_and_the_kernel_may_go_on() {
    let dir = spool();
    let vars = [
        ("DC_JOB_UUID", JOB.to_string()),
        ("DC_SPOOL", dir.path().to_str().unwrap().to_owned()),
        ("DC_SUBTASK", "3".to_owned()),
        ("DC_ATTEMPT", "1".to_owned()),
    ];
    // The directory, its sync, the new file, and then the first write.
    let disk = Arc::new(FailingDisk::new(3, Fault::Error(Errno::ENOSPC), false));
    let mut kernel = Kernel::new(environment(&vars), disk);
    let error = kernel.checkpoint(1, &[Region { id: 1, data: &[1; 4] }]).unwrap_err();
    assert!(matches!(error, KernelError::Checkpoint(CheckpointError::File(ref e)) if e.is_full()), "{error}");
    save(&mut kernel, 2);
    let checkpoints = Checkpoints::open(&Dir::open(dir.path()).unwrap(), JOB).unwrap();
    assert_eq!(checkpoints.list(SubtaskId(3)).unwrap(), [Restart { attempt: Attempt(1), step: 2 }]);
}

fn mask(dir: &Path) -> PathBuf {
    let path = dir.join("mask.pbm");
    std::fs::write(&path, "P1\n4 3\n0 1 1 0\n1 1 1 1\n0 0 1 0\n").unwrap();
    path
}

#[test]
fn the_block_of_the_mask() {
    let dir = spool();
    let path = mask(dir.path()).to_str().unwrap().to_owned();
    let vars = |block: &str, grid: &str| {
        [("DC_DOMAIN", path.clone()), ("DC_BLOCK", block.to_owned()), ("DC_GRID", grid.to_owned())]
    };
    let mut kernel = under_dcrun(dir.path(), 1, &vars("1 0 4 2", "4 3"));
    let mut cells = [9; 6];
    assert_eq!(kernel.mask(&mut cells), Ok(5));
    assert_eq!(cells, [1, 1, 0, 1, 1, 1]);
    assert_eq!(kernel.effective(), Ok(5));
    assert_eq!(kernel.mask(&mut [0; 5]), Err(KernelError::MaskLength { found: 5, expected: 6 }));
    assert_eq!(kernel.use_domain(Path::new("/nowhere")), Ok(()), "the job has said");
    assert!(under_dcrun(dir.path(), 1, &vars("1 0 4 2", "5 3")).mask(&mut cells).is_err());
    assert!(under_dcrun(dir.path(), 1, &vars("1 0 5 2", "4 3")).mask(&mut cells).is_err());
    assert_eq!(under_dcrun(dir.path(), 1, &[]).mask(&mut cells), Err(KernelError::NoDomain));
}

#[test]
fn by_hand_the_block_is_the_whole_mask() {
    let dir = tempfile::tempdir().unwrap();
    let mut kernel = by_hand(&dir.path().join("spool"));
    assert_eq!((kernel.grid(), kernel.block(), kernel.cells()), (Ok(None), None, Ok(None)));
    assert!(kernel.use_domain(dir.path()).is_err(), "a directory");
    assert!(kernel.use_domain(Path::new("/nowhere")).is_err());
    assert_eq!(kernel.grid(), Ok(None), "and nothing has changed");
    kernel.use_domain(&mask(dir.path())).unwrap();
    assert_eq!(kernel.block(), Some(Block { x0: 0, y0: 0, x1: 4, y1: 3 }));
    assert_eq!((kernel.grid(), kernel.cells()), (Ok(Some((4, 3))), Ok(Some(7))));
    let mut cells = [0; 12];
    assert_eq!(kernel.mask(&mut cells), Ok(7));
    let eleven = kernel.result(Dtype::U1, Layout::Block, 1, &[0; 11]);
    assert!(matches!(eleven, Err(KernelError::CellsOfBlock { found: 11, .. })));
    kernel.result(Dtype::U1, Layout::Block, 1, &cells).unwrap();
    kernel.result(Dtype::U1, Layout::Effective, 1, &[0; 7]).unwrap();
}
