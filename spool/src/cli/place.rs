//! The directory that `ls`, `verify` and `dump` look into: a job's, or that of a kernel run by hand.

use super::CliError;
use dc_model::JobUuid;
use dc_spool::files::{Dir, shown};
use dc_spool::header::{FileKind, Header};
use dc_spool::job::{self, JobError, JobRecord};
use dc_spool::journal::{self, Found};
use dc_spool::kernel::by_hand_job;
use dc_spool::layout;
use std::path::Path;

/// An opened directory.
pub struct Place {
    pub dir: Dir,
    /// Whose files are in it; all zero when nothing readable says so.
    pub uuid: JobUuid,
    pub kind: PlaceKind,
}

/// Whose directory it is.
pub enum PlaceKind {
    /// A job's.
    Job(Box<JobRecord>),
    /// A job's, whose record is damaged.
    Damaged(JobError),
    /// That of a kernel run by hand.
    ByHand,
}

impl Place {
    /// Opens it; an error when it is nobody's spool.
    pub fn open(path: &Path) -> Result<Self, CliError> {
        let dir = Dir::open(path)?;
        match job::load(&dir) {
            Ok(record) => Ok(Self { dir, uuid: record.uuid, kind: PlaceKind::Job(Box::new(record)) }),
            Err(none @ JobError::NoJob { .. }) => match by_hand_job(&dir)? {
                Some(uuid) => Ok(Self { dir, uuid, kind: PlaceKind::ByHand }),
                None => Err(none.into()),
            },
            Err(JobError::File(error)) => Err(error.into()),
            Err(damaged) => Ok(Self { uuid: uuid_of_journal(&dir), dir, kind: PlaceKind::Damaged(damaged) }),
        }
    }

    /// The job's record, or why there is none.
    pub fn record(&self) -> Result<Option<&JobRecord>, CliError> {
        match &self.kind {
            PlaceKind::Job(record) => Ok(Some(record)),
            PlaceKind::Damaged(error) => Err(error.clone().into()),
            PlaceKind::ByHand => Ok(None),
        }
    }

    /// As much of the journal as can be read; nothing for a kernel run by hand.
    pub fn journal(&self) -> Found {
        journal::read_found(&self.dir, self.uuid)
    }

    /// The path of the directory, fit to be shown.
    pub fn shown(&self) -> String {
        shown(self.dir.path()).to_string()
    }
}

/// Where the record is damaged, the first segment of the journal still says whose files these are.
fn uuid_of_journal(dir: &Dir) -> JobUuid {
    let start = dir.read(layout::journal(1), journal::SEGMENT_BYTES_MAX).unwrap_or_default();
    Header::decode(FileKind::Journal, &start).map_or(JobUuid([0; 16]), |(header, _, _)| header.job)
}
