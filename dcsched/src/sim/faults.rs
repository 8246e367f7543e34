//! What may go wrong in a run, how often, and the bugs planted to prove that the checkers see.

/// How often things fail, in a thousand of their chances.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// An attempt is killed by a signal.
    pub rank_killed: u32,
    /// An attempt exits with a status other than 0.
    pub rank_fails: u32,
    /// The starter is killed, for each event of the world.
    pub starter_killed: u32,
    /// dcrun is killed, for each event of the world.
    pub dcrun_killed: u32,
    /// The job is told to stop, for each event of the world.
    pub stopped: u32,
}

impl Faults {
    /// Nothing fails.
    pub const NONE: Self =
        Self { rank_killed: 0, rank_fails: 0, starter_killed: 0, dcrun_killed: 0, stopped: 0 };

    /// Everything fails now and then.
    pub const ALL: Self =
        Self { rank_killed: 80, rank_fails: 40, starter_killed: 8, dcrun_killed: 12, stopped: 1 };
}

/// A bug put into the run's surroundings on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant {
    /// None.
    Nothing,
    /// The journal says durable before it is.
    EarlyAcknowledgement,
    /// Ranks live on when their starter dies.
    NoDeathSignal,
    /// The end of any attempt is reported as the running one's.
    LateEndAccepted,
    /// A crash loses a record that was synced.
    LostRecord,
    /// A rank is launched on another core than the core chose.
    WrongCore,
    /// A rank takes more memory than it said.
    MoreMemory,
    /// Each rank of a gang goes on from its own newest checkpoint.
    MixedSet,
    /// A follower is launched before its forerunner has ended.
    NoWaiting,
    /// The core believes in twice the memory there is: as if what ranks give back were given back twice.
    MemoryTwice,
    /// A rank of a gang is forgotten at its launch.
    RankForgotten,
    /// Restarts go on from the newest checkpoint, whatever failed from it.
    SuspectForgotten,
    /// The core believes in more restarts than were asked for.
    MoreRestarts,
    /// The end of a merge that was asked for by an earlier run is taken for that of this one's.
    StaleMerge,
    /// Failures of every kind are tried again.
    AnyFailure,
}
