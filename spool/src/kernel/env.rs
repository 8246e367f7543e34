//! What the environment of a rank says, read into values; the variables themselves are listed in dc-kernel(7).

use dc_model::domain::Meaning;
use dc_model::{Attempt, Block, JobUuid, Rank, SubtaskId};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// Where a kernel that is run by hand keeps its files when `DC_SPOOL` does not say.
pub const SPOOL_BY_HAND: &str = "./dc-spool";

/// A variable that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum EnvError {
    /// It is not what it should be.
    #[error("{name}={value:?}: not {expected}")]
    Malformed {
        /// The variable.
        name: &'static str,
        /// What it holds, shown escaped.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// It is missing beside the others of a job.
    #[error(
        "{0} is not set though DC_JOB_UUID is: pass dc's variables on to the kernel all together, or none"
    )]
    Missing(&'static str),
}

/// The variables, checked one by one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment {
    /// The job; none by hand.
    pub job: Option<JobUuid>,
    /// The spool directory.
    pub spool: PathBuf,
    /// The subtask; 0 by hand where nothing else is said.
    pub subtask: SubtaskId,
    /// The attempt; always there with a job.
    pub attempt: Option<Attempt>,
    /// The lane.
    pub rank: Rank,
    /// The cost.
    pub cells: Option<u64>,
    /// The block.
    pub block: Option<Block>,
    /// Columns and rows of the grid.
    pub grid: Option<(u32, u32)>,
    /// The mask file.
    pub domain: Option<PathBuf>,
    /// How its values are taken.
    pub domain_meaning: Meaning,
    /// The checkpoint to go on from.
    pub restart_from: Option<PathBuf>,
    /// The one before it.
    pub restart_from_older: Option<PathBuf>,
    /// The progress file.
    pub progress: Option<PathBuf>,
    /// The interval between checkpoints that the user chose.
    pub interval: Option<Duration>,
}

