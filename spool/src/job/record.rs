//! What a job is: its kernel, where and with what it runs, its domain, its subtasks.

use super::{JobOptions, Subtasks};
use crate::hash::FileIdentity;
use dc_model::{JobUuid, Limits};
use std::path::PathBuf;

/// A job, as its record keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobRecord {
    /// Its name in every file.
    pub uuid: JobUuid,
    /// Its name for people.
    pub name: String,
    /// The kernel's file, absolute, and what it held.
    pub kernel: FileIdentity,
    /// The kernel's arguments, from argv\[0\] on.
    pub argv: Vec<Vec<u8>>,
    /// The ranks' working directory, absolute.
    pub cwd: PathBuf,
    /// The environment all ranks share, `NAME=value` each.
    pub env: Vec<Vec<u8>>,
    /// The limits and the umask that ranks begin with; `None` in records of before they were kept.
    pub limits: Option<Limits>,
    /// What was asked for.
    pub options: JobOptions,
    /// The domain that the subtasks were cut from.
    pub domain: Option<DomainIdentity>,
    /// The subtasks.
    pub subtasks: Subtasks,
}

/// A domain, by its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DomainIdentity {
    /// Its file, absolute, and what it held.
    pub file: FileIdentity,
    /// Columns.
    pub nx: u32,
    /// Rows.
    pub ny: u32,
    /// What its values mean.
    pub kind: DomainKind,
}

/// What a domain's values mean.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum DomainKind {
    /// Cells that count, or do not.
    Mask = 1,
    /// What each cell costs.
    Weights = 2,
}
