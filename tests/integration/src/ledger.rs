//! The books that the kernel `fixtures/ledger.c` keeps, and what must hold of them whatever has failed: at most one
//! attempt of a subtask at a time, no CPU given twice, every subtask's result once and right.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the books are.
#[derive(Clone, Debug)]
pub struct Ledger {
    dir: PathBuf,
}

/// A process of the kernel: an attempt, as it wrote of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// The job's uuid.
    pub job: String,
    /// The subtask.
    pub subtask: u32,
    /// The attempt.
    pub attempt: u32,
    /// Where it ran.
    pub host: String,
    /// Its process id there.
    pub pid: i32,
    /// When it began, on CLOCK_BOOTTIME.
    pub start_ns: u64,
    /// When it was last seen alive. It may have lived longer, and never shorter.
    pub alive_ns: u64,
    /// The step that it went on from.
    pub from: u64,
    /// CPUs that it was given, by DC_CPUS.
    pub cpus: BTreeSet<u32>,
    /// CPUs that it was bound to.
    pub bound: BTreeSet<u32>,
    /// The digest of the result that it handed over, if it did.
    pub digest: Option<String>,
    /// It came to its end by itself.
    pub has_ended: bool,
}

impl Ledger {
    /// In this directory, which is made where it is not there.
    #[must_use]
    pub fn new(dir: impl AsRef<Path>) -> Self {
        fs::create_dir_all(dir.as_ref()).unwrap();
        Self { dir: dir.as_ref().to_owned() }
    }

    /// For the kernel's variable `LEDGER`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The lines so far that begin with `word`: their fields.
    #[must_use]
    pub fn lines(&self, word: &str) -> Vec<BTreeMap<String, String>> {
        let text = String::from_utf8_lossy(&fs::read(self.dir.join("book")).unwrap_or_default()).into_owned();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let ours = whole.filter_map(|line| line.trim_end().strip_prefix(word)?.strip_prefix(' '));
        let field =
            |field: &str| field.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        ours.map(|line| line.split(' ').filter_map(field).collect()).collect()
    }

    /// All attempts so far, in the order of their starts.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        type Key = (String, String, String);
        let key = |line: &BTreeMap<String, String>| -> Key {
            (
                line["job"].clone(),
                format!("{} {}", line["subtask"], line["attempt"]),
                format!("{} {}", line["host"], line["pid"]),
            )
        };
        let by_key = |word: &str| -> BTreeMap<Key, BTreeMap<String, String>> {
            self.lines(word).into_iter().map(|line| (key(&line), line)).collect()
        };
        let (results, ends) = (by_key("result"), by_key("end"));
        let entry = |line: &BTreeMap<String, String>| {
            let at = |line: &BTreeMap<String, String>| line["at"].parse::<u64>().unwrap();
            let start_ns = at(line);
            let name = ["job", "subtask", "attempt", "host", "pid"].map(|name| line[name].as_str()).join(".");
            let alive = fs::read_to_string(self.dir.join("alive").join(name)).unwrap_or_default();
            let (result, end) = (results.get(&key(line)), ends.get(&key(line)));
            Entry {
                job: line["job"].clone(),
                subtask: line["subtask"].parse().unwrap(),
                attempt: line["attempt"].parse().unwrap(),
                host: line["host"].clone(),
                pid: line["pid"].parse().unwrap(),
                start_ns,
                alive_ns: alive.parse().unwrap_or(start_ns).max(end.map_or(start_ns, at)),
                from: line["from"].parse().unwrap(),
                cpus: crate::shown::cpu_list(&line["cpus"]).into_iter().collect(),
                bound: crate::shown::cpu_list(&line["bound"]).into_iter().collect(),
                digest: result.map(|line| line["digest"].clone()),
                has_ended: end.is_some(),
            }
        };
        let mut entries: Vec<Entry> = self.lines("start").iter().map(entry).collect();
        entries.sort_by_key(|entry| entry.start_ns);
        entries
    }

    /// All that is wrong with the books, a line each. CPUs are looked at where the kernel was told of some.
    #[must_use]
    pub fn wrongs(&self) -> Vec<String> {
        wrongs(&self.entries())
    }

    /// As [`Ledger::wrongs`], where hosts stood still: what had begun on one of them before a moment (on CLOCK_BOOTTIME)
    /// counts as ended then. It may come to life again for an instant before it is killed; its result counts no more.
    #[must_use]
    pub fn wrongs_but(&self, still: &[(&str, u64)]) -> Vec<String> {
        let mut entries = self.entries();
        for entry in &mut entries {
            for (host, at_ns) in still {
                if entry.host == *host && entry.start_ns < *at_ns {
                    entry.alive_ns = entry.alive_ns.min(*at_ns);
                }
            }
        }
        wrongs(&entries)
    }

    /// Now, as the books have it: CLOCK_BOOTTIME.
    #[must_use]
    pub fn now_ns() -> u64 {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).unwrap();
        now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
    }

    /// Nothing is wrong with the books.
    #[track_caller]
    pub fn is_right(&self) {
        let wrongs = self.wrongs();
        assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
    }

    /// A list of so many subtasks, as `--subtasks` reads it.
    #[must_use]
    pub fn list(subtasks: u32) -> String {
        (0..subtasks).map(|subtask| format!("s{subtask} 1\n")).collect()
    }

    /// The digest that a subtask's result must have.
    #[must_use]
    pub fn digest(subtask: u32, steps: u64) -> String {
        let mut chain = 0x6463 + u64::from(subtask);
        for _ in 0..steps {
            chain = chain.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            chain ^= chain >> 29;
        }
        format!("{chain:016x}")
    }

    /// What is wrong with a merged file of `subtasks` results, each of the steps that `steps` tells: a line each, in order.
    #[must_use]
    pub fn wrongs_of_merged(text: &str, subtasks: u32, steps: impl Fn(u32) -> u64) -> Vec<String> {
        let lines: Vec<&str> = text.lines().collect();
        let mut wrongs = Vec::new();
        if lines.len() != subtasks as usize {
            wrongs.push(format!("{} results of {subtasks} subtasks", lines.len()));
        }
        for (subtask, line) in (0..subtasks).zip(&lines) {
            let wanted = format!("{subtask} {}", Self::digest(subtask, steps(subtask)));
            if *line != wanted {
                wrongs.push(format!("{line:?} in the place of {wanted:?}"));
            }
        }
        wrongs
    }
}

