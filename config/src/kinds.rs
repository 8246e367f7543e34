//! The kinds of values: how each is read from the file, shown again as it would be written, and told of in messages.

use crate::choices::{Choice, Partner, Relay, Topology};
use crate::error::quoted;
use crate::near::nearest;
use crate::pattern;
use crate::place::{HostPort, Place, read_host};
use dc_link::Name;
use dc_model::{CpuSet, size};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// A kind of value.
pub trait Kind {
    /// What it becomes.
    type Value: Clone + PartialEq + Debug;
    /// What may be written, in words.
    fn says(&self) -> String;
    /// Reads a value. `base` is what relative paths are below. The error is what is wrong, without the key.
    ///
    /// # Errors
    /// When it is another type or out of range.
    fn read(&self, value: &DeValue<'_>, base: &Path) -> Result<Self::Value, String>;
    /// As it would be written.
    fn show(&self, value: &Self::Value) -> String;
    /// What probably follows a number that was written without quotation marks.
    fn unit(&self) -> &'static str {
        ""
    }
}

/// A text as TOML writes it. What comes in here has no control characters but by an escape, and leaves with one.
fn written(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

fn other_type(kind: &impl Kind, value: &DeValue<'_>) -> String {
    let found = match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("wanted {}, and found {found}", kind.says())
}

/// The text of a value that must be one.
fn text<'a>(kind: &impl Kind, value: &'a DeValue<'_>) -> Result<&'a str, String> {
    let text = value.as_str().ok_or_else(|| match value {
        DeValue::Integer(number) => {
            format!(
                "{}: write it with quotation marks, such as \"{number}{}\"",
                other_type(kind, value),
                kind.unit()
            )
        }
        value => other_type(kind, value),
    })?;
    if text.contains('\0') { Err(format!("{} holds a zero byte", quoted(text))) } else { Ok(text) }
}

fn not(kind: &impl Kind, text: &str) -> String {
    format!("{} is not {}", quoted(text), kind.says())
}

/// A time: a whole number with `ms`, `s`, `m`, `h` or `d`; in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// The shortest, in ms.
    pub min_ms: u64,
    /// The longest, in ms.
    pub max_ms: u64,
}

const UNITS_MS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

fn time_text(ms: u64) -> String {
    let unit = UNITS_MS.iter().find(|(_, unit)| ms > 0 && ms.is_multiple_of(*unit));
    unit.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", ms / unit))
}

impl Kind for Time {
    type Value = u64;

    fn says(&self) -> String {
        format!("a time from \"{}\" to \"{}\"", time_text(self.min_ms), time_text(self.max_ms))
    }

    fn read(&self, value: &DeValue<'_>, _: &Path) -> Result<u64, String> {
        let found = text(self, value)?;
        let digits = found.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = found.split_at(digits);
        let unit = UNITS_MS.iter().find(|(name, _)| *name == unit);
        let number: Option<u64> = number.parse().ok();
        let ms = number.zip(unit).and_then(|(number, (_, unit))| number.checked_mul(*unit));
        ms.filter(|ms| (self.min_ms..=self.max_ms).contains(ms)).ok_or_else(|| not(self, found))
    }

    fn show(&self, ms: &u64) -> String {
        written(&time_text(*ms))
    }

    fn unit(&self) -> &'static str {
        "s"
    }
}

/// An amount of bytes, as `dc_model::size` reads it.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The smallest, in bytes.
    pub min_bytes: u64,
    /// The largest, in bytes.
    pub max_bytes: u64,
}

impl Kind for Size {
    type Value = u64;

    fn says(&self) -> String {
        format!("an amount from \"{}\" to \"{}\"", size::shown(self.min_bytes), size::shown(self.max_bytes))
    }

    fn read(&self, value: &DeValue<'_>, _: &Path) -> Result<u64, String> {
        let found = text(self, value)?;
        let bytes = size::parse(found).ok();
        bytes
            .filter(|bytes| (self.min_bytes..=self.max_bytes).contains(bytes))
            .ok_or_else(|| not(self, found))
    }

    fn show(&self, bytes: &u64) -> String {
        written(&size::shown(*bytes))
    }

