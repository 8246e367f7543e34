//! What processes have used: CPU time and the most memory, as /proc tells it while they live.

use crate::error::BenchError;
use nix::sys::resource::{Usage as Resources, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// What one process has used so far.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Usage {
    /// The most memory that was resident, in bytes.
    pub peak_bytes: u64,
    /// User and system time of its own.
    pub cpu: Duration,
    /// User and system time of the children that it has waited for, and theirs.
    pub children_cpu: Duration,
}

/// The processes of a run that are looked at: the one that was started, and the starter among its children.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Watched {
    pub dcrun: Usage,
    /// Of all starters together, if there were several.
    pub starter: Usage,
}

impl Watched {
    /// The most memory of both.
    pub fn peak_bytes(&self) -> u64 {
        self.dcrun.peak_bytes + self.starter.peak_bytes
    }
}

/// Looks at a run now and then; what is seen last stands.
#[derive(Default, Debug)]
pub struct Watch {
    dcrun: Usage,
    starters: BTreeMap<i32, Usage>,
}

impl Watch {
    /// One look. Peaks are kept by the system, so that none is missed but that of the last moment.
    pub fn look(&mut self, dcrun: i32) {
        see(dcrun, &mut self.dcrun);
        for pid in starters_of(dcrun) {
            see(pid, self.starters.entry(pid).or_default());
        }
    }

    pub fn watched(&self) -> Watched {
        let mut starter = Usage::default();
        for usage in self.starters.values() {
            starter.peak_bytes = starter.peak_bytes.max(usage.peak_bytes);
            starter.cpu += usage.cpu;
            starter.children_cpu += usage.children_cpu;
        }
        Watched { dcrun: self.dcrun, starter }
    }
}

fn see(pid: i32, usage: &mut Usage) {
    if let Some((cpu, children_cpu)) = times(pid) {
        (usage.cpu, usage.children_cpu) = (cpu, children_cpu);
    }
    // One that has ended and was not waited for has times, and no memory any more.
    usage.peak_bytes = usage.peak_bytes.max(peak_bytes(pid).unwrap_or(0));
}

/// Of a process and of the children that it has waited for.
fn times(pid: i32) -> Option<(Duration, Duration)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold anything, the next field is the third.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split(' ').collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let time = |a: usize, b: usize| Some(Duration::from_millis(1000 * (ticks(a)? + ticks(b)?) / hertz()));
    Some((time(14, 15)?, time(16, 17)?))
}

/// Ticks a second that /proc counts in.
fn hertz() -> u64 {
    let hertz = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten();
    hertz.and_then(|hertz| u64::try_from(hertz).ok()).filter(|hertz| *hertz > 0).unwrap_or(100)
}

/// The most memory of a process, in bytes.
pub fn peak_bytes(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// A process's children that are starters.
fn starters_of(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let is_starter = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == "dc-starter")
    };
    let pids = |text: String| text.split(' ').filter_map(|word| word.parse().ok()).collect::<Vec<i32>>();
    children.flat_map(pids).filter(is_starter).collect()
}

/// CPU time of this process, and of the children that it has waited for: what is between two of them is exact.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    own: Duration,
    children: Duration,
}

impl Clock {
    pub fn now() -> Result<Self, BenchError> {
        let read = |who| getrusage(who).map(total).map_err(BenchError::os("getrusage"));
        Ok(Self { own: read(UsageWho::RUSAGE_SELF)?, children: read(UsageWho::RUSAGE_CHILDREN)? })
    }

    /// Own and children's time since then.
    pub fn elapsed(&self) -> Result<(Duration, Duration), BenchError> {
        let now = Self::now()?;
        Ok((now.own.saturating_sub(self.own), now.children.saturating_sub(self.children)))
    }
}

fn total(usage: Resources) -> Duration {
    let time = |t: TimeVal| {
        let micros = t.tv_sec().saturating_mul(1_000_000).saturating_add(t.tv_usec());
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    };
    time(usage.user_time()) + time(usage.system_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let mut watch = Watch::default();
        let pid = std::process::id() as i32;
        watch.look(pid);
        let seen = watch.watched();
        assert!(seen.dcrun.peak_bytes > 1 << 16, "{seen:?}");
        assert_eq!(seen.starter, Usage::default());
        assert!(times(pid).is_some() && hertz() >= 100);
    }
}
