//! The starter's program on an errand: what dcd does by itself to a job of its own user's is done by this, as the job's user,
//! where the job is another's. It looks whether a starter lives, or kills what one left; its exit status says what it found.

use super::{Life, bury, life};
use crate::sweep::sweep_job_in;
use dc_model::{JobUuid, exit};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Behind the directory and the job: all is to be killed.
const KILL_WORD: &str = "kill";

/// The status for each; dc's own errors have another.
const STATUS: [(u8, Life); 3] = [(0, Life::Absent), (3, Life::Alive), (4, Life::Dead)];

/// What an errand's exit status says; none: it has failed.
#[must_use]
pub(crate) fn found(status: u8) -> Option<Life> {
    STATUS.iter().find(|row| row.0 == status).map(|row| row.1)
}

/// The program, with the words after `sweep`: DIRECTORY JOB [kill].
#[must_use]
pub fn main(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let dir = words.next().map(PathBuf::from);
    let job = words.next().and_then(|job| JobUuid::parse(job.to_str()?));
    let does_kill = words.next().is_some_and(|word| word == KILL_WORD);
    let (Some(dir), Some(job)) = (dir, job) else {
        let _ = writeln!(io::stderr(), "usage: dc-starter sweep DIRECTORY JOB [kill]");
        return ExitCode::from(exit::DC_ERROR);
    };
    match look(&dir, job, does_kill) {
        Ok(life) => {
            let status = STATUS.iter().find(|row| row.1 == life).map_or(exit::DC_ERROR, |row| row.0);
            ExitCode::from(status)
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "dc-starter: {}: {error}", dir.to_string_lossy().escape_debug());
            ExitCode::from(exit::DC_ERROR)
        }
    }
}

fn look(dir: &Path, job: JobUuid, does_kill: bool) -> io::Result<Life> {
    if does_kill {
        sweep_job_in(job, dir)?;
        bury(job, dir)?;
    }
    life(dir)
}