    fn unit(&self) -> &'static str {
        "M"
    }
}

/// All of something, or so many bytes of it.
#[derive(Clone, Copy, Debug)]
pub struct AllOrSize(
    /// The bounds of an amount.
    pub Size,
);

impl Kind for AllOrSize {
    type Value = Option<u64>;

    fn says(&self) -> String {
        format!("\"all\" or {}", self.0.says())
    }

    fn read(&self, value: &DeValue<'_>, base: &Path) -> Result<Option<u64>, String> {
        match text(self, value)? {
            "all" => Ok(None),
            found => self.0.read(value, base).map(Some).map_err(|_| not(self, found)),
        }
    }

    fn show(&self, bytes: &Option<u64>) -> String {
        bytes.map_or_else(|| written("all"), |bytes| self.0.show(&bytes))
    }

    fn unit(&self) -> &'static str {
        self.0.unit()
    }
}

/// A whole number.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl Kind for Count {
    type Value = u64;

    fn says(&self) -> String {
        format!("a whole number from {} to {}", self.min, self.max)
    }

    fn read(&self, value: &DeValue<'_>, _: &Path) -> Result<u64, String> {
        let DeValue::Integer(number) = value else { return Err(other_type(self, value)) };
        let read = u64::from_str_radix(number.as_str(), number.radix()).ok();
        read.filter(|read| (self.min..=self.max).contains(read)).ok_or_else(|| not(self, &number.to_string()))
    }

    fn show(&self, value: &u64) -> String {
        value.to_string()
    }
}

/// A factor in thousandths, from 0.001 to 1000; 0: to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Factor;

impl Kind for Factor {
    type Value = u32;

    fn says(&self) -> String {
        "\"auto\" or a number from 0.001 to 1000".to_owned()
    }

    fn read(&self, value: &DeValue<'_>, _: &Path) -> Result<u32, String> {
        let found = match value {
            DeValue::String(word) if word == "auto" => return Ok(0),
            DeValue::String(word) => return Err(not(self, word)),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.as_str().to_owned(),
            value => return Err(other_type(self, value)),
        };
        let permille = found.parse::<f64>().ok().map(|factor| (factor * 1000.0).round());
        let permille = permille.filter(|permille| (1.0..=1_000_000.0).contains(permille));
        permille.map(|permille| permille as u32).ok_or_else(|| not(self, &found))
    }

    fn show(&self, permille: &u32) -> String {
        match permille {
            0 => written("auto"),
            permille => {
                let digits = format!("{}.{:03}", permille / 1000, permille % 1000);
                digits.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        }
    }
}

/// One of a few words.
#[derive(Clone, Copy, Debug)]
pub struct OneOf<T: Choice>(
    /// Which words.
    pub PhantomData<T>,
);

impl<T: Choice> Kind for OneOf<T> {
    type Value = T;

    fn says(&self) -> String {
        let words: Vec<String> = T::ALL.iter().map(|(word, _)| written(word)).collect();
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => words.join(""),
        }
    }

    fn read(&self, value: &DeValue<'_>, _: &Path) -> Result<T, String> {
        let found = text(self, value)?;
        let known = T::ALL.iter().find(|(word, _)| *word == found);
        known.map(|(_, choice)| *choice).ok_or_else(|| {
            let near = nearest(found, T::ALL.iter().map(|(word, _)| *word));
            let meant = near.map(|word| format!(": did you mean \"{word}\"?")).unwrap_or_default();
            not(self, found) + &meant
        })
    }

    fn show(&self, value: &T) -> String {
        let word = T::ALL.iter().find(|(_, choice)| choice == value);
        written(word.map_or("", |(word, _)| word))
    }
}

/// A path. One that is relative is below the file's directory; none is empty.
#[derive(Clone, Copy, Debug)]
pub struct File;

impl Kind for File {
    type Value = Option<PathBuf>;

    fn says(&self) -> String {
        "a path".to_owned()
    }

    fn read(&self, value: &DeValue<'_>, base: &Path) -> Result<Option<PathBuf>, String> {
        match text(self, value)? {
            "" => Err("a path has at least one letter".to_owned()),
            found if found.starts_with('~') => Err(format!(
                "{} begins with `~`, which no shell reads here: write the whole path",
                quoted(found)
            )),
            found => Ok(Some(base.join(found.strip_prefix("./").unwrap_or(found)))),
        }
    }

