//! The control group for all that the starter starts. Entering it makes the whole system wait for a moment once, so
//! that it is done when the job has shown that it lasts, or at once where the user wants it.

use super::Starter;
use super::timers::Timer;
use crate::cgroup::group::{Group, VARIABLE};
use crate::process::children;
use dc_model::wire::FromStarter;
use nix::unistd::Pid;
use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// How long a job has to last.
const LASTING: Duration = Duration::from_secs(1);
/// Looks at what runs, until all of it is in.
const LOOKS_MAX: usize = 64;

impl Starter {
    /// The job is known: says when it gets its group.
    pub(super) fn want_group(&mut self) {
        match std::env::var_os(VARIABLE).as_deref().and_then(|value| value.to_str()) {
            Some("0") => {}
            Some("1") => self.enter_group(),
            _ => self.timers.set(Instant::now() + LASTING, Timer::Group),
        }
    }

    /// Makes it, and puts all that runs into it, this process first.
    pub(super) fn enter_group(&mut self) {
        let Some(job) = &self.job else { return };
        let made = match &self.serve {
            Some(serve) => Group::make_for(job.uuid, serve.starter_inc),
            None => Group::make(job.uuid),
        };
        let Some(group) = made else { return };
        let me = nix::unistd::getpid();
        if group.take(me).is_err() {
            group.remove();
            return;
        }
        let dir = group.dir().as_os_str().as_bytes().to_vec();
        if let Some(serve) = &self.serve {
            serve.note_group(&dir);
        }
        self.control.tell(&FromStarter::Grouped { dir });
        let mut taken = HashSet::new();
        for _ in 0..LOOKS_MAX {
            let strange: Vec<Pid> = descendants(me).into_iter().filter(|pid| taken.insert(*pid)).collect();
            if strange.is_empty() {
                break;
            }
            // One that ends meanwhile needs no group.
            strange.into_iter().for_each(|pid| drop(group.take(pid)));
        }
        self.group = Some(group);
    }

    /// Everything has ended, and dcrun is not there to remove it.
    pub(super) fn leave_group(&mut self) {
        let Some(group) = self.group.take() else { return };
        if group.leave().is_ok() {
            let _ = group.kill();
        }
    }
}

fn descendants(pid: Pid) -> Vec<Pid> {
    let mut found = children::of(pid).unwrap_or_default();
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children::of(pid).unwrap_or_default());
        next += 1;
    }
    found
}
