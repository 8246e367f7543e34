//! Whether ranks still run where they were put: a kernel, or its MPI, may bind itself anew. Looked at a second after
//! the launch, then now and then; told once an attempt.

use super::Starter;
use super::table::AttemptKey;
use super::timers::Timer;
use crate::launch::Refused;
use crate::process::calls::affinity;
use dc_model::wire::{FromStarter, Launch};
use dc_model::{CpuSet, LaunchStage};
use nix::errno::Errno;
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// The first look after the launch. Ranks that are shorter cost nothing.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// The looks after that, spread so that not all ranks are looked at in one turn.
const NEXT_LOOK: Duration = Duration::from_secs(30);
const SPREAD_MS: u64 = 5000;

impl Starter {
    /// An attempt was launched: it will be looked at.
    pub(super) fn want_first_look(&mut self, key: AttemptKey) {
        if let Some(process) = self.table.get(key).and_then(|entry| entry.process) {
            self.timers.set(process.since + FIRST_LOOK, Timer::Look(key));
        }
    }

    /// A launch was refused: where its CPUs have gone from the cpuset, or offline, since they were chosen, it is given
    /// what is allowed now. Whether another try may go better.
    pub(super) fn maybe_move(&mut self, key: AttemptKey, refused: Refused) -> bool {
        let is_gone = refused.stage == LaunchStage::Affinity && refused.errno == Errno::EINVAL as i32;
        let Some(entry) = self.table.get_mut(key).filter(|_| is_gone) else { return false };
        let launch = &mut entry.launch;
        let allowed = affinity(Pid::from_raw(0)).unwrap_or_default();
        if allowed.is_empty() || allowed.intersects(&launch.cpus) {
            return false;
        }
        launch.numa = None;
        let wanted = std::mem::replace(&mut launch.cpus, allowed.clone());
        let (subtask, rank) = (launch.subtask, launch.rank);
        self.control.tell(&FromStarter::Rebound { subtask, rank, wanted, found: allowed });
        true
    }

    /// Looks once, and tells what it finds.
    pub(super) fn on_look(&mut self, key: AttemptKey, now: Instant) {
        let Some(entry) = self.table.get(key) else { return };
        let (Some(process), None) = (entry.process, &entry.report) else { return };
        if let Some(job) = &mut self.job {
            // A rank that runs so long may make checkpoints.
            job.wake_keeper(self.lookups.way_back());
        }
        if entry.launch.cpus.is_empty() || !self.binds {
            return;
        }
        let launch = &entry.launch;
        if let Some(found) = elsewhere(process.pid, launch) {
            self.control.tell(&FromStarter::Rebound {
                subtask: launch.subtask,
                rank: launch.rank,
                wanted: launch.cpus.clone(),
                found,
            });
            return;
        }
        let spread = Duration::from_millis(u64::from(launch.rank.0).wrapping_mul(997) % SPREAD_MS);
        self.timers.set(now + NEXT_LOOK + spread, Timer::Look(key));
    }
}

/// Where the threads of a process may run, if that is not where it was put. A runtime that binds each thread to one
/// of the CPUs it was given is as it should be; as many threads as cores on fewer CPUs than cores are not.
fn elsewhere(pid: Pid, launch: &Launch) -> Option<CpuSet> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let sets: Vec<CpuSet> = threads
        .filter_map(|thread| thread.file_name().to_str()?.parse().ok())
        .filter_map(|thread| affinity(Pid::from_raw(thread)).ok())
        .collect();
    let found = sets.iter().fold(CpuSet::new(), |all, set| all.or(set));
    let narrowed = sets.len() >= launch.cores as usize && found.len() < launch.cores as usize;
    // A process that is just ending has no threads to ask.
    (!sets.is_empty() && (narrowed || !found.is_subset(&launch.cpus))).then_some(found)
}
