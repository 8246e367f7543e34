//! What a job's directory tells of its runs so far. Reads only, and takes no lock: of a job that runs it tells what is
//! on disk by now.

use super::{SetupError, Surroundings};
use crate::report::Account;
use dc_spool::files::Dir;
use dc_spool::job::{self, Subtasks};
use dc_spool::journal;
use dc_spool::spool::SpoolError;
use std::path::Path;

/// The job's subtasks, and what its records add up to.
///
/// # Errors
/// When there is no job, or it is damaged.
pub fn read_account(directory: &Path, at: &Surroundings) -> Result<(Subtasks, Account), SetupError> {
    let path = at.cwd.join(directory);
    let dir = match Dir::open(&path) {
        Err(error) if error.is_not_found() => return Err(SetupError::NoJobToReport { dir: path }),
        other => other.map_err(SpoolError::File)?,
    };
    let record = job::load(&dir).map_err(SpoolError::Job)?;
    let replay = journal::read_all(&dir, record.uuid)
        .map_err(|error| SpoolError::Journal { dir: dir.path().to_owned(), error })?;
    let mut account = Account::new(&record.subtasks);
    replay.records.iter().for_each(|(_, record)| account.on_record(record));
    Ok((record.subtasks, account))
}
