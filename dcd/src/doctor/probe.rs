//! Looks at this host. What cannot be looked at is a fact of its own, never an error.

use super::{Cores, Facts, Namespaces, Owned, Port, probe_disk, syscalls};
use crate::abilities;
use crate::process::calls::PidFd;
use crate::topology::{Source, discover};
use dc_config::Node;
use dc_link::{KeyError, KeyPair};
use dc_model::CpuSet;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use nix::unistd::{Pid, geteuid};
use std::ffi::OsStr;
use std::fs;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Programs that start MPI jobs.
const LAUNCHERS: [&str; 5] = ["mpirun.openmpi", "mpirun.mpich", "mpiexec.hydra", "mpirun", "mpiexec"];

/// All facts for a node of this configuration. `source` is where its cores are described.
#[must_use]
pub fn probe(node: &Node, source: &Source, path: Option<&OsStr>) -> Facts {
    let uid = geteuid().as_raw();
    Facts {
        uid,
        kernel: nix::sys::utsname::uname()
            .map_or_else(|_| String::new(), |name| name.release().to_string_lossy().into_owned()),
        groups: abilities::probe(),
        kill: node.kill,
        namespaces: namespaces(uid),
        has_pidfd: PidFd::open(Pid::this()).is_ok(),
        has_clone3: syscalls::has_clone3(),
        has_boottime: TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC).is_ok(),
        files_max: getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft),
        processes_max: processes_max(uid),
        processes: processes_of(uid),
        shm: shm(),
        overcommit: number("/proc/sys/vm/overcommit_memory"),
        spool: probe_disk::probe(&node.spool),
        state: fs::metadata(&node.state).ok().map(|metadata| Owned {
            is_dir: metadata.is_dir(),
            uid: metadata.uid(),
            mode: metadata.mode() & 0o7777,
        }),
        state_path: node.state.clone(),
        key: key(&node.key),
        port: port(node),
        launchers: launchers(path),
        cores: cores(source, node.cpus.as_ref()),
    }
}

fn number(path: &str) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Its name, its file, and the values that forbid.
type Setting = (&'static str, &'static str, fn(u32) -> bool);

/// By the settings that forbid them; root is never forbidden.
fn namespaces(uid: u32) -> Namespaces {
    let settings: [Setting; 4] = [
        ("user.max_user_namespaces", "/proc/sys/user/max_user_namespaces", |n| n == 0),
        ("user.max_pid_namespaces", "/proc/sys/user/max_pid_namespaces", |n| n == 0),
        ("kernel.unprivileged_userns_clone", "/proc/sys/kernel/unprivileged_userns_clone", |n| n == 0),
        (
            "kernel.apparmor_restrict_unprivileged_userns",
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            |n| n != 0,
        ),
    ];
    let of_root = if uid == 0 { &settings[..2] } else { &settings[..] };
    let forbids = of_root.iter().find(|(_, path, forbids)| number(path).is_some_and(forbids));
    forbids.map_or(Namespaces::Allowed, |(name, ..)| Namespaces::Forbidden(name))
}

/// Root is not held by it.
fn processes_max(uid: u32) -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NPROC).ok()?;
    (uid != 0 && soft != u64::MAX).then_some(soft)
}

/// The user's threads, by /proc.
fn processes_of(uid: u32) -> u64 {
    let mut threads = 0;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let is_process = entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
        if is_process && entry.metadata().is_ok_and(|metadata| metadata.uid() == uid) {
            threads += fs::read_dir(entry.path().join("task")).map_or(0, |tasks| tasks.count() as u64);
        }
    }
    threads
}

fn shm() -> Result<super::Space, String> {
    let path = Path::new("/dev/shm");
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_dir() {
        return Err("is no directory".to_owned());
    }
    probe_disk::space(path).ok_or_else(|| "its room cannot be read".to_owned())
}

fn key(path: &Path) -> Result<Option<String>, String> {
    // Without its directory there is no key either.
    if !path.exists() {
        return Ok(None);
    }
    match KeyPair::read(path) {
        Ok(key) => Ok(Some(key.fingerprint().to_string())),
        Err(KeyError::Missing(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn port(node: &Node) -> Port {
    let place = node.listen.to_string();
    let mut addresses = node.listen.addresses();
    if addresses.is_empty() {
        match (node.listen.host.as_str(), node.listen.port).to_socket_addrs() {
            Ok(found) => addresses = found.collect(),
            Err(error) => return Port::Not(place, error.to_string()),
        }
    }
    let mut last = Port::Not(place.clone(), "the host has no address".to_owned());
    let every: Vec<SocketAddr> = addresses;
    for address in every {
        match TcpListener::bind(address) {
            // For `*` one family is enough: the first listens for both, where there are both.
            Ok(_) => return Port::Free(place),
            Err(error) if error.raw_os_error() == Some(Errno::EADDRINUSE as i32) => {
                return Port::InUse(place);
            }
            Err(error) => last = Port::Not(place.clone(), error.to_string()),
        }
    }
    last
}

/// In the order of [`LAUNCHERS`], each program once, whatever its names.
fn launchers(path: Option<&OsStr>) -> Vec<PathBuf> {
    let dirs: Vec<PathBuf> = path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    let mut seen = Vec::new();
    let mut out = Vec::new();
    for name in LAUNCHERS {
        let is_program = |file: &PathBuf| {
            fs::metadata(file)
                .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
        };
        let Some(file) = dirs.iter().map(|dir| dir.join(name)).find(is_program) else { continue };
        let real = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
        if !seen.contains(&real) {
            seen.push(real);
            out.push(file);
        }
    }
    out
}

fn cores(source: &Source, cpus: Option<&CpuSet>) -> Result<Cores, String> {
    let found = discover(source).and_then(|found| match cpus {
        Some(cpus) => found.restricted(cpus),
        None => Ok(found),
    });
    let found = found.map_err(|error| error.to_string())?;
    let topology = &found.topology;
    let has = |name: &str| Path::new("/sys/devices").join(name).join("cpus").exists();
    Ok(Cores {
        cores: topology.cores.len() as u32,
        threads: topology.cpus().len() as u32,
        is_hybrid: source.is_here() && has("cpu_core") && has("cpu_atom"),
        domains_without_memory: topology.numa.iter().filter(|numa| numa.memory_bytes == 0).count() as u32,
        is_described: found.described_by.is_some(),
        left_out: found.left_out,
    })
}
