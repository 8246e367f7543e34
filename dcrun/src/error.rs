//! What ends dcrun before a job runs, with its exit status.

use crate::request::RequestError;
use crate::setup::SetupError;
use dc_model::exit;
use thiserror::Error;

/// Why nothing was run.
#[derive(Debug, Error)]
pub enum Error {
    /// The command line.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// What it asks for, or the surroundings.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl Error {
    /// dcrun's exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Request(_) => exit::DC_ERROR,
            Self::Setup(error) => error.status(),
        }
    }
}
