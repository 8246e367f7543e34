//! Whether the kernel killed a rank for want of memory. It says so in three places: a count for the whole node, which is
//! looked at first; a count for the control group that this process and its ranks are in; and its log, which names the
//! process, where it may be read. They are looked at only when a rank died of a SIGKILL that dc did not send.

use crate::cgroup::own::{Hierarchy, directory};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Instant;

/// Lines of the log that are read at one look.
const LINES_MAX: usize = 10_000;
/// Processes named by the log that are remembered.
const NAMED_MAX: usize = 1000;
/// The first namespace of processes, whose numbers the log has.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// What the kernel tells of one death.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evidence {
    /// Nobody was killed for want of memory.
    Nothing,
    /// Somebody on this node was, while it ran.
    Somebody,
    /// It was, or what it had started.
    This,
}

/// A count that only rises; each rise is one death's explanation.
#[derive(Debug)]
struct Count {
    explained: u64,
    last: u64,
    risen: Instant,
}

impl Count {
    fn new(now: u64) -> Self {
        Self { explained: now, last: now, risen: Instant::now() }
    }

    /// Takes in what it is now; whether a rise is left that was not seen before this instant.
    fn has_risen(&mut self, now: u64, since: Instant) -> bool {
        if now > self.last {
            self.last = now;
            self.risen = Instant::now();
        }
        self.last > self.explained && since <= self.risen
    }

    fn explain(&mut self) {
        self.explained = (self.explained + 1).min(self.last);
    }
}

/// The three places, as they were when the first rank was launched.
#[derive(Debug)]
pub struct Memory {
    node: Option<Count>,
    group: Option<(PathBuf, Count)>,
    log: Option<File>,
    named: Vec<i32>,
}

impl Memory {
    /// From here on.
    #[must_use]
    pub fn watch() -> Self {
        let group = group_file().and_then(|path| {
            let count = oom_kills(&path)?;
            Some((path, Count::new(count)))
        });
        Self { node: node_kills().map(Count::new), group, log: open_log(), named: Vec::new() }
    }

    /// Why a process that ran since then died of SIGKILL, or, where it is not it that died so, what it had started.
    pub fn explain(&mut self, died: Option<Pid>, since: Instant) -> Evidence {
        if let (Some(node), Some(now)) = (&mut self.node, node_kills())
            && !node.has_risen(now, since)
        {
            return Evidence::Nothing;
        }
        self.read_log();
        let at = died.and_then(|pid| self.named.iter().position(|named| *named == pid.as_raw()));
        let in_group = match &mut self.group {
            Some((path, count)) => oom_kills(path).is_some_and(|now| count.has_risen(now, since)),
            None => false,
        };
        // A log that names others speaks against it; one that names nobody may have lost its lines.
        let is_others = died.is_some() && at.is_none() && !self.named.is_empty();
        if at.is_none() && (!in_group || is_others) {
            return if self.node.is_some() { Evidence::Somebody } else { Evidence::Nothing };
        }
        // Whom a shell's status speaks of, the log named last.
        match (at, died) {
            (Some(at), _) => drop(self.named.swap_remove(at)),
            (None, None) => drop(self.named.pop()),
            _ => {}
        }
        self.node.iter_mut().for_each(Count::explain);
        self.group.iter_mut().for_each(|(_, count)| count.explain());
        Evidence::This
    }

    fn read_log(&mut self) {
        let Some(log) = &mut self.log else { return };
        let mut line = [0; 8192];
        for _ in 0..LINES_MAX {
            match log.read(&mut line) {
                Ok(0) => return,
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&line[..bytes]);
                    if let Some(pid) = named(&text).filter(|pid| !self.named.contains(pid))
                        && self.named.len() < NAMED_MAX
                    {
                        self.named.push(pid);
                    }
                }
                // Lines were lost: the next one is there.
                Err(error) if matches!(error.raw_os_error(), Some(nix::libc::EPIPE | nix::libc::EINVAL)) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

/// The process that a line of the log says was killed for want of memory.
fn named(line: &str) -> Option<i32> {
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse().ok()
    };
    let (_, text) = line.split_once(';')?;
    if let Some((_, rest)) = text.split_once("Killed process ") {
        return number(rest);
    }
    let (_, rest) = text.strip_prefix("oom-kill:")?.rsplit_once(",pid=")?;
    number(rest)
}

/// The log from its end on, where it has our numbers and may be read.
fn open_log() -> Option<File> {
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    if namespace.as_os_str() != FIRST_NAMESPACE {
        return None;
    }
    let mut log = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open("/dev/kmsg").ok()?;
    log.seek(SeekFrom::End(0)).ok()?;
    Some(log)
}

fn node_kills() -> Option<u64> {
    oom_kills("/proc/vmstat".as_ref())
}

/// The file that counts for this process's group: that of the nearest group which counts memory.
fn group_file() -> Option<PathBuf> {
    if let Some((group, _)) = directory(Hierarchy::V1("memory")) {
        return Some(group.join("memory.oom_control"));
    }
    let (group, top) = directory(Hierarchy::V2)?;
    let groups = group.ancestors().take_while(|group| group.starts_with(&top));
    groups.map(|group| group.join("memory.events")).find(|path| path.exists())
}

/// The line `oom_kill N` of a file of counts.
fn oom_kills(path: &std::path::Path) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_log_names_who_was_killed() {
        let line = "3,1017,95,-;Memory cgroup out of memory: Killed process 4242 (hog) total-vm:9kB, UID:0";
        assert_eq!(named(line), Some(4242));
        let line =
            "6,9,5,-;oom-kill:constraint=CONSTRAINT_MEMCG,cpuset=/,task_memcg=/x,task=a,pid=7,pid=77,uid=0";
        assert_eq!(named(line), Some(77));
        for line in ["", "6,1,2,-;eth0: link up, pid=9", "6,1,2,-;Killed process x", "no semicolon pid=3"] {
            assert_eq!(named(line), None, "{line}");
        }
    }

    #[test]
    fn each_rise_explains_one_death() {
        let mut count = Count::new(5);
        let since = Instant::now();
        assert!(!count.has_risen(5, since));
        assert!(count.has_risen(7, since));
        count.explain();
        assert!(count.has_risen(7, since), "two rises, one death");
        let later = Instant::now() + Duration::from_secs(1);
        assert!(!count.has_risen(7, later), "who came later did not die of it");
        count.explain();
        assert!(!count.has_risen(7, since));
    }

    #[test]
    fn a_death_by_others_is_not_for_want_of_memory() {
        let mut memory = Memory::watch();
        if memory.node.is_none() {
            eprintln!("skipped: this kernel does not count who is killed for want of memory");
            return;
        }
        let since = Instant::now();
        let evidence = memory.explain(Some(nix::unistd::getpid()), since);
        assert_ne!(evidence, Evidence::This);
    }
}
