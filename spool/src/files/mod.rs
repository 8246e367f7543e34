//! The file rules, in the one place that knows them. Everything dc makes durable goes through here:
//!
//! 1. a file begins under a temporary name in the directory where it will live: `O_EXCL`, `O_NOFOLLOW`, `O_CLOEXEC`;
//! 2. all of it is written; a short write is gone on with, never taken for a whole one;
//! 3. its data are synced, and it is closed; both may report what the writes did not;
//! 4. it is renamed into place, over the old one or only where none is;
//! 5. the directory is synced; after making a directory, its parent;
//! 6. an error in 3 to 5 leaves the state unknown: it is a failure, and nothing is tried a second time.
//!
//! No format is known here.

mod dir;
mod disk;
mod error;
mod locked;
mod new_file;
mod read_file;
mod shown;

pub use dir::{Dir, Entry, Kind};
pub use disk::{Disk, Linux};
pub use error::{FileError, Op, Reason};
pub use locked::Locked;
pub use new_file::NewFile;
pub use read_file::ReadFile;
pub use shown::{Shown, shown};

/// What the names of unfinished files begin with. Nothing reads them; a crash may leave them.
pub const TMP_PREFIX: &str = ".tmp-";

#[cfg(test)]
mod tests;
