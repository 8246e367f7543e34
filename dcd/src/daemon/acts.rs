//! What dcd does to a job's directory and to what a dead starter left. Each of these may wait for the disk or for
//! processes to die: they are done beside the loop.

use crate::starters::{self, Life};
use crate::sweep::sweep_job_in;
use dc_model::JobUuid;
use dc_spool::Spool;
use dc_spool::files::{Dir, FileError};
use dc_spool::{job, layout};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file with the number of the last starter that was begun in a directory.
pub const NUMBER: &str = "starter";
const NUMBER_BYTES_MAX: u64 = 64;
/// A starter that nobody has given a lease ends after this.
const FIRST_LEASE: Duration = Duration::from_secs(60);

/// A job that is to be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opening {
    /// The job.
    pub job: JobUuid,
    /// Its directory on this node.
    pub dir: PathBuf,
    /// Its record's bytes.
    pub record: Vec<u8>,
    /// The number of a starter that is begun for it.
    pub number: u64,
    /// The starter's program.
    pub exe: PathBuf,
    /// Where all nodes have their jobs' checkpoints and results, if there.
    pub shared: Option<PathBuf>,
    /// Whether ranks are bound to their CPUs.
    pub binds: bool,
}

/// Has a directory with the job's record, and a starter in it. Gives the starter's number. Where it fails nothing is left
/// that was not there before.
///
/// # Errors
/// One line for people.
pub fn open(what: &Opening, files: impl FnOnce(&Path) -> Result<(), String>) -> Result<u64, String> {
    let record =
        job::decode(&what.record).map_err(|error| format!("its job record cannot be used: {error}"))?;
    if record.uuid != what.job {
        return Err("its job record is another job's".to_owned());
    }
    let fresh = make(what, &record)?;
    if let Some(shared) = &what.shared {
        make_shared(&shared.join(what.job.to_string())).map_err(|error| error.to_string())?;
    }
    let begun = files(&what.dir).and_then(|()| begin(what));
    if begun.is_err() && fresh {
        // The first error is the one that is told.
        let _ = remove(&what.dir);
    }
    begun
}

/// Makes the directory, when it is not there; whether it did.
fn make(what: &Opening, record: &job::JobRecord) -> Result<bool, String> {
    if let Ok(dir) = Dir::open(&what.dir) {
        match job::load(&dir) {
            Ok(found) if found == *record => return Ok(false),
            Ok(_) => return Err(format!("{} has another job's record", escaped(&what.dir))),
            Err(job::JobError::NoJob { .. }) => {
                // Of a removal that was cut short.
                starters::bury(what.job, &what.dir).map_err(|error| error.to_string())?;
                remove(&what.dir)?;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    Spool::create(&what.dir, record).map(|_| true).map_err(|error| error.to_string())
}

/// The part of a job's directory that all nodes have together; another node may be making it.
fn make_shared(dir: &Path) -> Result<(), FileError> {
    Spool::make_parents(&dir.join(layout::CKPT))?;
    let dir = Dir::open(dir)?;
    dir.subdir_or_make(layout::CKPT, layout::DIR_MODE)?;
    dir.subdir_or_make(layout::RESULT, layout::DIR_MODE)?;
    Ok(())
}

/// Removes it, when the job is forgotten. All of its nodes do; what one does not get another does.
pub fn remove_shared(shared: &Path, job: JobUuid) {
    let dir = shared.join(job.to_string());
    if dir.is_dir() {
        let _ = Spool::remove_at(&dir, &[]);
    }
}

fn begin(what: &Opening) -> Result<u64, String> {
    let said = |error: std::io::Error| format!("{}: {error}", escaped(&what.dir));
    match starters::life(&what.dir).map_err(said)? {
        Life::Alive => return Ok(number(&what.dir).unwrap_or(what.number)),
        Life::Dead => drop(starters::bury(what.job, &what.dir).map_err(said)?),
        Life::Absent => {}
    }
    let dir = Dir::open(&what.dir).map_err(|error| error.to_string())?;
    // A host that loses this has lost the starter too.
    let mut file = dir.new_file(layout::FILE_MODE).map_err(|error| error.to_string())?;
    writeln!(file, "{}", what.number).map_err(said)?;
    file.commit_hint(NUMBER).map_err(|error| error.to_string())?;
    let starting = starters::start_with(&what.exe, what.job, &what.dir, FIRST_LEASE, what.binds);
    starting.and_then(starters::Starting::wait).map_err(|error| error.to_string())?;
    Ok(what.number)
}

/// The number of the last starter that was begun in a directory.
#[must_use]
pub fn number(dir: &Path) -> Option<u64> {
    let bytes = Dir::open(dir).ok()?.read(NUMBER, NUMBER_BYTES_MAX).ok()?;
    std::str::from_utf8(&bytes).ok()?.strip_suffix('\n')?.parse().ok()
}

/// A job whose starter is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Burial {
    /// The job.
    pub job: JobUuid,
    /// Its directory on this node.
    pub dir: PathBuf,
    /// The starter is to be killed if it lives.
    pub by_force: bool,
    /// The directory is to be removed.
    pub remove: bool,
}

/// Kills all that a starter left, then removes what is to be removed. When it returns well nothing of the job runs here.
/// Gives the names that were not dc's, and were left.
///
/// # Errors
/// One line for people; then it is to be tried again.
pub fn bury(what: &Burial) -> Result<Vec<PathBuf>, String> {
    if std::fs::symlink_metadata(&what.dir).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Ok(Vec::new());
    }
    let said = |error: std::io::Error| format!("{}: {error}", escaped(&what.dir));
    if what.by_force {
        sweep_job_in(what.job, &what.dir).map_err(said)?;
    }
    starters::bury(what.job, &what.dir).map_err(said)?;
    if starters::life(&what.dir).map_err(said)? == Life::Alive {
        return Err(format!("{}: its starter does not end", escaped(&what.dir)));
    }
    if what.remove { remove(&what.dir) } else { Ok(Vec::new()) }
}

fn remove(dir: &Path) -> Result<Vec<PathBuf>, String> {
    crate::peer::broadcast::remove_job_files(dir);
    let also = [NUMBER, starters::SOCKET, starters::LOCK];
    Spool::remove_at(dir, &also).map(|removed| removed.left).map_err(|error| error.to_string())
}

/// A path in a message.
#[must_use]
pub fn escaped(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}