impl Environment {
    /// Reads them through `get`. An empty variable is one that is not set.
    ///
    /// # Errors
    /// The first variable that is malformed, or missing beside `DC_JOB_UUID`.
    pub fn read(get: impl Fn(&'static str) -> Option<OsString>) -> Result<Self, EnvError> {
        let get = |name| get(name).filter(|value| !value.is_empty());
        let path = |name| get(name).map(PathBuf::from);
        let job = parse(&get, "DC_JOB_UUID", "a uuid", JobUuid::parse)?;
        let subtask = parse(&get, "DC_SUBTASK", "a subtask's number", number)?.map(SubtaskId);
        let attempt = parse(&get, "DC_ATTEMPT", "an attempt's number from 1 on", |text| {
            number(text).filter(|n| *n > 0).map(Attempt)
        })?;
        let spool = path("DC_SPOOL");
        if job.is_some() {
            let needed = [
                ("DC_SPOOL", spool.is_some()),
                ("DC_SUBTASK", subtask.is_some()),
                ("DC_ATTEMPT", attempt.is_some()),
            ];
            if let Some((name, _)) = needed.into_iter().find(|(_, there)| !there) {
                return Err(EnvError::Missing(name));
            }
        }
        Ok(Self {
            job,
            spool: spool.unwrap_or_else(|| SPOOL_BY_HAND.into()),
            subtask: subtask.unwrap_or_default(),
            attempt,
            rank: Rank(parse(&get, "DC_RANK", "a rank's number", number)?.unwrap_or_default()),
            cells: parse(&get, "DC_CELLS", "a number of cells", digits)?,
            block: parse(&get, "DC_BLOCK", "\"X0 Y0 X1 Y1\"", block)?,
            grid: parse(&get, "DC_GRID", "\"NX NY\"", |text| {
                numbers::<2>(text).filter(|n| !n.contains(&0)).map(|[nx, ny]| (nx, ny))
            })?,
            domain: path("DC_DOMAIN"),
            domain_meaning: parse(&get, "DC_DOMAIN_KIND", "mask or weights", |text| match text {
                "mask" => Some(Meaning::Mask),
                "weights" => Some(Meaning::Weights),
                _ => None,
            })?
            .unwrap_or_default(),
            restart_from: path("DC_RESTART_FROM"),
            restart_from_older: path("DC_RESTART_FROM_OLDER"),
            progress: path("DC_PROGRESS"),
            interval: parse(&get, "DC_CHECKPOINT_INTERVAL", "a number of seconds", seconds)?,
        })
    }
}

fn parse<T>(
    get: &impl Fn(&'static str) -> Option<OsString>,
    name: &'static str,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, EnvError> {
    let Some(value) = get(name) else { return Ok(None) };
    let parsed = value.to_str().and_then(read);
    parsed.map(Some).ok_or_else(|| EnvError::Malformed {
        name,
        value: value.to_string_lossy().into_owned(),
        expected,
    })
}

fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn number(text: &str) -> Option<u32> {
    digits(text)
}

fn numbers<const N: usize>(text: &str) -> Option<[u32; N]> {
    let all: Option<Vec<u32>> = text.split(' ').map(number).collect();
    all?.try_into().ok()
}

fn block(text: &str) -> Option<Block> {
    let [x0, y0, x1, y1] = numbers(text)?;
    (x0 < x1 && y0 < y1).then_some(Block { x0, y0, x1, y1 })
}

/// Seconds with or without a fraction; nothing negative, infinite or beyond what a duration holds.
fn seconds(text: &str) -> Option<Duration> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    plain.then(|| text.parse().ok()).flatten().and_then(|s| Duration::try_from_secs_f64(s).ok())
}

/// For messages: which subtask and attempt this is.
impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "subtask {}", self.subtask)?;
        self.attempt.map_or(Ok(()), |attempt| write!(f, ", attempt {attempt}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&'static str, &str)]) -> Result<Environment, EnvError> {
        Environment::read(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v)))
    }

    const UUID: &str = "00010203-0405-0607-0809-0a0b0c0d0eff";
    const JOB: [(&str, &str); 4] =
        [("DC_JOB_UUID", UUID), ("DC_SPOOL", "/s"), ("DC_SUBTASK", "7"), ("DC_ATTEMPT", "2")];

    #[test]
    fn by_hand_nothing_is_needed() {
        let env = read(&[]).unwrap();
        assert_eq!((env.job, env.subtask, env.attempt), (None, SubtaskId(0), None));
        assert_eq!(env.spool, PathBuf::from("./dc-spool"));
        assert_eq!(read(&[("DC_SPOOL", "")]).unwrap(), env, "empty is unset");
    }

    #[test]
    fn a_job_says_all() {
        let mut vars = JOB.to_vec();
        vars.extend([
            ("DC_RANK", "3"),
            ("DC_CELLS", "18446744073709551615"),
            ("DC_BLOCK", "1 2 3 4"),
            ("DC_GRID", "10 20"),
            ("DC_CHECKPOINT_INTERVAL", "0.25"),
            ("DC_RESTART_FROM", "/a"),
        ]);
        let env = read(&vars).unwrap();
        assert_eq!((env.subtask, env.attempt, env.rank), (SubtaskId(7), Some(Attempt(2)), Rank(3)));
        assert_eq!(env.block, Some(Block { x0: 1, y0: 2, x1: 3, y1: 4 }));
        assert_eq!((env.cells, env.grid), (Some(u64::MAX), Some((10, 20))));
        assert_eq!(env.interval, Some(Duration::from_millis(250)));
        assert_eq!((env.restart_from, env.restart_from_older), (Some("/a".into()), None));
    }

    #[test]
    fn half_a_job_is_refused() {
        for missing in 1..4 {
            let mut vars = JOB.to_vec();
            let (name, _) = vars.remove(missing);
            assert_eq!(read(&vars), Err(EnvError::Missing(name)));
        }
    }

    #[test]
    fn malformed_values_are_named() {
        for (name, value) in [
            ("DC_JOB_UUID", "x"),
            ("DC_SUBTASK", "-1"),
            ("DC_SUBTASK", "4294967296"),
            ("DC_ATTEMPT", "0"),
            ("DC_RANK", "+1"),
            ("DC_CELLS", "1.5"),
            ("DC_BLOCK", "1 2 3"),
            ("DC_BLOCK", "3 2 3 4"),
            ("DC_BLOCK", "1  2 3 4"),
            ("DC_GRID", "0 5"),
            ("DC_DOMAIN_KIND", "MASK"),
            ("DC_CHECKPOINT_INTERVAL", "-1"),
            ("DC_CHECKPOINT_INTERVAL", "inf"),
            ("DC_CHECKPOINT_INTERVAL", "."),
            ("DC_CHECKPOINT_INTERVAL", "99999999999999999999999999"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{name}={value:?}: not ")), "{error}");
        }
        assert!(read(&[("DC_RANK", "\u{1b}[31m")]).unwrap_err().to_string().contains("\\u{1b}"));
    }
}
