//! Directories for decoders that read files: in memory where that can be, one a thread, so that an input costs little.

use dc_spool::files::Dir;
use std::path::Path;
use tempfile::TempDir;

/// A directory in memory, removed when dropped.
pub fn directory() -> TempDir {
    let shm = Path::new("/dev/shm");
    let made = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
    made.expect("a directory can be made")
}

/// Opens a directory of one's own.
pub fn open(path: &Path) -> Dir {
    Dir::open(path).expect("a directory that was just made")
}
