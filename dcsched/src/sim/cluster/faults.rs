//! What may go wrong in a cluster, how often, and the bugs planted to prove that the checkers see.

/// How often things happen, in ten thousand events of the world.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// The scheduler is killed.
    pub scheduler_killed: u32,
    /// A dcd is killed; its starters live on.
    pub dcd_killed: u32,
    /// A starter is killed, and its ranks with it.
    pub starter_killed: u32,
    /// A node loses its power.
    pub node_killed: u32,
    /// A node stops, and goes on later.
    pub node_paused: u32,
    /// A node's link is cut, both ways or one way.
    pub link_cut: u32,
    /// The disk is full for a while.
    pub disk_full: u32,
    /// An operator drains a node, or resumes one.
    pub drained: u32,
    /// A rank dies, in a thousand launches.
    pub rank_killed: u32,
}

impl Faults {
    /// Nothing fails.
    pub const NONE: Self = Self {
        scheduler_killed: 0,
        dcd_killed: 0,
        starter_killed: 0,
        node_killed: 0,
        node_paused: 0,
        link_cut: 0,
        disk_full: 0,
        drained: 0,
        rank_killed: 0,
    };

    /// Everything fails now and then.
    pub const ALL: Self = Self {
        scheduler_killed: 30,
        dcd_killed: 30,
        starter_killed: 20,
        node_killed: 10,
        node_paused: 10,
        link_cut: 30,
        disk_full: 5,
        drained: 10,
        rank_killed: 30,
    };
}

/// A bug put into the core's surroundings on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plant {
    /// None.
    Nothing,
    /// The journal says durable before it is.
    EarlyAcknowledgement,
    /// A crash loses a record that was synced.
    LostRecord,
    /// Starters do not kill at their lease's end.
    NoLeaseKill,
    /// Starters count the lease from when the answer comes.
    LeaseFromReceipt,
    /// The scheduler gives a lost node's work to others before the lease has surely ended.
    NoMargin,
    /// Starters say that a rank they have killed ended well.
    KilledEndedWell,
    /// A registering node does not tell of what it runs.
    SilentNode,
    /// The end of an older attempt is told as the newest one's.
    LateEndAccepted,
    /// A node launches what it was told to before it was cut off, when it is back.
    LateLaunch,
}
