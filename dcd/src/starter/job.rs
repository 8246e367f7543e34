//! What the starter was told once of the job it serves.

use super::env::Environment;
use super::files::{Files, shows_all};
use super::keeper::Keeper;
use super::lookups::Answers;
use crate::launch::Refused;
use crate::limits;
use crate::process::calls::affinity;
use dc_model::wire::{Hello, StreamPlan};
use dc_model::{JobUuid, LaunchStage, SubtaskId};
use dc_spool::files::Dir;
use dc_spool::progress::Slots;
use dc_spool::result::Results;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use std::ffi::{CString, NulError, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The job, made ready for launches.
#[derive(Debug)]
pub struct Job {
    /// Its name.
    pub uuid: JobUuid,
    /// Its spool directory.
    pub spool: PathBuf,
    /// The kernel's file.
    pub program: CString,
    /// The kernel's arguments.
    pub argv: Vec<CString>,
    /// The directory each rank must still enter; `None` when the starter is in it, and ranks with it.
    pub cwd: Option<CString>,
    /// The ranks' environment.
    pub env: Environment,
    /// Between a signal and SIGKILL.
    pub grace: Duration,
    /// The limits of open files that ranks begin with, where the starter's own were raised for its pipes.
    pub files_max: Option<(u64, u64)>,
    /// Whether the system lets ranks prefer memory from a node, as far as is known.
    pub prefers_memory: bool,
    /// What ranks say of themselves.
    pub slots: Option<Slots>,
    /// What ranks hand over.
    pub results: Option<Results>,
    /// The files of its streams.
    pub files: Files,
    /// The subtasks of a gang.
    pub gang: Vec<SubtaskId>,
    /// Who prunes checkpoints.
    pub keeper: Keeper,
}

impl Job {
    /// From dcrun's first message. What can be done without is named in `missing`, one line each.
    ///
    /// # Errors
    /// When a string holds a zero byte.
    pub fn new(hello: &Hello, progress: OwnedFd, missing: &mut Vec<String>) -> Result<Self, NulError> {
        if let Some(limits) = &hello.limits {
            missing.extend(limits::take_over(limits));
        }
        let host = nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default();
        let allowed = affinity(Pid::from_raw(0)).unwrap_or_default();
        let cwd = CString::new(&hello.cwd[..])?;
        // Entered once here: where that fails, each rank tries, and says so.
        let entered = nix::unistd::chdir(cwd.as_c_str()).is_ok();
        let spool = PathBuf::from(OsString::from_vec(hello.spool.clone()));
        let slots = Slots::from_fd(progress, hello.ranks)
            .map_err(|e| missing.push(format!("the ranks' progress is not seen: the progress file {e}")));
        Ok(Self {
            uuid: hello.job,
            program: CString::new(&hello.program[..])?,
            argv: hello.argv.iter().map(|arg| CString::new(&arg[..])).collect::<Result<_, _>>()?,
            cwd: (!entered).then_some(cwd),
            env: Environment::new(hello, &host, std::process::id(), allowed)?,
            grace: Duration::from_millis(hello.grace_ms),
            files_max: raise_files_max(hello.ranks, &hello.streams, false),
            files: Files::new(&hello.streams, hello.job.number(), &host, hello.ranks),
            prefers_memory: true,
            slots: slots.ok(),
            results: try_results(&spool, hello.job, missing),
            gang: Vec::new(),
            keeper: Keeper::Asleep,
            spool,
        })
    }

    /// Where its files are, and whose they are.
    #[must_use]
    pub fn place(&self) -> (&Path, JobUuid) {
        (&self.spool, self.uuid)
    }

    /// Its ranks are a gang: so many ranks need more files than others.
    pub fn make_room_for_gang(&mut self, ranks: u32) {
        let raised = raise_files_max(ranks, self.files.plan(), true);
        self.files_max = self.files_max.or(raised);
    }

    /// Checkpoints are there, or may come: from now on they are pruned.
    pub fn wake_keeper(&mut self, answers: Answers) {
        self.keeper.wake(&self.spool, self.uuid, &self.gang, answers);
    }
}

/// What a rank's streams take at most: of standard input a pipe, of each other one a pipe, a bell and a file.
const STREAMS_FILES_MAX: u64 = 7;
/// What a rank of a gang takes beside that: its shim's connection, and the list of its subtasks.
const GANG_FILES_MAX: u64 = 2;

/// Makes room for two pipes a rank, if there is not enough. Ranks keep the old limits, as programs that count on a
/// small number expect. Where it cannot be raised, launches are refused one by one.
fn raise_files_max(ranks: u32, streams: &StreamPlan, is_gang: bool) -> Option<(u64, u64)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // Both ends of two pipes while a rank is launched, two ends after; and the starter's own.
    let each = if shows_all(streams) { 2 } else { STREAMS_FILES_MAX };
    let each = if is_gang { each + GANG_FILES_MAX } else { each };
    let wanted = u64::from(ranks) * each + 64;
    if wanted <= soft {
        return None;
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard).ok()?;
    Some((soft, hard))
}

fn try_results(spool: &Path, job: JobUuid, missing: &mut Vec<String>) -> Option<Results> {
    let opened = Dir::open(spool).and_then(|dir| Results::open(&dir, job));
    opened.map_err(|e| missing.push(format!("results are not seen: {e}"))).ok()
}

/// A string with a zero byte can be no argument: as execve(2) would have it.
#[must_use]
pub fn not_a_string(_: NulError) -> Refused {
    Refused { stage: LaunchStage::Exec, errno: Errno::EINVAL as i32 }
}
