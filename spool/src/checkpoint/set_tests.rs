//! Sets of a gang of three, whole and with holes.

use super::super::tests::{at, spool};
use super::*;
use crate::checkpoint::Region;
use std::path::Path;

const GANG: [SubtaskId; 3] = [SubtaskId(0), SubtaskId(1), SubtaskId(2)];

fn save(checkpoints: &Checkpoints, subtask: u32, restart: Restart) {
    let data = [subtask as u8, restart.step as u8];
    checkpoints.write(SubtaskId(subtask), restart, &[Region { id: 1, data: &data }]).unwrap();
}

fn save_all(checkpoints: &Checkpoints, restart: Restart) {
    (0..3).for_each(|subtask| save(checkpoints, subtask, restart));
}

fn spoil(dir: &Path, subtask: u32, restart: Restart) {
    let path = dir.join(layout::CKPT).join(layout::subtask_dir(SubtaskId(subtask)));
    let path = path.join(layout::checkpoint(restart));
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn sets(checkpoints: &Checkpoints, before: Option<Restart>, below: u32) -> Vec<Restart> {
    let found = checkpoints.newest_sets(&GANG, before, Attempt(below)).unwrap();
    for (restart, files) in &found.sets {
        assert_eq!(files.len(), GANG.len());
        assert!(files.iter().all(|file| file.restart == *restart));
    }
    found.sets.into_iter().map(|(restart, _)| restart).collect()
}

#[test]
fn a_set_is_whole_or_none() {
    let (dir, checkpoints) = spool();
    assert_eq!(sets(&checkpoints, None, 2), []);
    save_all(&checkpoints, at(1, 10));
    save_all(&checkpoints, at(1, 20));
    save(&checkpoints, 0, at(1, 30));
    save(&checkpoints, 1, at(1, 30));
    assert_eq!(sets(&checkpoints, None, 2), [at(1, 20), at(1, 10)], "one has no step 30");
    // The same step of different attempts is no set.
    save(&checkpoints, 2, at(2, 30));
    assert_eq!(sets(&checkpoints, None, 3), [at(1, 20), at(1, 10)]);
    assert_eq!(sets(&checkpoints, Some(at(1, 20)), 3), [at(1, 10)], "older than one that is suspect");
    assert_eq!(sets(&checkpoints, None, 1), [], "of attempts that have ended");
    spoil(dir.path(), 1, at(1, 20));
    assert_eq!(sets(&checkpoints, None, 3), [at(1, 10)]);
    let passed = checkpoints.newest_sets(&GANG, None, Attempt(3)).unwrap().passed_over;
    assert!(passed.len() == 1 && passed[0].contains("subtask 1"), "{passed:?}");
}

#[test]
fn a_rank_that_runs_ahead_loses_no_set() {
    let (dir, checkpoints) = spool();
    for step in [10, 20, 30] {
        save_all(&checkpoints, at(1, step));
    }
    for step in [40, 50, 60, 70] {
        save(&checkpoints, 0, at(1, step));
    }
    spoil(dir.path(), 2, at(1, 30));
    assert_eq!(checkpoints.prune_sets(&GANG, 2, false).unwrap(), 0, "two whole ones are needed for that");
    save_all(&checkpoints, at(1, 80));
    assert_eq!(checkpoints.prune_sets(&GANG, 2, false).unwrap(), 3, "step 10 of three");
    assert_eq!(sets(&checkpoints, None, 2), [at(1, 80), at(1, 20)]);
    assert_eq!(checkpoints.list(SubtaskId(0)).unwrap().len(), 7, "whatever is newer stays");
    assert_eq!(checkpoints.prune_sets(&GANG, 2, true).unwrap(), 0, "nothing the second time");
}
