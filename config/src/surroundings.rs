//! What of the process's environment the defaults depend on; taken once, so that all else is a function of values.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where this user's files are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Surroundings {
    /// `$XDG_STATE_HOME`, else `~/.local/state`; none without a home.
    pub state_home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`, else `~/.config`; none without a home.
    pub config_home: Option<PathBuf>,
    /// `$DC_CONFIG`.
    pub named: Option<PathBuf>,
}

impl Surroundings {
    /// From variables. As the XDG specification has it, relative paths count as not set.
    #[must_use]
    pub fn of(var: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let absolute = |name: &str| set(name).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let or_home =
            |name: &str, below: &str| absolute(name).or_else(|| home.as_ref().map(|home| home.join(below)));
        Self {
            state_home: or_home("XDG_STATE_HOME", ".local/state"),
            config_home: or_home("XDG_CONFIG_HOME", ".config"),
            named: set(crate::CONFIG_VARIABLE),
        }
    }

    /// From this process's environment.
    #[must_use]
    pub fn of_environment() -> Self {
        Self::of(|name| std::env::var_os(name))
    }

    /// What defaults stand below: the system's for its file, and where there is no home; else this user's.
    pub(crate) fn state_base(&self, file: Option<&Path>) -> (PathBuf, bool) {
        let is_system = file == Some(Path::new(crate::SYSTEM_FILE));
        match &self.state_home {
            Some(home) if !is_system => (home.join("dc"), false),
            _ => (PathBuf::from("/var/lib/dc"), true),
        }
    }
}
