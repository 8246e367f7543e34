//! What ends dcrun before a job runs, with its exit status.

use crate::cluster::ClusterError;
use crate::request::RequestError;
use crate::setup::SetupError;
use dc_model::exit;
use std::ffi::OsStr;
use thiserror::Error;

/// Why nothing was run.
#[derive(Debug, Error)]
pub enum Error {
    /// The command line.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The scheduler.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
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
            Self::Cluster(error) => error.status(),
            Self::Setup(error) => error.status(),
        }
    }
}

/// The variable with the status of an error of dc's own.
pub const EXIT_ERROR: &str = "DC_EXIT_ERROR";

/// Its value, where it is a status that means something went wrong.
#[must_use]
pub fn exit_error(value: &OsStr) -> Option<u8> {
    value.to_str()?.parse().ok().filter(|status| *status > 0)
}

/// The status that dcrun ends with: 125 is what the user's scripts want it to be.
#[must_use]
pub fn outward(status: u8) -> u8 {
    if status != exit::DC_ERROR {
        return status;
    }
    std::env::var_os(EXIT_ERROR).and_then(|value| exit_error(&value)).unwrap_or(status)
}
