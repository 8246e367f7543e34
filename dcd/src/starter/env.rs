//! The environment of a rank: what all ranks share, then what is this subtask's own. dc-kernel(7) is the one list.

use super::compat;
use dc_model::wire::{Hello, Launch, OpenMp};
use dc_model::{CpuSet, Restart};
use std::ffi::{CString, NulError, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Names that are a subtask's own: whatever the shared part says of them is left out.
const OWN: &[&str] = &[
    "DC_JOB_ID",
    "DC_JOB_UUID",
    "DC_RANK",
    "DC_NTASKS",
    "DC_LOCALID",
    "DC_NODEID",
    "DC_NODELIST",
    "DC_SUBTASK",
    "DC_CELLS",
    "DC_BLOCK",
    "DC_ATTEMPT",
    "DC_RESTART_FROM",
    "DC_RESTART_FROM_OLDER",
    "DC_CPUS",
    "DC_SPOOL",
    "DC_PROGRESS",
];

/// A variable with a number.
pub(super) type Var = (&'static str, u32);

/// The checkpoints a rank is told of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The one it goes on from.
    pub from: Restart,
    /// Its file.
    pub path: PathBuf,
    /// The file of the one before it.
    pub older: Option<PathBuf>,
}

/// What is the same for all ranks of a job on this node.
#[derive(Debug)]
pub struct Environment {
    shared: Vec<CString>,
    allowed: CpuSet,
    openmp: OpenMp,
    /// Whether other launchers' variables are set too.
    compat: bool,
}

impl Environment {
    /// From dcrun's words; `allowed` is what an unbound rank may use.
    ///
    /// # Errors
    /// When a string holds a zero byte.
    pub fn new(hello: &Hello, host: &str, pid: u32, allowed: CpuSet) -> Result<Self, NulError> {
        let asked = [compat::ASKED.as_bytes(), b"=1"].concat();
        let compat = hello.env.contains(&asked);
        let is_own = |var: &&Vec<u8>| {
            let name = var.split(|b| *b == b'=').next().unwrap_or_default();
            OWN.iter().any(|own| own.as_bytes() == name) || compat && compat::is_any(name)
        };
        let mut shared: Vec<CString> = hello
            .env
            .iter()
            .filter(|var| !is_own(var))
            .map(|var| CString::new(&var[..]))
            .collect::<Result<_, _>>()?;
        let is_users = hello.env.iter().any(|var| sets_openmp(var));
        let openmp = if is_users { OpenMp::Untold } else { hello.openmp };
        for text in [
            format!("DC_JOB_ID={}", hello.job.number()),
            format!("DC_JOB_UUID={}", hello.job),
            format!("DC_NTASKS={}", hello.ranks),
            "DC_NODEID=0".to_owned(),
            format!("DC_NODELIST={host}"),
            format!("DC_PROGRESS=/proc/{pid}/fd/{}", super::inherited::PROGRESS),
        ] {
            shared.push(CString::new(text)?);
        }
        shared.push(CString::new([b"DC_SPOOL=", &hello.spool[..]].concat())?);
        if compat {
            for (name, value) in compat::shared(hello.ranks) {
                shared.push(CString::new(format!("{name}={value}"))?);
            }
        }
        Ok(Self { shared, allowed, openmp, compat })
    }

    /// The part that all share.
    #[must_use]
    pub fn shared(&self) -> &[CString] {
        &self.shared
    }

    /// The part of one launch.
    ///
    /// # Errors
    /// When a path holds a zero byte.
    pub fn own(&self, launch: &Launch, origin: Option<&Origin>) -> Result<Vec<CString>, NulError> {
        let bound = !launch.cpus.is_empty();
        let cpus = if bound { &launch.cpus } else { &self.allowed };
        let mut own = Vec::with_capacity(16);
        let mut set = |text: String| CString::new(text).map(|var| own.push(var));
        set(format!("DC_RANK={}", launch.rank))?;
        set(format!("DC_LOCALID={}", launch.rank))?;
        set(format!("DC_SUBTASK={}", launch.subtask))?;
        set(format!("DC_ATTEMPT={}", launch.attempt))?;
        set(format!("DC_CELLS={}", launch.cells))?;
        set(format!("DC_CPUS={cpus}"))?;
        if let Some(block) = launch.block {
            set(format!("DC_BLOCK={block}"))?;
        }
        if self.compat {
            for (name, value) in compat::own(launch.rank.0, launch.cores) {
                set(format!("{name}={value}"))?;
            }
        }
        if self.openmp != OpenMp::Untold {
            set(format!("OMP_NUM_THREADS={}", launch.cores.max(1)))?;
            if bound {
                set(format!("OMP_PLACES={}", places(cpus, launch.cores, self.openmp)))?;
                set("OMP_PROC_BIND=close".to_owned())?;
            }
        }
        if let Some(origin) = origin {
            let path = |name: &[u8], path: &OsStr| CString::new([name, path.as_bytes()].concat());
            own.push(path(b"DC_RESTART_FROM=", origin.path.as_os_str())?);
            if let Some(older) = &origin.older {
                own.push(path(b"DC_RESTART_FROM_OLDER=", older.as_os_str())?);
            }
        }
        Ok(own)
    }
}

/// Whether the user has set one of the variables that dc would set to match the CPUs.
fn sets_openmp(var: &[u8]) -> bool {
    ["OMP_NUM_THREADS=", "OMP_PLACES=", "OMP_PROC_BIND="].iter().any(|name| var.starts_with(name.as_bytes()))
}

/// One place a core: by CPU numbers where each core has one CPU, by the runtime's own knowledge where they have more.
/// Where other ranks have the same CPUs, one place of all of them.
fn places(cpus: &CpuSet, cores: u32, openmp: OpenMp) -> String {
    if openmp == OpenMp::OnePlace {
        return format!("{{{}}}", cpus.iter().map(|cpu| cpu.to_string()).collect::<Vec<_>>().join(","));
    }
    if cpus.len() != cores as usize {
        return "cores".to_owned();
    }
    cpus.iter().map(|cpu| format!("{{{cpu}}}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
#[path = "env_tests.rs"]
mod tests;
