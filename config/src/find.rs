//! Where dc.toml is looked for, and reading it. The only I/O of this crate.

use crate::{Config, ConfigError, Surroundings};
use nix::unistd::geteuid;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The variable that names the file; then no other place is looked at.
pub const CONFIG_VARIABLE: &str = "DC_CONFIG";

/// The file of the whole system.
pub const SYSTEM_FILE: &str = "/etc/dc/dc.toml";

/// The longest file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

const NAME: &str = "dc.toml";

/// The file to use: `$DC_CONFIG`, `./dc.toml`, `$XDG_CONFIG_HOME/dc/dc.toml`, `/etc/dc/dc.toml`, the first that is there.
/// None of them: `None`, and [`Config::default_for`] has the defaults.
///
/// # Errors
/// When one is there, and cannot be looked at or is not to be believed: in a directory such as /tmp another user's
/// dc.toml would send a job's command and environment to a scheduler of theirs.
pub fn find(surroundings: &Surroundings) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(path) = &surroundings.named {
        // That it is missing is an error of its own, told when it is read.
        return Ok(Some(path.clone()));
    }
    let of_user = surroundings.config_home.as_ref().map(|home| home.join("dc").join(NAME));
    let here = Some(PathBuf::from(NAME));
    for path in [here, of_user, Some(PathBuf::from(SYSTEM_FILE))].into_iter().flatten() {
        match fs::metadata(&path) {
            Ok(metadata) => {
                check_owner(&path, metadata.uid(), metadata.mode())?;
                return Ok(Some(path));
            }
            Err(error) if is_absent(&error) => {}
            // Another user's directory cannot be looked into; the system's file is for everybody.
            Err(error)
                if error.kind() == io::ErrorKind::PermissionDenied && path != Path::new(SYSTEM_FILE) => {}
            Err(source) => return Err(ConfigError::Read { path, source }),
        }
    }
    Ok(None)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn check_owner(path: &Path, owner: u32, mode: u32) -> Result<(), ConfigError> {
    let why = if owner != 0 && owner != geteuid().as_raw() {
        format!("belongs to user {owner}")
    } else if mode & 0o002 != 0 {
        "can be written by everybody (chmod o-w it)".to_owned()
    } else {
        return Ok(());
    };
    Err(ConfigError::Foreign { path: path.to_owned(), why })
}

/// Finds the file and reads it; the defaults where there is none.
///
/// # Errors
/// As [`find`] and [`read`].
pub fn load(surroundings: &Surroundings) -> Result<Config, ConfigError> {
    match find(surroundings)? {
        Some(path) => read(&path, surroundings),
        None => Ok(Config::default_for(surroundings)),
    }
}

/// Reads a file. Relative paths in it are below its own directory.
///
/// # Errors
/// When it cannot be read, is too long, or has mistakes.
pub fn read(path: &Path, surroundings: &Surroundings) -> Result<Config, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    // Before it is opened: opening a pipe waits for a writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("is no regular file")));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    // What is used is whole: the directory of a relative name is this process's, now.
    let whole = std::path::absolute(path).map_err(failed)?;
    Config::parse(&whole, &bytes, surroundings)
}
