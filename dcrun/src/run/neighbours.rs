//! Other dcruns on this host: once ranks run, this one says which CPUs it uses, and tells whose they are too.

use super::Run;
use crate::request::Verbosity;
use dc_model::{CpuSet, JobUuid};
use dcd::claims::{Claim, Claims, Neighbour, Says, overlapping};
use nix::unistd::{Uid, User};

/// Neighbours told of by a line each; more are counted.
const TOLD_MAX: usize = 3;

/// How far the claim is.
#[derive(Debug, Default)]
pub(super) enum Claimed {
    /// Nothing runs yet.
    #[default]
    NotYet,
    /// Ranks run: as soon as nothing more urgent is to be done.
    Due,
    /// Made, or not to be had: a host without a place for claims is none of the user's errors.
    Settled {
        /// Held for as long as the run lives.
        _claim: Option<Claim>,
    },
}

impl Run {
    /// Makes the claim when it is due. After the first launches, so that they do not wait for it.
    pub(super) fn maybe_claim(&mut self) {
        if !matches!(self.claimed, Claimed::Due) {
            return;
        }
        let running = self.job.all_running();
        let mut cpus = running.iter().fold(CpuSet::new(), |all, rank| all.or(&rank.placement.cpus));
        if cpus.is_empty() {
            // Not bound: any of them.
            cpus = self.job.spec().topology.cpus();
        }
        let outer = std::env::var("DC_JOB_UUID").ok().and_then(|uuid| JobUuid::parse(&uuid));
        let mut says = Says {
            pid: std::process::id(),
            job: self.record.uuid,
            within: outer.into_iter().collect(),
            cpus,
        };
        let Ok(claims) = Claims::of_host() else {
            self.claimed = Claimed::Settled { _claim: None };
            return;
        };
        let neighbours = claims.neighbours().unwrap_or_default();
        // The job around this one knows the jobs around it.
        if let Some(around) = neighbours.iter().find(|other| Some(other.says.job) == outer) {
            says.within.extend(&around.says.within);
        }
        if self.view.verbosity > Verbosity::Quiet {
            lines(&overlapping(&neighbours, &says)).into_iter().for_each(|line| self.console.say(line));
        }
        self.claimed = Claimed::Settled { _claim: claims.claim(&says).ok() };
    }
}

fn lines(shared: &[(&Neighbour, CpuSet)]) -> Vec<String> {
    let mut lines: Vec<String> = shared
        .iter()
        .take(TOLD_MAX)
        .map(|(other, cpus)| {
            let user = match User::from_uid(Uid::from_raw(other.uid)) {
                Ok(Some(user)) => user.name.escape_debug().to_string(),
                _ => format!("number {}", other.uid),
            };
            let cpus = if cpus.len() == 1 { format!("CPU {cpus} is") } else { format!("CPUs {cpus} are") };
            format!("{cpus} used by another dcrun as well: process {} of user {user}", other.says.pid)
        })
        .collect();
    if shared.len() > TOLD_MAX {
        lines.push(format!("and by {} more", shared.len() - TOLD_MAX));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_told_and_the_rest_counted() {
        let says =
            Says { pid: 7, job: JobUuid([1; 16]), within: Vec::new(), cpus: CpuSet::from_iter([0, 1]) };
        let other = Neighbour { uid: 0, says };
        let one = (&other, CpuSet::from_iter([1]));
        assert_eq!(
            lines(std::slice::from_ref(&one)),
            ["CPU 1 is used by another dcrun as well: process 7 of user root"]
        );
        let many = lines(&vec![one; 5]);
        assert_eq!(many.len(), TOLD_MAX + 1);
        assert_eq!(many[TOLD_MAX], "and by 2 more");
        assert!(lines(&[]).is_empty());
    }
}
