//! Who may do what. One function decides, and every request passes it; nothing that the other side says about itself
//! goes into it but what was proved: its uid by the kernel or by the peers file, its role by its key.

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verb {
    /// Submit a job, as oneself.
    Submit,
    /// See a job's record, decisions and streams.
    Attach,
    /// Stop a job.
    Stop,
    /// Signal a job's ranks.
    Signal,
    /// Merge a job's results.
    Merge,
    /// See lists of nodes, jobs and subtasks, and why they are so.
    Look,
    /// Take nodes out of use, or back into it.
    Drain,
    /// Have the configuration read again.
    Reload,
    /// Be a node of the cluster.
    Register,
}

impl Verb {
    /// All of them.
    #[cfg(test)]
    pub const ALL: [Self; 9] = [
        Self::Submit,
        Self::Attach,
        Self::Stop,
        Self::Signal,
        Self::Merge,
        Self::Look,
        Self::Drain,
        Self::Reload,
        Self::Register,
    ];

    /// For messages: "user 7 may not …".
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Submit => "submit jobs",
            Self::Attach => "attach to this job",
            Self::Stop => "stop this job",
            Self::Signal => "signal this job",
            Self::Merge => "merge this job",
            Self::Look => "look at this cluster",
            Self::Drain => "drain or resume nodes",
            Self::Reload => "have the configuration read again",
            Self::Register => "be a node of this cluster",
        }
    }
}

/// Who asks, as it was proved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    /// A process of this host, of this user.
    Local(u32),
    /// A command elsewhere, of this user by the peers file.
    Remote(u32),
    /// A node, by its key.
    Node,
}

impl Party {
    /// Its user, where it stands for one.
    #[must_use]
    pub fn uid(self) -> Option<u32> {
        match self {
            Self::Local(uid) | Self::Remote(uid) => Some(uid),
            Self::Node => None,
        }
    }
}

/// Whether `party` may do that; `owner` is the job's, where it is about one. `own` is the daemon's user: it and root run
/// the cluster.
#[must_use]
pub fn may(own: u32, party: Party, verb: Verb, owner: Option<u32>) -> bool {
    let Some(uid) = party.uid() else { return verb == Verb::Register };
    let runs_the_cluster = uid == 0 || uid == own;
    match verb {
        Verb::Submit | Verb::Look => true,
        Verb::Attach | Verb::Stop | Verb::Signal => runs_the_cluster || owner == Some(uid),
        // The merged files are the owner's, and are to be written as the owner.
        Verb::Merge => owner == Some(uid),
        Verb::Drain | Verb::Reload => runs_the_cluster,
        // From elsewhere a node comes with a node's key.
        Verb::Register => matches!(party, Party::Local(_)) && runs_the_cluster,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every party with every verb: a new one must be given its row here.
    #[test]
    fn who_may_do_what() {
        const OWN: u32 = 990;
        const ANN: u32 = 1000;
        const BOB: u32 = 1001;
        // Submit, Attach, Stop, Signal, Merge, Look, Drain, Reload, Register: of a job of Ann's.
        let table = [
            (Party::Local(0), "yes yes yes yes no yes yes yes yes"),
            (Party::Local(OWN), "yes yes yes yes no yes yes yes yes"),
            (Party::Local(ANN), "yes yes yes yes yes yes no no no"),
            (Party::Local(BOB), "yes no no no no yes no no no"),
            (Party::Remote(0), "yes yes yes yes no yes yes yes no"),
            (Party::Remote(OWN), "yes yes yes yes no yes yes yes no"),
            (Party::Remote(ANN), "yes yes yes yes yes yes no no no"),
            (Party::Remote(BOB), "yes no no no no yes no no no"),
            (Party::Node, "no no no no no no no no yes"),
        ];
        for (party, row) in table {
            for (verb, wanted) in Verb::ALL.into_iter().zip(row.split_whitespace()) {
                let word = if may(OWN, party, verb, Some(ANN)) { "yes" } else { "no" };
                assert_eq!(word, wanted, "{party:?} {verb:?}");
            }
            assert_eq!(row.split_whitespace().count(), Verb::ALL.len());
        }
    }

    #[test]
    fn a_job_of_nobody_is_nobodys() {
        for verb in [Verb::Attach, Verb::Stop, Verb::Signal, Verb::Merge] {
            assert!(!may(990, Party::Local(1000), verb, None), "{verb:?}");
        }
    }
}
