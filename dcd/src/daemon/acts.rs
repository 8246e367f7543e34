//! What dcd does to a job's directory and to what a dead starter left. Each of these may wait for the disk or for
//! processes to die: they are done beside the loop.

use crate::starters::{self, Life, Site};
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

/// How often, and after which pause, a starter is looked at that is about to be gone.
const ENDING_LOOKS_MAX: u32 = 20;
const ENDING_LOOK: Duration = Duration::from_millis(50);

/// A job that is to be opened.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The job's directory on this node.
    pub site: Site,
    /// Where dcd's own word of other users' starters is.
    pub words: PathBuf,
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
    if record.uuid != what.site.job() {
        return Err("its job record is another job's".to_owned());
    }
    if what.site.is_others() {
        return begin_others(what);
    }
    let fresh = make(what, &record)?;
    if let Some(shared) = &what.shared {
        make_shared(&shared.join(what.site.job().to_string())).map_err(|error| error.to_string())?;
    }
    let begun = files(what.site.dir()).and_then(|()| begin(what));
    if begun.is_err() && fresh {
        // The first error is the one that is told.
        let _ = remove(what.site.dir());
    }
    begun
}

/// Makes the directory, when it is not there; whether it did.
fn make(what: &Opening, record: &job::JobRecord) -> Result<bool, String> {
    let path = what.site.dir();
    if let Ok(dir) = Dir::open(path) {
        match job::load(&dir) {
            Ok(found) if found == *record => return Ok(false),
            Ok(_) => return Err(format!("{} has another job's record", escaped(path))),
            Err(job::JobError::NoJob { .. }) => {
                // Of a removal that was cut short.
                starters::bury(what.site.job(), path).map_err(|error| error.to_string())?;
                remove(path)?;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    Spool::create(path, record).map(|_| true).map_err(|error| error.to_string())
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
    let (job, path) = (what.site.job(), what.site.dir());
    let said = |error: std::io::Error| format!("{}: {error}", escaped(path));
    match starters::life(path).map_err(said)? {
        Life::Alive => return Ok(number(&what.site, &what.words).unwrap_or(what.number)),
        Life::Dead => drop(starters::bury(job, path).map_err(said)?),
        Life::Absent => {}
    }
    let dir = Dir::open(path).map_err(|error| error.to_string())?;
    note(&dir, NUMBER, what.number)?;
    let starting = starters::start_with(&what.exe, job, path, FIRST_LEASE, what.binds);
    starting.and_then(starters::Starting::wait).map_err(|error| error.to_string())?;
    Ok(what.number)
}

/// The same for another user's job: the starter makes what is in the directory. The job's record stays with dcsched: nothing
/// on the node needs it.
fn begin_others(what: &Opening) -> Result<u64, String> {
    let said = |error: std::io::Error| format!("{}: {error}", escaped(what.site.dir()));
    let name = what.site.job().to_string();
    let was_there = std::fs::symlink_metadata(what.site.dir()).is_ok();
    if was_there {
        match what.site.bury(false).map_err(said)? {
            Life::Alive => return Ok(number(&what.site, &what.words).unwrap_or(what.number)),
            Life::Dead | Life::Absent => {}
        }
    }
    let words = Dir::open(&what.words).map_err(|error| error.to_string())?;
    note(&words, &name, what.number)?;
    let begun = match what.site.start_as_user(FIRST_LEASE) {
        Some(begun) => begun.map_err(|error| error.to_string()),
        None => Err("it is no other user's".to_owned()),
    };
    if begun.is_err() && !was_there {
        let _ = what.site.remove_as_user();
        let _ = std::fs::remove_file(what.words.join(&name));
    }
    begun.map(|()| what.number)
}

/// A host that loses this has lost the starter too.
fn note(dir: &Dir, name: &str, number: u64) -> Result<(), String> {
    let mut file = dir.new_file(layout::FILE_MODE).map_err(|error| error.to_string())?;
    writeln!(file, "{number}").map_err(|error| format!("{}: {error}", escaped(dir.path())))?;
    file.commit_hint(name).map_err(|error| error.to_string())
}

/// The number of the last starter that was begun in a directory.
#[must_use]
pub fn number(site: &Site, words: &Path) -> Option<u64> {
    let (dir, name) =
        if site.is_others() { (words, site.job().to_string()) } else { (site.dir(), NUMBER.to_owned()) };
    let bytes = Dir::open(dir).ok()?.read(name.as_str(), NUMBER_BYTES_MAX).ok()?;
    std::str::from_utf8(&bytes).ok()?.strip_suffix('\n')?.parse().ok()
}

/// A job whose starter is over.
#[derive(Clone, Debug)]
pub struct Burial {
    /// The job's directory on this node.
    pub site: Site,
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
pub fn bury(what: &Burial, words: &Path) -> Result<Vec<PathBuf>, String> {
    let path = what.site.dir();
    let is_there =
        || !std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    if is_there() {
        let said = |error: std::io::Error| format!("{}: {error}", escaped(path));
        let mut life = what.site.bury(what.by_force).map_err(said)?;
        // One that was told to end has closed the connection, and is about to be gone.
        for _ in 0..ENDING_LOOKS_MAX {
            if life != Life::Alive || !what.site.is_others() {
                break;
            }
            std::thread::sleep(ENDING_LOOK);
            life = what.site.bury(what.by_force).map_err(said)?;
        }
        if life == Life::Alive {
            return Err(format!("{}: its starter does not end", escaped(path)));
        }
    }
    if !what.remove {
        return Ok(Vec::new());
    }
    match what.site.remove_as_user() {
        None if is_there() => remove(path),
        None => Ok(Vec::new()),
        Some(removed) => {
            removed.map_err(|error| error.to_string())?;
            let _ = std::fs::remove_file(words.join(what.site.job().to_string()));
            Ok(Vec::new())
        }
    }
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
