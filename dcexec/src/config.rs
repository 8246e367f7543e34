//! What is allowed, from /etc/dc/exec.conf: lines `key = value`, bytes in, values out. Nothing is guessed: an unknown
//! key, one given twice or one that is missing refuses everything.

use nix::sys::resource::Resource;
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// The file. No option and no variable names another one.
pub const CONFIG_PATH: &str = "/etc/dc/exec.conf";
/// The file's.
pub const CONFIG_BYTES_MAX: usize = 64 << 10;
/// Below it are the system's own accounts.
const UID_MIN: u32 = 1000;

/// An account or a group, as it stands in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    /// By number.
    Id(u32),
    /// By name.
    Name(String),
}

/// A resource limit of a starter's: soft and hard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Of what.
    pub resource: Resource,
    /// `u64::MAX` is none.
    pub max: u64,
}

/// The whole file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Who may ask.
    pub caller: Who,
    /// The starter's program.
    pub starter: PathBuf,
    /// The directory of jobs' directories.
    pub jobs: PathBuf,
    /// No user below it.
    pub uid_min: u32,
    /// Where given, nobody else.
    pub allow_users: Option<Vec<Who>>,
    /// Where given, nobody who is in none of them.
    pub allow_groups: Option<Vec<Who>>,
    /// Never these.
    pub deny_users: Vec<Who>,
    /// Nobody who is in one of them.
    pub deny_groups: Vec<Who>,
    /// Whether jobs can never gain rights by setuid programs.
    pub no_new_privs: bool,
    /// Where each job gets a control group (version 2).
    pub cgroup: Option<PathBuf>,
    /// What is set before rights are given up.
    pub limits: Vec<Limit>,
}

/// What is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// From 1; 0 is the file as a whole.
    pub line: usize,
    /// What.
    pub why: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{CONFIG_PATH}: {}", self.why),
            line => write!(f, "{CONFIG_PATH}, line {line}: {}", self.why),
        }
    }
}

impl std::error::Error for ConfigError {}

const KEYS: [&str; 10] = [
    "caller",
    "starter",
    "jobs",
    "uid_min",
    "allow_users",
    "allow_groups",
    "deny_users",
    "deny_groups",
    "no_new_privs",
    "cgroup",
];

const LIMITS: [(&str, Resource); 10] = [
    ("limit.as", Resource::RLIMIT_AS),
    ("limit.core", Resource::RLIMIT_CORE),
    ("limit.cpu", Resource::RLIMIT_CPU),
    ("limit.data", Resource::RLIMIT_DATA),
    ("limit.fsize", Resource::RLIMIT_FSIZE),
    ("limit.memlock", Resource::RLIMIT_MEMLOCK),
    ("limit.nofile", Resource::RLIMIT_NOFILE),
    ("limit.nproc", Resource::RLIMIT_NPROC),
    ("limit.rtprio", Resource::RLIMIT_RTPRIO),
    ("limit.stack", Resource::RLIMIT_STACK),
];

