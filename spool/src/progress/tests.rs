//! Slots between the two sides, and files that must not be mapped.

use super::*;
use dc_model::Rank;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

fn path(slots: &Slots) -> PathBuf {
    format!("/proc/self/fd/{}", slots.as_fd().as_raw_fd()).into()
}

#[test]
fn a_rank_is_heard() {
    let slots = Slots::create(3).unwrap();
    assert_eq!(slots.read(Rank(1)), None);
    let slot = Slot::open(&path(&slots), Rank(1), SubtaskId(7), Attempt(2)).unwrap();
    slot.cells(100);
    slot.checkpointed(5);
    slot.checkpointed(9);
    let heard = slots.read(Rank(1)).unwrap();
    assert_eq!(
        heard,
        Progress { subtask: SubtaskId(7), attempt: Attempt(2), cells: 100, step: 9, checkpoints: 2 }
    );
    assert_eq!((slots.read(Rank(0)), slots.read(Rank(2)), slots.read(Rank(3))), (None, None, None));
}

#[test]
fn the_same_attempt_goes_on_and_another_begins_at_nothing() {
    let slots = Slots::create(1).unwrap();
    let open = |attempt| Slot::open(&path(&slots), Rank(0), SubtaskId(0), Attempt(attempt)).unwrap();
    open(1).cells(10);
    open(1).checkpointed(4);
    let heard = slots.read(Rank(0)).unwrap();
    assert_eq!((heard.cells, heard.step, heard.checkpoints), (10, 4, 1));
    open(2);
    let heard = slots.read(Rank(0)).unwrap();
    assert_eq!((heard.attempt, heard.cells, heard.step, heard.checkpoints), (Attempt(2), 0, 0, 0));
}

#[test]
fn only_the_attempt_that_is_meant_is_asked() {
    let slots = Slots::create(1).unwrap();
    let one = Slot::open(&path(&slots), Rank(0), SubtaskId(3), Attempt(1)).unwrap();
    assert!(!one.checkpoint_wanted());
    slots.want_checkpoint(Rank(0), SubtaskId(3), Attempt(1));
    slots.want_checkpoint(Rank(9), SubtaskId(3), Attempt(1));
    assert!(one.checkpoint_wanted());
    let two = Slot::open(&path(&slots), Rank(0), SubtaskId(3), Attempt(2)).unwrap();
    assert!(!two.checkpoint_wanted());
}

#[test]
fn the_file_survives_being_handed_on() {
    let slots = Slots::create(2).unwrap();
    let other = Slots::from_fd(slots.as_fd().try_clone_to_owned().unwrap(), 2).unwrap();
    Slot::open(&path(&slots), Rank(1), SubtaskId(1), Attempt(1)).unwrap().cells(3);
    assert_eq!(other.read(Rank(1)), slots.read(Rank(1)));
    assert!(Slots::from_fd(slots.as_fd().try_clone_to_owned().unwrap(), 3).is_err());
}

#[test]
fn a_file_that_could_shrink_is_not_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("slots");
    std::fs::write(&file, [0; SLOT_BYTES]).unwrap();
    assert!(Slot::open(&file, Rank(0), SubtaskId(0), Attempt(1)).is_err());
    let slots = Slots::create(1).unwrap();
    assert!(Slot::open(&path(&slots), Rank(1), SubtaskId(0), Attempt(1)).is_err(), "no such slot");
    assert!(Slot::open(&path(&slots), Rank(u32::MAX), SubtaskId(0), Attempt(1)).is_err());
    let sealed = std::fs::File::open(path(&slots)).unwrap();
    assert!(sealed.set_len(0).is_err());
}

#[test]
fn no_reader_sees_one_attempts_numbers_under_another() {
    let slots = Slots::create(1).unwrap();
    let path = path(&slots);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for attempt in 1..=2000 {
                let slot = Slot::open(&path, Rank(0), SubtaskId(0), Attempt(attempt)).unwrap();
                slot.cells(u64::from(attempt));
                slot.checkpointed(u64::from(attempt));
            }
        });
        while !writer.is_finished() {
            if let Some(heard) = slots.read(Rank(0)) {
                let own = u64::from(heard.attempt.0);
                assert!(heard.cells == 0 || heard.cells == own, "{heard:?}");
                assert!(heard.step == 0 || heard.step == own, "{heard:?}");
            }
        }
    });
}
