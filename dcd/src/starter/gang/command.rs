//! The launcher's command line and environment: one launcher process for a gang on this host, with its own binding and
//! its ways to other hosts switched off.

use dc_model::{JobUuid, MpiFamily};
use std::ffi::{CString, NulError};
use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// argv of the launcher, from argv\[0\] on; what it is to start comes last.
pub fn arguments(
    family: MpiFamily,
    ranks: usize,
    directory: Option<&Path>,
    shim: &[&[u8]],
) -> Result<Vec<CString>, NulError> {
    // A bare name: an absolute one means another thing to Open MPI (its --prefix).
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut add = |list: &[&str]| words.extend(list.iter().map(|word| word.as_bytes().to_vec()));
    let count = ranks.to_string();
    match family {
        MpiFamily::OpenMpi => {
            add(&["mpirun", "-n", &count, "--bind-to", "none", "--oversubscribe"]);
            // This host only, whatever batch system there is around.
            add(&["--mca", "plm", "isolated", "--mca", "ras", "^slurm,tm,lsf,gridengine"]);
            if let Some(directory) = directory {
                let directory = directory.to_string_lossy();
                add(&["--mca", "orte_tmpdir_base", &directory]);
                add(&["--mca", "btl_vader_backing_directory", &directory]);
            }
        }
        MpiFamily::Mpich => {
            add(&["mpiexec", "-n", &count, "-bind-to", "none", "-launcher", "fork"]);
            add(&["-rmk", "user", "-hosts", "localhost"]);
        }
    }
    words.extend(shim.iter().map(|word| word.to_vec()));
    words.into_iter().map(CString::new).collect()
}

/// Variables on top of the job's.
pub fn variables(family: MpiFamily, has: impl Fn(&str) -> bool) -> Vec<String> {
    let mut variables = Vec::new();
    match family {
        MpiFamily::OpenMpi if nix::unistd::geteuid().is_root() => {
            // Else it refuses root; dc's own user has decided that already.
            variables.push("OMPI_ALLOW_RUN_AS_ROOT=1".to_owned());
            variables.push("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1".to_owned());
        }
        MpiFamily::OpenMpi => {}
        MpiFamily::Mpich => {
            // Intel MPI and MVAPICH bind ranks in the library.
            for (name, value) in [("I_MPI_PIN", "0"), ("MV2_ENABLE_AFFINITY", "0")] {
                if !has(name) {
                    variables.push(format!("{name}={value}"));
                }
            }
        }
    }
    variables
}

/// A private directory for what an MPI leaves in temporary places: all of it goes with the gang, however it ends. Its
/// name is the job's, so that a later starter of the job removes what one that was killed has left.
pub fn private_directory(job: JobUuid) -> io::Result<PathBuf> {
    let shared = Path::new("/dev/shm");
    let base = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    let path = base.join(format!("dc-mpi-{job}"));
    let make = || DirBuilder::new().mode(0o700).create(&path);
    match make() {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let meta = std::fs::symlink_metadata(&path)?;
            if !meta.is_dir() || meta.uid() != nix::unistd::geteuid().as_raw() {
                return Err(ErrorKind::PermissionDenied.into());
            }
            std::fs::remove_dir_all(&path)?;
            make()?;
        }
        other => other?,
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(family: MpiFamily) -> String {
        let words = arguments(family, 3, Some(Path::new("/d")), &[b"/s", b"rank"]).unwrap();
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_launchers_own_binding_is_off_and_no_other_host_is_reached() {
        assert_eq!(
            line(MpiFamily::OpenMpi),
            "mpirun -n 3 --bind-to none --oversubscribe --mca plm isolated --mca ras ^slurm,tm,lsf,gridengine \
             --mca orte_tmpdir_base /d --mca btl_vader_backing_directory /d /s rank"
        );
        assert_eq!(
            line(MpiFamily::Mpich),
            "mpiexec -n 3 -bind-to none -launcher fork -rmk user -hosts localhost /s rank"
        );
        assert_eq!(variables(MpiFamily::Mpich, |name| name == "I_MPI_PIN"), ["MV2_ENABLE_AFFINITY=0"]);
    }
}
