//! What can go wrong, in one line each.

use dc_gather::npy::NpyError;
use dc_gather::{CheckError, FillError};
use dc_model::domain::DomainError;
use dc_spool::files::{FileError, shown};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why there is no picture, or the check failed.
#[derive(Debug, Error)]
pub enum PictureError {
    #[error("nothing to do: give a picture to write, --report or --check-index")]
    NothingToDo,
    #[error("cannot open {}: {source}", shown(.path))]
    Open { path: PathBuf, source: std::io::Error },
    #[error("{} {source}", shown(.path))]
    Npy { path: PathBuf, source: NpyError },
    #[error("{} {source}", shown(.path))]
    Check { path: PathBuf, source: CheckError },
    #[error("{}: {source}", shown(.path))]
    Mask { path: PathBuf, source: DomainError },
    #[error(transparent)]
    Fill(#[from] FillError),
    #[error("{} has no value anywhere: there is nothing to draw", shown(.0))]
    NoValues(PathBuf),
    #[error("a picture of {width} x {height} pixels is larger than a PNG can be: choose a smaller --scale")]
    TooLarge { width: u64, height: u64 },
    #[error(transparent)]
    Write(#[from] FileError),
    #[error("cannot encode the picture: {0}")]
    Encode(#[from] png::EncodingError),
}

impl PictureError {
    pub fn npy(path: &Path) -> impl FnOnce(NpyError) -> Self + '_ {
        move |source| Self::Npy { path: path.to_owned(), source }
    }
}