/// All that is wrong with these attempts.
#[must_use]
pub fn wrongs(entries: &[Entry]) -> Vec<String> {
    let mut wrongs = Vec::new();
    let named = |entry: &Entry| {
        format!(
            "{} subtask {} attempt {} on {} (pid {}, {} to {})",
            entry.job, entry.subtask, entry.attempt, entry.host, entry.pid, entry.start_ns, entry.alive_ns
        )
    };
    let mut numbers = BTreeMap::new();
    let mut digests = BTreeMap::new();
    for (at, one) in entries.iter().enumerate() {
        if let Some(other) = numbers.insert((&one.job, one.subtask, one.attempt), one) {
            wrongs.push(format!("one attempt twice: {} and {}", named(other), named(one)));
        }
        if let Some(digest) = &one.digest
            && let Some(other) = digests.insert((&one.job, one.subtask), digest)
            && other != digest
        {
            wrongs.push(format!("two results: {other} and {digest} of {}", named(one)));
        }
        // In the order of their starts: those that began while this one lived.
        for other in entries[at + 1..].iter().take_while(|other| other.start_ns < one.alive_ns) {
            if (&one.job, one.subtask) == (&other.job, other.subtask) {
                wrongs.push(format!("two attempts at once: {} and {}", named(one), named(other)));
            }
            if one.host == other.host && !one.cpus.is_disjoint(&other.cpus) {
                let cpus: Vec<_> = one.cpus.intersection(&other.cpus).collect();
                wrongs.push(format!("CPUs {cpus:?} given twice: {} and {}", named(one), named(other)));
            }
        }
    }
    wrongs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(subtask: u32, attempt: u32, host: &str, ns: (u64, u64), cpu: u32) -> Entry {
        Entry {
            job: "j".into(),
            subtask,
            attempt,
            host: host.into(),
            pid: 10 + ns.0 as i32,
            start_ns: ns.0,
            alive_ns: ns.1,
            cpus: BTreeSet::from([cpu]),
            ..Entry::default()
        }
    }

    #[test]
    fn what_is_right_has_no_wrongs() {
        let right = [
            entry(0, 1, "n1", (1, 5), 0),
            entry(1, 1, "n1", (2, 9), 1),
            entry(2, 1, "n2", (3, 9), 0),
            entry(0, 2, "n1", (6, 7), 0),
        ];
        assert_eq!(wrongs(&right), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_seen() {
        let two = |other: Entry| wrongs(&[entry(0, 1, "n1", (1, 5), 0), other]);
        let is_one = |found: Vec<String>, what: &str| {
            assert!(found.len() == 1 && found[0].starts_with(what), "{found:?}");
        };
        is_one(two(entry(0, 2, "n2", (4, 9), 0)), "two attempts at once");
        is_one(two(entry(3, 1, "n1", (4, 9), 0)), "CPUs [0] given twice");
        is_one(two(entry(0, 1, "n2", (6, 9), 0)), "one attempt twice");
        let with = |digest: &str, mut entry: Entry| {
            entry.digest = Some(digest.into());
            entry
        };
        let both = [with("a", entry(0, 1, "n1", (1, 5), 0)), with("b", entry(0, 2, "n1", (6, 7), 0))];
        is_one(wrongs(&both), "two results");
    }

    #[test]
    fn a_merged_file_is_compared_line_by_line() {
        let text: String =
            (0..3).map(|subtask| format!("{subtask} {}\n", Ledger::digest(subtask, 7))).collect();
        assert!(Ledger::wrongs_of_merged(&text, 3, |_| 7).is_empty());
        assert_eq!(Ledger::wrongs_of_merged(&text, 4, |_| 7).len(), 1);
        assert_eq!(Ledger::wrongs_of_merged(&text, 3, |subtask| if subtask == 1 { 8 } else { 7 }).len(), 1);
        assert_eq!(Ledger::wrongs_of_merged("", 2, |_| 7).len(), 1);
        let twice = text.replacen("1 ", "0 ", 1);
        assert_eq!(Ledger::wrongs_of_merged(&twice, 3, |_| 7).len(), 1);
    }
}
