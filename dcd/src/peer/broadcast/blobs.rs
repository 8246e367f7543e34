//! Files by their content: `blobs/SHA-256` in the state directory. What is there was verified when it came; what is used
//! least recently goes first when there is too much. A job's files are links to them, so that none is taken away from a job.

use dc_model::cluster::files::hex;
use dc_spool::Spool;
use dc_spool::files::{Dir, FileError, NewFile, ReadFile};
use dc_spool::layout;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Read and execute: the same content may be a kernel to one job and data to another.
const MODE: u32 = 0o500;

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    root: PathBuf,
    bytes_max: u64,
}

impl Blobs {
    /// In a state directory; nothing is made.
    pub fn new(state: &Path, bytes_max: u64) -> Self {
        Self { root: state.join("blobs"), bytes_max }
    }

    /// What may be there, in bytes.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// The file of this content.
    pub fn open(&self, hash: &[u8; 32]) -> Option<ReadFile> {
        let file = Dir::open(&self.root).ok()?.open_file(hex(hash)).ok()?;
        self.touch(hash);
        Some(file)
    }

    fn touch(&self, hash: &[u8; 32]) {
        if let Ok(file) = File::open(self.root.join(hex(hash))) {
            // It goes sooner, at worst.
            let _ = file.set_modified(SystemTime::now());
        }
    }

    /// Begins one of so many bytes, for which room is made.
    pub fn begin(&self, bytes: u64) -> Result<NewFile, FileError> {
        Spool::make_parents(&self.root.join("x"))?;
        self.make_room(bytes);
        let mut file = Dir::open(&self.root)?.new_file(MODE)?;
        file.allocate(bytes)?;
        Ok(file)
    }

    /// Puts one that was verified in its place. A crash may tear it: then its length or content is wrong, and it is
    /// refused by who reads it.
    pub fn finish(&self, file: NewFile, hash: &[u8; 32]) -> Result<(), FileError> {
        file.commit(hex(hash))
    }

    /// Removes what is used least recently, until so many bytes more fit; what dead writers left is removed too.
    fn make_room(&self, bytes: u64) {
        let mut all: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let Ok(stat) = entry.metadata() else { continue };
            all.push((stat.modified().unwrap_or(SystemTime::UNIX_EPOCH), stat.len(), entry.path()));
        }
        all.sort();
        let mut total: u64 = all.iter().map(|(_, len, _)| *len).sum();
        for (_, len, path) in all {
            if total.saturating_add(bytes) <= self.bytes_max {
                return;
            }
            // One that is just being written loses its name, and its writer is told when it commits.
            if std::fs::remove_file(&path).is_ok() {
                total = total.saturating_sub(len);
            }
        }
    }

    /// Has this content under a name in a job's directory.
    pub fn link(&self, hash: &[u8; 32], dir: &Dir, name: &str) -> Result<(), FileError> {
        let from = self.root.join(hex(hash));
        dir.remove(name)?;
        if std::fs::hard_link(&from, dir.path_of(name)).is_ok() {
            return Ok(());
        }
        // Another file system.
        let file = Dir::open(&self.root)?.open_file(hex(hash))?;
        let mut copy = dir.new_file(MODE)?;
        let mut at = 0;
        while at < file.len_bytes() {
            let left = usize::try_from(file.len_bytes() - at).unwrap_or(usize::MAX);
            let mut piece = vec![0; left.min(1 << 18)];
            file.read_exact_at(&mut piece, at)?;
            copy.append(&piece)?;
            at += piece.len() as u64;
        }
        copy.commit_hint(name)
    }
}

/// The directory of a job's files.
pub(crate) const JOB_FILES: &str = "bcast";

/// Makes it.
pub(crate) fn job_files(job: &Dir) -> Result<Dir, FileError> {
    match job.make_subdir(JOB_FILES, layout::DIR_MODE) {
        Err(error) if error.is_exists() => job.subdir(JOB_FILES),
        made => made,
    }
}

/// Removes it.
pub(crate) fn remove_job_files(job: &Path) {
    let remove = || -> Result<(), FileError> {
        let job = Dir::open(job)?;
        let dir = job.subdir(JOB_FILES)?;
        for entry in dir.list()? {
            dir.remove(&entry.name)?;
        }
        job.remove_subdir(JOB_FILES).map(drop)
    };
    // What stays is told of with all else that does.
    let _ = remove();
}
