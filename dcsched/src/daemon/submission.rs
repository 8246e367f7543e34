//! A submission as it comes, to what the core is told of it: decoded once, every length checked before anything is kept.
//! What passes here can be opened and launched later without a message that is too long for the wire.

use dc_model::cluster::Wants;
use dc_model::{JobUuid, Topology};
use dc_spool::job::JobRecord;
use dcsched_brief::Manner;
use dcsched_core::cluster::Submission;
use dcsched_core::job::JobSpec;
use std::path::Path;
use std::sync::Arc;

/// The longest name of a job, in bytes.
const NAME_BYTES_MAX: usize = 1024;
/// The longest path, in bytes: Linux's.
const PATH_BYTES_MAX: usize = 4096;
/// The longest arguments of one subtask, in bytes.
const ARGS_BYTES_MAX: usize = 4 << 20;
/// The longest bytes of a manner.
const BRIEF_BYTES_MAX: usize = 64 << 10;
/// What an Open has beside record and Hello, in bytes.
const OPEN_SPARE_BYTES: usize = 4096;
/// The longest Open, in bytes.
const OPEN_BYTES_MAX: usize = 15 << 20;
/// More node names than there are nodes.
const NODE_NAMES_MAX: usize = 65_536;

/// What is asked of a job record before it is taken.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest record, in bytes.
    pub bytes_max: usize,
    /// Its subtasks, at most: what is left of the cluster's.
    pub subtasks_left: u64,
}

/// A cluster's job is told its cores later, part by part.
fn no_topology() -> Topology {
    Topology { host: String::new(), cores: Vec::new(), numa: Vec::new() }
}

/// What the core is told of a job record.
#[must_use]
pub fn spec_of(_wants: &Wants, record: &JobRecord) -> JobSpec {
    dcsched_brief::spec(record, no_topology())
}

/// What the core is told of the bytes that were submitted; none where they are no job record.
#[must_use]
pub fn spec_of_bytes(wants: &Wants, bytes: &[u8]) -> Option<JobSpec> {
    dc_spool::job::decode(bytes).ok().map(|record| spec_of(wants, &record))
}

/// Checks a submission (`is_known`: whether a job of that name is there already), and gives the job's name with it; what is refused is said in one line.
///
/// # Errors
/// The line.
pub fn check(
    limits: Limits,
    uid: u32,
    key: [u8; 16],
    wants: Box<Wants>,
    bytes: Vec<u8>,
    is_known: impl FnOnce(JobUuid) -> bool,
) -> Result<(Submission, String), String> {
    if bytes.len() > limits.bytes_max {
        return Err(format!(
            "the job record has {} bytes, and at most {} are taken (scheduler.submit_bytes_max in dc.toml): \
             give long lists of arguments in files",
            bytes.len(),
            limits.bytes_max
        ));
    }
    let record =
        dc_spool::job::decode(&bytes).map_err(|error| format!("the job record cannot be read: {error}"))?;
    let subtasks = u64::from(record.subtasks.len());
    // One that was taken already is answered as it was, whatever there is by now.
    if subtasks > limits.subtasks_left && !is_known(record.uuid) {
        return Err(format!(
            "the job has {subtasks} subtasks, and {} more are taken now (scheduler.subtasks_max in dc.toml)",
            limits.subtasks_left
        ));
    }
    check_lengths(&record)?;
    if wants.brief.len() > BRIEF_BYTES_MAX
        || wants.nodes.only.len() + wants.nodes.except.len() > NODE_NAMES_MAX
    {
        return Err("what the job asks of the cluster is too long".to_owned());
    }
    let manner = Manner::decode(&wants.brief)
        .map_err(|error| format!("how the job's ranks are to be treated cannot be read: {error}"))?;
    if record.options.mpi.is_some() && manner.launcher.is_none() {
        return Err("an MPI job came without a launcher: submit it with the dcrun of this version".to_owned());
    }
    let hello_bytes = hello_frame(&record, &manner, false).len();
    if bytes.len() + hello_bytes + OPEN_SPARE_BYTES > OPEN_BYTES_MAX {
        return Err(format!(
            "the job record and its environment have {} bytes together, and at most {OPEN_BYTES_MAX} can be sent to nodes",
            bytes.len() + hello_bytes
        ));
    }
    let spec = Box::new(spec_of(&wants, &record));
    let uuid: JobUuid = record.uuid;
    Ok((Submission { uuid, key, uid, wants, record: Arc::from(bytes), spec }, record.name))
}

fn check_lengths(record: &JobRecord) -> Result<(), String> {
    let too_long = |what: &str, bytes: usize, max: usize| {
        if bytes > max { Err(format!("{what} has {bytes} bytes, of at most {max}")) } else { Ok(()) }
    };
    let path = |path: &Path| path.as_os_str().len();
    too_long("the job's name", record.name.len(), NAME_BYTES_MAX)?;
    too_long("the kernel's path", path(&record.kernel.path), PATH_BYTES_MAX)?;
    too_long("the working directory", path(&record.cwd), PATH_BYTES_MAX)?;
    if let Some(domain) = &record.domain {
        too_long("the domain's path", path(&domain.file.path), PATH_BYTES_MAX)?;
    }
    let args = |args: &[Vec<u8>]| args.iter().map(|arg| arg.len() + 4).sum::<usize>();
    let mut all = 0;
    for subtask in record.subtasks.iter() {
        let bytes = args(&subtask.args);
        too_long("a subtask's list of arguments", bytes, ARGS_BYTES_MAX)?;
        all += bytes;
    }
    if record.options.mpi.is_some() {
        // A gang is launched by one message.
        too_long("all arguments of an MPI job together", all, ARGS_BYTES_MAX)?;
    }
    Ok(())
}

/// The Hello of a job's starters, as a frame with an empty spool. `fresh`: the job's first starter of all.
#[must_use]
pub fn hello_frame(record: &JobRecord, manner: &Manner, fresh: bool) -> Vec<u8> {
    let mut hello = dcsched_brief::hello(record, Path::new(""), manner);
    hello.streams.fresh = fresh;
    hello.limits = record.limits.clone();
    let mut frame = Vec::new();
    dc_model::wire::ToStarter::Hello(Box::new(hello)).encode(&mut frame);
    frame
}

#[cfg(test)]
#[path = "submission_tests.rs"]
mod tests;
