//! Where a job's files are when the user does not say: one directory a job, under the state directory.

use super::SetupError;
use dc_model::JobUuid;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The directory of a new job.
///
/// # Errors
/// When no state directory is to be had.
pub fn default_directory(
    name: &str,
    uuid: JobUuid,
    var: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, SetupError> {
    let state = state_directory(var).ok_or(SetupError::NoHome)?;
    Ok(state.join(format!("{name}-{:08x}", uuid.number())))
}

/// Where dc keeps what outlives a process of it, if anywhere.
#[must_use]
pub fn state_directory(var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // As its specification says, a relative path counts as none.
    let absolute = |name: &str| var(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state =
        absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("dc"))
}

/// A job's name from its kernel's: what may not stand in a name becomes `_`.
#[must_use]
pub fn name_of_kernel(kernel: &Path) -> String {
    let file = kernel.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = file.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let name = name.trim_start_matches(['.', '-']);
    let name = &name[..name.len().min(dc_lists::NAME_BYTES_MAX)];
    if name.is_empty() { "job".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_the_users() {
        let uuid = JobUuid([0x0a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        let at = |xdg: Option<&str>, home: Option<&str>| {
            default_directory("k", uuid, |name| match name {
                "XDG_STATE_HOME" => xdg.map(OsString::from),
                _ => home.map(OsString::from),
            })
        };
        assert_eq!(at(Some("/x"), Some("/h")).unwrap(), Path::new("/x/dc/k-0a010203"));
        assert_eq!(at(Some("x"), Some("/h")).unwrap(), Path::new("/h/.local/state/dc/k-0a010203"));
        assert!(matches!(at(Some(""), None), Err(SetupError::NoHome)));
    }

    #[test]
    fn names_are_safe() {
        let names =
            ["/a/ocean", "/a/my kernel\n", "/a/-.x", "/", "/a/ä"].map(|path| name_of_kernel(Path::new(path)));
        assert_eq!(names, ["ocean", "my_kernel_", "x", "job", "_"]);
        for name in names {
            assert!(dc_lists::is_name(name.as_bytes()), "{name}");
        }
        assert_eq!(name_of_kernel(Path::new(&"k".repeat(100))).len(), 64);
    }
}
