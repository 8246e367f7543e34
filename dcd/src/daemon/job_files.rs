//! Files that a job is to have on each of its nodes (dcrun's --bcast): named in its environment by their content, put into
//! the job's directory before its starter is there, and told to its ranks.

use super::Daemon;
use crate::peer::broadcast::{Blobs, JOB_FILES, have, job_files};
use crate::peer::reach::Reach;
use dc_model::cluster::files::{DIR_VARIABLE, JobFile, VARIABLE, read};
use dc_model::wire::Hello;
use dc_spool::files::Dir;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long it is waited for dcsched to tell of other nodes, when this one has just come.
const NODES_WAIT: Duration = Duration::from_secs(3);

/// Reads which files a job is to have, and tells its ranks where they are. Nothing changes where there are none.
///
/// # Errors
/// One line for people.
pub(super) fn take(hello: &mut Hello, job: &Path) -> Result<Vec<JobFile>, String> {
    let prefix = format!("{VARIABLE}=");
    let Some(value) = hello.env.iter().find_map(|var| var.strip_prefix(prefix.as_bytes())) else {
        return Ok(Vec::new());
    };
    let files = std::str::from_utf8(value).ok().and_then(read);
    let files = files.ok_or_else(|| format!("its {VARIABLE} cannot be read"))?;
    let dir = job.join(JOB_FILES);
    if let Some(kernel) = files.iter().find(|file| file.is_kernel) {
        hello.program = dir.join(&kernel.name).as_os_str().as_bytes().to_vec();
    }
    let own = format!("{DIR_VARIABLE}=");
    hello.env.retain(|var| !var.starts_with(own.as_bytes()));
    hello.env.push([own.as_bytes(), dir.as_os_str().as_bytes()].concat());
    Ok(files)
}

/// What places them, beside the loop.
#[derive(Debug)]
pub(super) struct Files {
    list: Vec<JobFile>,
    blobs: Blobs,
    reach: Reach,
}

impl Files {
    /// Has them in the job's directory.
    pub fn place(&self, job: &Path) -> Result<(), String> {
        if self.list.is_empty() {
            return Ok(());
        }
        let dir = Dir::open(job).and_then(|job| job_files(&job)).map_err(|error| error.to_string())?;
        for file in &self.list {
            let end = Instant::now() + NODES_WAIT;
            while self.blobs.open(&file.hash).is_none()
                && self.reach.ring().is_empty()
                && Instant::now() < end
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            have(&self.blobs, &self.reach, &file.hash)?;
            self.blobs.link(&file.hash, &dir, &file.name).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl Daemon {
    /// Files by their content, of this node.
    pub(super) fn blobs(&self) -> Blobs {
        Blobs::new(self.state.path(), self.settings.blobs_bytes_max)
    }

    pub(super) fn files_of(&self, list: Vec<JobFile>) -> Files {
        Files { list, blobs: self.blobs(), reach: self.copies.reach().clone() }
    }
}
