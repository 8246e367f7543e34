//! A spool with results in it, for the tests of the merges; on a disk that does not wait for the platters.

use crate::{Dtype, Layout, Part};
use dc_model::{Attempt, Block, JobUuid, SubtaskId};
use dc_spool::files::{Dir, Disk, NewFile};
use dc_spool::layout;
use dc_spool::result::Results;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug)]
struct NoSync;

impl Disk for NoSync {
    fn sync_data(&self, _: BorrowedFd<'_>) -> nix::Result<()> {
        Ok(())
    }
    fn sync_dir(&self, _: BorrowedFd<'_>) -> nix::Result<()> {
        Ok(())
    }
}

pub(crate) const ATTEMPT: Attempt = Attempt(2);

/// A spool and, beside it, a directory for the merged file.
#[derive(Debug)]
pub(crate) struct TestSpool {
    root: tempfile::TempDir,
    pub(crate) results: Results,
}

impl TestSpool {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["spool", "out"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let dir = Dir::open_on(Arc::new(NoSync), &root.path().join("spool")).unwrap();
        dir.make_subdir(layout::RESULT, layout::DIR_MODE).unwrap();
        let results = Results::open(&dir, JobUuid([7; 16])).unwrap();
        Self { root, results }
    }

    /// Writes the result of a subtask's second attempt, and gives the part that tells of it.
    pub(crate) fn add(
        &self,
        subtask: u32,
        block: Option<Block>,
        (dtype, layout, values_per_cell): (Dtype, Layout, u32),
        payload: &[u8],
    ) -> Part {
        let subtask = SubtaskId(subtask);
        let mut writer = self.results.writer(subtask, ATTEMPT, dtype, layout, values_per_cell).unwrap();
        writer.append(payload).unwrap();
        writer.finish().unwrap();
        let meta = self.results.meta(subtask, ATTEMPT).unwrap().unwrap();
        Part { subtask, name: None, block, committed: Some((ATTEMPT, meta)) }
    }

    /// The same results, read from another disk.
    pub(crate) fn results_on(&self, disk: Arc<dyn Disk>) -> Result<Results, dc_spool::files::FileError> {
        Results::open(&Dir::open_on(disk, &self.root.path().join("spool"))?, JobUuid([7; 16]))
    }

    pub(crate) fn result_path(&self, subtask: u32) -> PathBuf {
        self.root.path().join("spool").join(layout::RESULT).join(layout::result(SubtaskId(subtask), ATTEMPT))
    }

    /// Flips a bit of the last byte of a result's file: its payload.
    pub(crate) fn damage(&self, subtask: u32) {
        let path = self.result_path(subtask);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.root.path().join("out/merged")
    }

    /// The target, begun.
    pub(crate) fn begin(&self) -> NewFile {
        NewFile::at_target_on(Arc::new(NoSync), &self.target()).unwrap()
    }

    /// Names in the directory of the merged file.
    pub(crate) fn names(&self) -> Vec<OsString> {
        let entries = std::fs::read_dir(self.root.path().join("out")).unwrap();
        entries.map(|e| e.unwrap().file_name()).collect()
    }
}
