//! Which machine is asked for: this one, or one that a variable of hwloc's describes. hwloc takes this machine where
//! such a description is none, without a word; here that is found out.
//!
//! Unsafe for one thing: changing this process's environment before hwloc reads it, while there is one thread.
#![allow(unsafe_code)]

use super::TopologyError;
use dc_model::cpuset::CPUS_MAX;
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;

/// Variables that describe a machine, in the order in which hwloc looks at them.
const DESCRIBING: [&str; 4] = ["HWLOC_FSROOT", "HWLOC_CPUID_PATH", "HWLOC_SYNTHETIC", "HWLOC_XMLFILE"];

/// The largest description that is read; those of the largest machines have some MiB.
const XML_BYTES_MAX: u64 = 64 << 20;

/// Where the machine is described.
#[derive(Clone, Debug)]
pub struct Source {
    /// The variable and its value; none for this machine as it is.
    described: Option<(&'static str, OsString)>,
    /// What the user knows it by, if that is not the variable.
    by: Option<&'static str>,
    /// `HWLOC_THISSYSTEM`: whether the user says that it is this machine all the same, or is not.
    this_system: Option<bool>,
    /// hwloc's components are chosen by the user.
    has_components: bool,
    /// What reading it in another process has shown.
    fault: Option<&'static str>,
}

/// Spares hwloc what dc has no use for: asking each CPU by CPUID what /sys says as well, and looking for plugins.
/// That is two thirds of its time. Where the user has set any variable of hwloc's, all is left to the user, but for
/// `HWLOC_THISSYSTEM`: it would hide whether a description was taken at all. What it says is kept in what is returned.
///
/// To be called at the start of main, while there is one thread, and after the environment for ranks was captured.
#[must_use]
pub fn prepare_environment() -> Source {
    let mut source = Source::of_environment();
    let is_set = std::env::vars_os().any(|(name, _)| name.as_encoded_bytes().starts_with(b"HWLOC_"));
    // SAFETY: by contract there is one thread, so that nobody reads the environment meanwhile.
    unsafe {
        if is_set {
            std::env::remove_var("HWLOC_THISSYSTEM");
            if source.is_described() && std::env::var_os("HWLOC_HIDE_ERRORS").is_none() {
                // hwloc's own words about a description have many lines and no prefix.
                std::env::set_var("HWLOC_HIDE_ERRORS", "2");
            }
        } else {
            std::env::set_var("HWLOC_COMPONENTS", "-x86");
            std::env::set_var("HWLOC_PLUGINS_PATH", "/dev/null");
        }
    }
    if source.is_described() && source.check().is_ok() {
        source.fault = super::probe::fault();
    }
    source
}

/// As [`prepare_environment`], with a machine in hwloc's synthetic form, as a configuration or an option has it; `by` names
/// that in messages. What the environment describes is left aside.
///
/// To be called at the start of main, while there is one thread. What this process starts later has the variable too.
#[must_use]
pub fn prepare_described(text: &str, by: &'static str) -> Source {
    // SAFETY: by contract there is one thread, so that nobody reads the environment meanwhile.
    unsafe {
        for name in DESCRIBING {
            std::env::remove_var(name);
        }
        std::env::remove_var("HWLOC_THISSYSTEM");
        std::env::set_var("HWLOC_SYNTHETIC", text);
    }
    Source { by: Some(by), ..prepare_environment() }
}

impl Source {
    /// What this process's environment says.
    #[must_use]
    pub fn of_environment() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let described = DESCRIBING.iter().find_map(|name| Some((*name, set(name)?)));
        Self {
            // The files of the root are this machine's.
            described: described
                .filter(|(name, value)| (*name, value.as_encoded_bytes()) != (DESCRIBING[0], b"/")),
            this_system: set("HWLOC_THISSYSTEM").map(|value| value != "0"),
            has_components: set("HWLOC_COMPONENTS").is_some(),
            by: None,
            fault: None,
        }
    }

