//! The directory of cost files. Written under a lock, so that two runs that end at once lose nothing of each other;
//! read without one, because a file is always whole under its name.

use super::codec::{self, COST_BYTES_MAX, Refused, VERSION};
use super::{CostError, CostKey, KernelCost};
use crate::files::{Dir, FileError, Locked, Op, TMP_PREFIX};
use crate::hash::ContentHash;
use crate::layout::{DIR_MODE, FILE_MODE};
use dc_model::CostSums;
use nix::errno::Errno;
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most kernels of which anything is kept; those that ran least recently go.
pub const KERNELS_MAX: usize = 256;

/// The lock is held for as long as it takes to read and write a file of a few kilobytes. Who finds it taken tries again
/// so often, so long apart, and then keeps nothing.
const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// Where cost files are. Neither read nor made before it is needed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CostDir {
    path: PathBuf,
}

impl CostDir {
    /// In this directory, of which the parents may be missing too.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is known of a kernel; nothing where there is no file.
    ///
    /// # Errors
    /// When there is one that cannot be used.
    pub fn read(&self, kernel: ContentHash) -> Result<Option<KernelCost>, CostError> {
        let path = self.path.join(name(kernel));
        let failed = |error| FileError::io(Op::Read, &path, error);
        // One call where nothing is known, which is what most short jobs pay.
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let mut bytes = Vec::with_capacity(512);
        file.take(COST_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        match codec::decode(kernel, &bytes) {
            Ok(cost) => Ok(Some(cost)),
            Err(Refused::Newer(found)) => Err(CostError::Newer { path, found, known: VERSION }),
            Err(Refused::Damaged) => Err(CostError::Damaged(path)),
        }
    }

    /// Adds what a run has taught of a kernel.
    ///
    /// # Errors
    /// When it cannot be kept; what was known is as it was then.
    pub fn add(
        &self,
        kernel: ContentHash,
        key: CostKey,
        taught: CostSums,
        now_s: u64,
    ) -> Result<(), CostError> {
        let made = DirBuilder::new().recursive(true).mode(DIR_MODE).create(&self.path);
        made.map_err(|error| FileError::io(Op::MakeDir, &self.path, error))?;
        let dir = Dir::open(&self.path)?;
        let _lock = self.lock()?;
        let (mut cost, is_new) = match self.read(kernel) {
            Ok(Some(cost)) => (cost, false),
            Ok(None) | Err(CostError::Damaged(_)) => (KernelCost::new(kernel), true),
            Err(error) => return Err(error),
        };
        cost.add(key, taught, now_s);
        let mut file = dir.new_file(FILE_MODE)?;
        file.write_all(&codec::encode(&cost)).map_err(|e| FileError::io(Op::Write, &self.path, e))?;
        file.commit_hint(name(kernel))?;
        if is_new {
            prune(&dir)?;
        }
        Ok(())
    }

    fn lock(&self) -> Result<Locked, CostError> {
        let failed = |error| FileError::io(Op::Lock, &self.path, error);
        let mut file = File::open(&self.path).map_err(failed)?;
        for _ in 0..LOCK_TRIES {
            match Locked::alone(file) {
                Ok(lock) => return Ok(lock),
                Err((back, Errno::EWOULDBLOCK)) => file = back,
                Err((_, errno)) => return Err(FileError::os(Op::Lock, &self.path, errno).into()),
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        Err(CostError::Busy(self.path.clone()))
    }
}

fn name(kernel: ContentHash) -> String {
    format!("{kernel}.cost")
}

/// Removes the files of the kernels that ran least recently, and what interrupted writers left. Under the lock.
fn prune(dir: &Dir) -> Result<(), FileError> {
    let mut found: Vec<(i64, OsString)> = Vec::new();
    for entry in dir.list()? {
        let bytes = entry.name.as_bytes();
        if bytes.starts_with(TMP_PREFIX.as_bytes()) {
            dir.remove(&entry.name)?;
        } else if bytes.ends_with(b".cost") {
            let changed_s = dir.stat(&entry.name)?.map_or(0, |stat| stat.st_mtime);
            found.push((changed_s, entry.name));
        }
    }
    let surplus = found.len().saturating_sub(KERNELS_MAX);
    found.sort();
    found.iter().take(surplus).try_for_each(|(_, name)| dir.remove(name).map(drop))
}