    fn show(&self, value: &Option<PathBuf>) -> String {
        value.as_ref().map_or_else(String::new, |path| written(&path.to_string_lossy()))
    }
}

/// A path with `%n` and `%h` in it.
#[derive(Clone, Copy, Debug)]
pub struct NodeFile;

impl Kind for NodeFile {
    type Value = Option<PathBuf>;

    fn says(&self) -> String {
        "a path, in which %n is the node's name, %h its host's name, and %% a %".to_owned()
    }

    fn read(&self, value: &DeValue<'_>, base: &Path) -> Result<Option<PathBuf>, String> {
        let found = text(self, value)?;
        if !pattern::is_good(found) {
            return Err(not(self, found));
        }
        File.read(value, base)
    }

    fn show(&self, value: &Option<PathBuf>) -> String {
        File.show(value)
    }
}

/// A name, as the peers file has them.
#[derive(Clone, Copy, Debug)]
pub struct NameOf;

impl Kind for NameOf {
    type Value = String;

    fn says(&self) -> String {
        "a name: 1 to 64 letters, digits, dots, hyphens or underscores, beginning with no dot or hyphen"
            .to_owned()
    }

    fn read(&self, value: &DeValue<'_>, _: &Path) -> Result<String, String> {
        let found = text(self, value)?;
        Name::parse(found).map(|name| name.as_str().to_owned()).map_err(|_| not(self, found))
    }

    fn show(&self, value: &String) -> String {
        written(value)
    }
}

/// An address to listen at; none is empty.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// Whether port 0, which is any free one, will do.
    pub is_any_port: bool,
}

impl Kind for Listen {
    type Value = Option<HostPort>;

    fn says(&self) -> String {
        let port = if self.is_any_port { " (0: any that is free)" } else { "" };
        format!("\"HOST:PORT\", where HOST may be * for all addresses{port}")
    }

    fn read(&self, value: &DeValue<'_>, _: &Path) -> Result<Option<HostPort>, String> {
        let found = text(self, value)?;
        let place = HostPort::parse(found).map_err(|_| not(self, found))?;
        if place.port == 0 && !self.is_any_port {
            return Err(format!("{} has port 0, and nobody would know where to find it", quoted(found)));
        }
        Ok(Some(place))
    }

    fn show(&self, value: &Option<HostPort>) -> String {
        value.as_ref().map_or_else(String::new, |place| written(&place.to_string()))
    }
}

/// Where the scheduler is; none is empty.
#[derive(Clone, Copy, Debug)]
pub struct SchedulerPlace;

impl Kind for SchedulerPlace {
    type Value = Option<Place>;

    fn says(&self) -> String {
        "\"HOST:PORT\", or the path of a socket that begins with / or ./".to_owned()
    }

    fn read(&self, value: &DeValue<'_>, base: &Path) -> Result<Option<Place>, String> {
        let found = text(self, value)?;
        Place::parse(found, base).map(Some).map_err(|_| not(self, found))
    }

    fn show(&self, value: &Option<Place>) -> String {
        match value {
            None => String::new(),
            Some(Place::Tcp(place)) => written(&place.to_string()),
            Some(Place::Unix(path)) => written(&path.to_string_lossy()),
        }
    }
}

/// What others dial to reach a node: a host, with a port where that is another than the one it listens at.
#[derive(Clone, Copy, Debug)]
pub struct Told;

impl Told {
    /// The host and, if it is there, the port; without `%` patterns.
    pub(crate) fn split(text: &str) -> Option<(String, Option<u16>)> {
        let is_bare = text.ends_with(']') || !text.contains(':');
        let (host, port) = if is_bare {
            (read_host(text).ok()?, None)
        } else {
            let place = HostPort::parse(text).ok()?;
            (place.host, Some(place.port))
        };
        (host != "*" && port != Some(0)).then_some((host, port))
    }
}

impl Kind for Told {
    type Value = String;

    fn says(&self) -> String {
        "\"HOST\" or \"HOST:PORT\", in which %n is the node's name and %h its host's name".to_owned()
    }