impl Config {
    /// Reads the file's bytes.
    ///
    /// # Errors
    /// When they are not exactly a configuration.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let whole = |why: &str| ConfigError { line: 0, why: why.to_owned() };
        if bytes.len() > CONFIG_BYTES_MAX {
            return Err(whole("longer than 64 KiB"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| whole("not text"))?;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(whole("the last line does not end: was the file cut?"));
        }
        let mut given: Vec<(&str, &str, usize)> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let at = |why: String| ConfigError { line, why };
            if text.chars().any(|c| c.is_control() || !c.is_ascii()) {
                return Err(at("characters other than printable ASCII".into()));
            }
            if text.trim().is_empty() || text.trim_start().starts_with('#') {
                continue;
            }
            let (key, value) = text.split_once('=').ok_or_else(|| at("not KEY = VALUE".into()))?;
            let (key, value) = (key.trim(), value.trim());
            if !KEYS.contains(&key) && !LIMITS.iter().any(|(name, _)| *name == key) {
                return Err(at(format!("key {key:?} is not known")));
            }
            if given.iter().any(|(other, ..)| *other == key) {
                return Err(at(format!("{key} stands here for the second time")));
            }
            given.push((key, value, line));
        }
        let value =
            |key: &str| given.iter().find(|(other, ..)| *other == key).map(|(_, v, line)| (*v, *line));
        let must = |key: &str| value(key).ok_or_else(|| whole(&format!("{key} is missing")));
        let list = |key: &str| value(key).map(list_of).transpose();
        let mut limits = Vec::new();
        for (name, resource) in LIMITS {
            if let Some(value) = value(name) {
                limits.push(Limit { resource, max: limit_of(value)? });
            }
        }
        Ok(Self {
            caller: who_of(must("caller")?)?,
            starter: path_of(must("starter")?)?,
            jobs: path_of(must("jobs")?)?,
            uid_min: value("uid_min").map_or(Ok(UID_MIN), uid_min_of)?,
            allow_users: list("allow_users")?,
            allow_groups: list("allow_groups")?,
            deny_users: list("deny_users")?.unwrap_or_default(),
            deny_groups: list("deny_groups")?.unwrap_or_default(),
            no_new_privs: value("no_new_privs").map_or(Ok(true), truth_of)?,
            cgroup: match value("cgroup") {
                None | Some(("none", _)) => None,
                Some(value) => Some(path_of(value)?),
            },
            limits,
        })
    }
}

type Value<'a> = (&'a str, usize);

fn wrong(line: usize, why: impl Into<String>) -> ConfigError {
    ConfigError { line, why: why.into() }
}

/// Digits alone, as they are written: no sign, no leading zero.
fn number_of<T: std::str::FromStr + ToString>((text, line): Value<'_>) -> Result<T, ConfigError> {
    let number = text.parse::<T>().ok().filter(|number| number.to_string() == text);
    number.ok_or_else(|| wrong(line, format!("{text:?} is no number that fits here")))
}

fn who_of((text, line): Value<'_>) -> Result<Who, ConfigError> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return number_of((text, line)).map(Who::Id);
    }
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@+$".contains(&byte));
    if text.is_empty() || text.len() > 64 || text.starts_with('-') || !is_name {
        return Err(wrong(line, format!("{text:?} is no name of a user or group")));
    }
    Ok(Who::Name(text.to_owned()))
}

/// Names and numbers with blanks between them; at least one, so that an empty list is no slip of the hand.
fn list_of((text, line): Value<'_>) -> Result<Vec<Who>, ConfigError> {
    if text.is_empty() {
        return Err(wrong(line, "nobody is named: leave the line out"));
    }
    text.split_ascii_whitespace().map(|word| who_of((word, line))).collect()
}

/// From the root, without `.`, `..` or doubled slashes.
fn path_of((text, line): Value<'_>) -> Result<PathBuf, ConfigError> {
    let path = Path::new(text);
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let rebuilt: PathBuf = path.components().collect();
    if !path.is_absolute() || !plain || rebuilt.as_os_str() != text || text.len() > 1024 || text == "/" {
        return Err(wrong(line, format!("{text:?} is no plain path from the root")));
    }
    Ok(path.to_owned())
}

fn uid_min_of(value: Value<'_>) -> Result<u32, ConfigError> {
    match number_of(value)? {
        0 => Err(wrong(value.1, "root never runs a job: 1 is the least")),
        uid => Ok(uid),
    }
}

fn truth_of((text, line): Value<'_>) -> Result<bool, ConfigError> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(wrong(line, format!("{text:?} is neither yes nor no"))),
    }
}

fn limit_of(value: Value<'_>) -> Result<u64, ConfigError> {
    if value.0 == "unlimited" { Ok(u64::MAX) } else { number_of(value) }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