    /// Whether the machine is the one on which this process runs.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.this_system.unwrap_or(self.described.is_none())
    }

    /// Refuses a machine on which nothing can be run from here.
    ///
    /// # Errors
    /// When it is not this one.
    pub fn must_be_here(&self) -> Result<(), TopologyError> {
        match self.is_here() {
            true => Ok(()),
            false => Err(TopologyError::Elsewhere(self.variable().unwrap_or("HWLOC_THISSYSTEM=0"))),
        }
    }

    /// The variable that describes the machine.
    pub(super) fn variable(&self) -> Option<&'static str> {
        self.by.or(self.described.as_ref().map(|(name, _)| *name))
    }

    pub(super) fn is_described(&self) -> bool {
        self.described.is_some()
    }

    /// The name of the machine's host, of which the description may say something.
    pub(super) fn host(&self, told: Option<String>) -> String {
        match &self.described {
            None => {
                nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
            Some(_) if told.is_some() => told.unwrap_or_default(),
            Some((name, value)) if *name != "HWLOC_SYNTHETIC" => {
                let path = PathBuf::from(value);
                path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
            }
            Some(_) => "synthetic".to_owned(),
        }
    }

    /// Looks at the description before hwloc does, which would wait for a pipe for ever and passes over what it cannot
    /// read.
    pub(super) fn check(&self) -> Result<(), TopologyError> {
        if let Some(why) = self.fault {
            return Err(self.wrong(why));
        }
        match &self.described {
            Some((variable @ "HWLOC_XMLFILE", value)) => {
                let path = PathBuf::from(value);
                let read = read_file(&path);
                let text = read.map_err(|source| TopologyError::Read { variable, path, source })?;
                match fault(&text) {
                    None => Ok(()),
                    Some(why) => Err(self.wrong(why)),
                }
            }
            Some(("HWLOC_SYNTHETIC", value)) if units_of(&value.to_string_lossy()) > u64::from(CPUS_MAX) => {
                Err(self.wrong("more than 65536 CPUs"))
            }
            _ => Ok(()),
        }
    }

    /// After hwloc has loaded what it says is this machine (`is_native`), or not: whether that is what was asked for.
    pub(super) fn check_loaded(&self, is_native: bool) -> Result<(), TopologyError> {
        if self.is_described() && is_native { Err(self.unread()) } else { Ok(()) }
    }

    /// hwloc has made nothing of the description, or of this machine.
    pub(super) fn unread(&self) -> TopologyError {
        let why = match self.variable() {
            None => return TopologyError::Load,
            Some(_) if self.has_components => {
                "hwloc does not take it while HWLOC_COMPONENTS is set: unset that"
            }
            Some(_) if self.by.is_some() => {
                "hwloc cannot make a machine of it; lstopo -i, with what stands behind `=`, says where it is wrong"
            }
            Some("HWLOC_SYNTHETIC") => {
                "hwloc cannot make a machine of it; lstopo -i \"$HWLOC_SYNTHETIC\" says where it is wrong"
            }
            Some("HWLOC_XMLFILE") => {
                "hwloc cannot read it (a newer hwloc's is written by `lstopo --export-xml-flags v2 FILE.xml`); \
                 lstopo -i \"$HWLOC_XMLFILE\" says more"
            }
            Some(_) => "hwloc cannot read a machine from it; look at it with lstopo",
        };
        self.wrong(why)
    }

    fn wrong(&self, why: &'static str) -> TopologyError {
        let (variable, value) = match &self.described {
            Some((variable, value)) => {
                (self.by.unwrap_or(variable), value.to_string_lossy().escape_debug().to_string())
            }
            None => ("hwloc", String::new()),
        };
        TopologyError::Description { variable, value: shortened(value), why }
    }
}

/// How many CPUs a line makes, as far as can be told without hwloc, which would think about millions for hours: the
/// product of the counts outside of brackets.
fn units_of(line: &str) -> u64 {
    let mut depth = 0_u32;
    let mut outside = String::new();
    for c in line.chars() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => outside.push(c),
            _ => {}
        }
    }
    let counts = outside.split_whitespace().map(|level| level.rsplit(':').next().unwrap_or_default());
    counts.filter_map(|count| count.parse::<u64>().ok()).fold(1, u64::saturating_mul)
}

fn shortened(value: String) -> String {
    match value.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value,
    }
}

fn read_file(path: &PathBuf) -> std::io::Result<Vec<u8>> {
    let other = |text: &str| Err(std::io::Error::other(text.to_owned()));
    // Before it is opened: opening a pipe waits for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return other("is no regular file; write the description to one");
    }
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(XML_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > XML_BYTES_MAX {
        return other("is larger than 64 MiB; no machine's description is");
    }
    Ok(text)
}

/// What is wrong with a description at first sight.
fn fault(text: &[u8]) -> Option<&'static str> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii();
    let opens = |name: &[u8]| text.windows(name.len()).take(4096).any(|part| part == name);
    if text.is_empty() {
        return Some("the file is empty");
    }
    if !text.starts_with(b"<") || !(opens(b"<topology") || opens(b"<root")) {
        return Some("is no description of hwloc's; `lstopo FILE.xml` on that machine makes one");
    }
    if !(text.ends_with(b"</topology>") || text.ends_with(b"</root>")) {
        return Some("the description is cut off; `lstopo FILE.xml` on that machine makes one");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_at_first_sight() {
        assert_eq!(fault(b"<?xml version=\"1.0\"?>\n<topology version=\"2.0\">\n</topology>\n"), None);
        assert_eq!(fault(b"\xef\xbb\xbf <root></root>"), None);
        assert!(fault(b" \n").is_some_and(|why| why.contains("empty")));
        assert!(fault(b"\x7fELF").is_some_and(|why| why.contains("no description")));
        assert!(fault(b"<html></html>").is_some_and(|why| why.contains("no description")));
        assert!(fault(b"<topology><object").is_some_and(|why| why.contains("cut off")));
    }

    #[test]
    fn large_lines() {
        assert_eq!(units_of("pack:2 numa:4 l3:2 core:4 pu:2"), 128);
        assert_eq!(units_of("pack:2(indexes=1,0) [numa(memory=64GB)] 3 pu:2"), 12);
        assert_eq!(units_of("pu:99999999999 pu:99999999999"), u64::MAX);
        assert_eq!(units_of("no such thing"), 1);
    }

    #[test]
    fn what_is_not_a_file_is_not_waited_for() {
        assert!(read_file(&"/dev/zero".into()).is_err());
        assert!(read_file(&"/nonexistent".into()).is_err());
        assert!(read_file(&"/dev".into()).is_err());
    }
}
