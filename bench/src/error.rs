//! Why a figure could not be had, in one line.

use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What stops the bench.
#[derive(Debug, Error)]
pub enum BenchError {
    #[error("{} is not there: build it with `make build`, or say where it is with --bin", .0.display())]
    NotBuilt(PathBuf),
    #[error("cannot {what} {}: {source}", .path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{what}: {errno}")]
    Os { what: &'static str, errno: nix::errno::Errno },
    #[error("{program} {how}; its last words: {words}")]
    Failed { program: String, how: String, words: String },
    #[error("{}: {why}", .path.display())]
    Mask { path: PathBuf, why: String },
    #[error("the split is not what it says: {0}")]
    Split(String),
}

impl BenchError {
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    pub fn os(what: &'static str) -> impl FnOnce(nix::errno::Errno) -> Self {
        move |errno| Self::Os { what, errno }
    }
}
