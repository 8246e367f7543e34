//! Other dcruns on this host: once ranks run, this one tells whose CPUs it shares.

use super::Run;
use dc_model::CpuSet;
use dcd::claims::{Neighbour, overlapping};
use nix::unistd::{Uid, User};

/// Neighbours told of; more are counted.
const TOLD_MAX: usize = 3;

/// How far the telling is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Telling {
    /// Nothing runs yet.
    #[default]
    NotYet,
    /// Ranks run: as soon as nothing more urgent is to be done.
    Due,
    /// All is told.
    Done,
}

impl Run {
    /// Tells of the neighbours when it is due. After the first launches: to ask for users' names may take a while.
    pub(super) fn maybe_tell_neighbours(&mut self) {
        if self.telling != Telling::Due {
            return;
        }
        self.telling = Telling::Done;
        for detail in &self.claimed.details {
            self.front.tell_detail(|| detail.clone());
        }
        if self.claimed.shared_cores > 0 {
            let shared = overlapping(&self.claimed.neighbours, &self.claimed.says);
            line(&shared).into_iter().for_each(|line| self.front.say_if_not_quiet(line));
        }
    }
}

/// One line for all of them.
fn line(shared: &[(&Neighbour, CpuSet)]) -> Option<String> {
    let cpus = shared.iter().fold(CpuSet::new(), |all, (_, cpus)| all.or(cpus));
    let cpus = match cpus.len() {
        0 => return None,
        1 => format!("CPU {cpus} is"),
        _ => format!("CPUs {cpus} are"),
    };
    let others = if shared.len() == 1 { "another dcrun" } else { "other dcruns" };
    let mut who: Vec<String> = shared.iter().take(TOLD_MAX).map(|(other, _)| name(other)).collect();
    if shared.len() > TOLD_MAX {
        who.push(format!("and {} more", shared.len() - TOLD_MAX));
    }
    Some(format!("{cpus} used by {others} as well: {}", who.join(", ")))
}

fn name(other: &Neighbour) -> String {
    let user = match User::from_uid(Uid::from_raw(other.uid)) {
        Ok(Some(user)) => user.name.escape_debug().to_string(),
        _ => format!("number {}", other.uid),
    };
    format!("process {} of user {user} (job {})", other.says.pid, other.says.name.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::JobUuid;
    use dcd::claims::Says;

    #[test]
    fn a_few_are_told_and_the_rest_counted() {
        let says = Says {
            pid: 7,
            job: JobUuid([1; 16]),
            name: "wa\u{1b}ve".to_owned(),
            within: Vec::new(),
            cpus: CpuSet::from_iter([0, 1]),
        };
        let other = Neighbour { uid: 0, says };
        let one = (&other, CpuSet::from_iter([1]));
        assert_eq!(
            line(std::slice::from_ref(&one)).unwrap(),
            "CPU 1 is used by another dcrun as well: process 7 of user root (job wa\\u{1b}ve)"
        );
        let many = line(&vec![one; 5]).unwrap();
        assert!(many.starts_with("CPU 1 is used by other dcruns as well: process 7"), "{many}");
        assert!(many.ends_with("and 2 more"), "{many}");
        assert!(line(&[]).is_none());
    }
}
