//! Finding the kernel's file, as a shell would: a name with a slash is a path, any other is looked for in PATH.

use dc_model::exit;
use nix::unistd::{AccessFlags, access};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Where programs are looked for when PATH is not set.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// Why a kernel cannot be run.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum KernelError {
    /// A name that no directory of PATH has.
    #[error("{name}: not found in PATH; give its path, such as ./{name}")]
    NotInPath {
        /// The name, escaped.
        name: String,
    },
    /// A path where nothing is.
    #[error("{path}: no such file")]
    NoFile {
        /// The path, escaped.
        path: String,
    },
    /// No regular file.
    #[error("{path}: a directory or a special file, which cannot be executed")]
    NoProgram {
        /// The path, escaped.
        path: String,
    },
    /// Not allowed.
    #[error("{path}: permission denied; make it executable with chmod +x")]
    Denied {
        /// The path, escaped.
        path: String,
    },
    /// Anything else that stands in the way.
    #[error("{path}: {why}")]
    Other {
        /// The path, escaped.
        path: String,
        /// The system's reason.
        why: String,
    },
}

impl KernelError {
    /// dcrun's exit status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::NotInPath { .. } | Self::NoFile { .. } => exit::NOT_FOUND,
            _ => exit::CANNOT_EXECUTE,
        }
    }
}

/// The kernel's file, absolute. A relative path counts from `cwd`, which is dcrun's own and not the ranks'.
///
/// # Errors
/// When there is none that can be executed.
pub fn find(name: &OsStr, path: Option<&OsStr>, cwd: &Path) -> Result<PathBuf, KernelError> {
    if name.as_bytes().contains(&b'/') {
        let file = cwd.join(name);
        return check(&file, name).map(|()| file);
    }
    let path = path.map_or_else(|| OsString::from(PATH_DEFAULT), OsStr::to_owned);
    let mut denied = None;
    for directory in std::env::split_paths(&path) {
        let file = cwd.join(directory).join(name);
        match check(&file, file.as_os_str()) {
            Ok(()) if !name.is_empty() => return Ok(file),
            // A directory that may not be searched says nothing of the name, to a shell neither.
            Err(error @ KernelError::Denied { .. }) if file.exists() => denied = denied.or(Some(error)),
            _ => {}
        }
    }
    Err(denied.unwrap_or_else(|| KernelError::NotInPath { name: shown(name) }))
}

/// `named` is how the user knows it.
fn check(file: &Path, named: &OsStr) -> Result<(), KernelError> {
    let path = shown(named);
    let meta = match std::fs::metadata(file) {
        Ok(meta) => meta,
        Err(e) => {
            use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
            return Err(match e.kind() {
                NotFound | NotADirectory => KernelError::NoFile { path },
                PermissionDenied => KernelError::Denied { path },
                _ => KernelError::Other { path, why: e.to_string() },
            });
        }
    };
    if !meta.is_file() {
        return Err(KernelError::NoProgram { path });
    }
    access(file, AccessFlags::X_OK).map_err(|_| KernelError::Denied { path })
}

fn shown(text: &OsStr) -> String {
    text.to_string_lossy().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn put(path: &Path, mode: u32) {
        std::fs::write(path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn names_are_looked_for_and_paths_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        let cwd = dir.path();
        for sub in ["a", "b"] {
            std::fs::create_dir(cwd.join(sub)).unwrap();
        }
        put(&cwd.join("a/k"), 0o644);
        put(&cwd.join("b/k"), 0o755);
        let find = |name: &str, path: &str| find(OsStr::new(name), Some(OsStr::new(path)), cwd);
        assert_eq!(find("k", "a:b"), Ok(cwd.join("b/k")), "relative PATH, the executable one");
        assert_eq!(find("./b/k", "").map(|p| p.ends_with("b/k")), Ok(true));
        assert_eq!(find("k", "a").unwrap_err().status(), 126);
        assert_eq!(find("./a/k", "").unwrap_err().status(), 126);
        assert_eq!(find("./a", "").unwrap_err().status(), 126);
        assert_eq!(find("b", ".").unwrap_err().status(), 127, "directories in PATH are no programs");
        assert_eq!(find("./a/k/x", "").unwrap_err().status(), 127);
        assert_eq!(find("nothing", "a:b").unwrap_err().status(), 127);
        assert_eq!(find("", "a:b").unwrap_err().status(), 127);
    }

    #[test]
    fn messages_cannot_speak_to_the_terminal() {
        let error = find(OsStr::new("\x1b[2Jx"), Some(OsStr::new("")), Path::new("/")).unwrap_err();
        assert!(!error.to_string().contains('\x1b'));
    }
}