    fn read(&self, value: &DeValue<'_>, _: &Path) -> Result<String, String> {
        let found = text(self, value)?;
        // As it will be with a name in the place of the patterns.
        let is_good = pattern::is_good(found) && Self::split(&pattern::filled(found, "n", "h")).is_some();
        if is_good { Ok(found.to_owned()) } else { Err(not(self, found)) }
    }

    fn show(&self, value: &String) -> String {
        written(value)
    }
}

/// Where a node's cores come from.
#[derive(Clone, Copy, Debug)]
pub struct TopologyOf;

/// What stands before a description.
const SYNTHETIC: &str = "synthetic:";
/// The longest description, in bytes.
const SYNTHETIC_BYTES_MAX: usize = 4096;

impl Kind for TopologyOf {
    type Value = Topology;

    fn says(&self) -> String {
        "\"auto\", or \"synthetic:\" and hwloc's description of a machine".to_owned()
    }

    fn read(&self, value: &DeValue<'_>, _: &Path) -> Result<Topology, String> {
        match text(self, value)? {
            "auto" => Ok(Topology::Auto),
            found => {
                let described = found.strip_prefix(SYNTHETIC).map(str::trim);
                let described =
                    described.filter(|text| !text.is_empty() && text.len() <= SYNTHETIC_BYTES_MAX);
                described.map(|text| Topology::Synthetic(text.to_owned())).ok_or_else(|| not(self, found))
            }
        }
    }

    fn show(&self, value: &Topology) -> String {
        match value {
            Topology::Auto => written("auto"),
            Topology::Synthetic(text) => written(&format!("{SYNTHETIC}{text}")),
        }
    }
}

/// CPUs by the OS's numbers, or all.
#[derive(Clone, Copy, Debug)]
pub struct Cpus;

impl Kind for Cpus {
    type Value = Option<CpuSet>;

    fn says(&self) -> String {
        "\"all\", or a list of the OS's CPU numbers such as \"0-7,16-23\"".to_owned()
    }

    fn read(&self, value: &DeValue<'_>, _: &Path) -> Result<Option<CpuSet>, String> {
        match text(self, value)? {
            "all" => Ok(None),
            found => {
                let cpus = CpuSet::parse(found).filter(|cpus| !cpus.is_empty());
                cpus.map(Some).ok_or_else(|| not(self, found))
            }
        }
    }

    fn show(&self, value: &Option<CpuSet>) -> String {
        value.as_ref().map_or_else(|| written("all"), |cpus| written(&cpus.to_string()))
    }
}

/// Who keeps a node's copies.
#[derive(Clone, Copy, Debug)]
pub struct PartnerOf;

impl Kind for PartnerOf {
    type Value = Partner;

    fn says(&self) -> String {
        "\"auto\", \"none\" or a node's name".to_owned()
    }

    fn read(&self, value: &DeValue<'_>, _: &Path) -> Result<Partner, String> {
        match text(self, value)? {
            "auto" => Ok(Partner::Auto),
            "none" => Ok(Partner::None),
            found => Name::parse(found).map(Partner::Named).map_err(|_| not(self, found)),
        }
    }

    fn show(&self, value: &Partner) -> String {
        match value {
            Partner::Auto => written("auto"),
            Partner::None => written("none"),
            Partner::Named(name) => written(name.as_str()),
        }
    }
}

/// Where a relay is.
#[derive(Clone, Copy, Debug)]
pub struct RelayOf;

impl Kind for RelayOf {
    type Value = Relay;

    fn says(&self) -> String {
        "\"none\" or \"HOST:PORT\"".to_owned()
    }

    fn read(&self, value: &DeValue<'_>, _: &Path) -> Result<Relay, String> {
        match text(self, value)? {
            "none" => Ok(Relay::None),
            found => {
                let place = HostPort::parse(found).ok().filter(|place| place.port > 0 && !place.is_any());
                place.map(Relay::At).ok_or_else(|| not(self, found))
            }
        }
    }

    fn show(&self, value: &Relay) -> String {
        match value {
            Relay::None => written("none"),
            Relay::At(place) => written(&place.to_string()),
        }
    }
}
