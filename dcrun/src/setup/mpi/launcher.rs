//! The program that launches ranks of an MPI: found on PATH by a name that tells its family, or by what it says of
//! itself.

use dc_model::MpiFamily;
use dcd::process::calls::{PidFd, signal_group};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::SIGKILL;
use nix::unistd::{AccessFlags, Pid, access};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How long a launcher may take to say its version.
const VERSION_MS_MAX: u16 = 5_000;
/// So much of what it says is read.
const SAID_BYTES_MAX: u64 = 64 << 10;
/// Names that any MPI's launcher may have.
const ANY: [&str; 2] = ["mpirun", "mpiexec"];

/// Names that only one family's launcher has.
fn own_names(family: MpiFamily) -> &'static [&'static str] {
    match family {
        MpiFamily::OpenMpi => &["mpirun.openmpi", "mpiexec.openmpi", "orterun"],
        MpiFamily::Mpich => &["mpiexec.hydra", "mpiexec.mpich", "mpirun.mpich"],
    }
}

/// The launcher of a family, on this PATH.
#[must_use]
pub fn find(family: MpiFamily, path: Option<&OsStr>, cwd: &Path) -> Option<PathBuf> {
    let named = own_names(family).iter().find_map(|name| on_path(name, path, cwd));
    named.or_else(|| {
        ANY.iter().filter_map(|name| on_path(name, path, cwd)).find(|found| whose(found) == Some(family))
    })
}

/// The launcher that a user of this PATH gets, and whose it is.
#[must_use]
pub fn usual(path: Option<&OsStr>, cwd: &Path) -> Option<(MpiFamily, PathBuf)> {
    let any = ANY.iter().filter_map(|name| on_path(name, path, cwd));
    let usual = any.filter_map(|found| whose(&found).map(|family| (family, found))).next();
    usual.or_else(|| MpiFamily::ALL.iter().find_map(|family| Some((*family, find(*family, path, cwd)?))))
}

fn on_path(name: &str, path: Option<&OsStr>, cwd: &Path) -> Option<PathBuf> {
    let path = path.unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
    std::env::split_paths(path)
        .map(|directory| cwd.join(directory).join(name))
        .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}

/// What it says of itself, within a time.
fn whose(launcher: &Path) -> Option<MpiFamily> {
    let mut child = Command::new(launcher)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()?;
    let pid = Pid::from_raw(child.id() as i32);
    if let Ok(fd) = PidFd::open(pid) {
        fd.wait_end(VERSION_MS_MAX);
    }
    // It is not reaped: the group's number is its own, whether it has ended or hangs.
    let _ = signal_group(pid, SIGKILL as u8);
    let ended = child.wait().ok()?.code().is_some();
    let mut said = Vec::new();
    let pipe = child.stdout.take().filter(|_| ended)?;
    // What it has said is there; who else holds the pipe is not waited for.
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).ok()?;
    let _ = pipe.take(SAID_BYTES_MAX).read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said).to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["open mpi", "open-mpi", "openrte", "prrte"]) {
        Some(MpiFamily::OpenMpi)
    } else if has(&["hydra", "mpich", "intel(r) mpi", "mvapich"]) {
        Some(MpiFamily::Mpich)
    } else {
        None
    }
}
