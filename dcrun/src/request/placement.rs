//! What is said of cores and memory: `--bind`, `-m`, `--mem`, `--mem-per-cpu`.

use super::RequestError;
use dc_model::{Bind, Distribution, bind, distribution, size};

/// The memory a subtask needs, in bytes; 0: nothing is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// So much each.
    Each(u64),
    /// So much for each of its cores.
    EachCore(u64),
}

impl Memory {
    /// What a subtask with so many cores needs; nothing when that is more than can be counted.
    #[must_use]
    pub fn of(self, cores: u32) -> Option<u64> {
        match self {
            Self::Each(bytes) => Some(bytes),
            Self::EachCore(bytes) => bytes.checked_mul(u64::from(cores.max(1))),
        }
    }
}

/// What ranks are bound to, if that was said, and whether it is told.
pub(super) fn bind(given: Option<&str>) -> Result<(Option<Bind>, bool), RequestError> {
    let Some(given) = given else { return Ok((None, false)) };
    let binding = bind::parse(given)
        .map_err(|error| RequestError::Bind { given: given.to_owned(), why: error.to_string() })?;
    Ok((Some(binding.bind), binding.verbose))
}

pub(super) fn distribution(given: Option<&str>) -> Result<Distribution, RequestError> {
    let Some(given) = given else { return Ok(Distribution::Cost) };
    distribution::parse(given)
        .map_err(|error| RequestError::Distribution { given: given.to_owned(), why: error.to_string() })
}

pub(super) fn memory(each: Option<&str>, each_core: Option<&str>) -> Result<Memory, RequestError> {
    let bytes = |option: &'static str, given: &str| {
        size::parse(given).map_err(|error| RequestError::Memory {
            option,
            given: given.to_owned(),
            why: error.to_string(),
        })
    };
    match (each, each_core) {
        (Some(given), _) => Ok(Memory::Each(bytes("--mem", given)?)),
        (None, Some(given)) => Ok(Memory::EachCore(bytes("--mem-per-cpu", given)?)),
        (None, None) => Ok(Memory::Each(0)),
    }
}
