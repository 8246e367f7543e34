//! The decisions of a cluster's scheduler, one record each. dcsched's journal keeps them (docs/journal-format.md);
//! replaying them rebuilds jobs and nodes. Who has which cores is no decision that is kept: nodes say what they run.

use super::Wants;
use crate::{JobUuid, Record};
use std::sync::Arc;

/// A decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClusterRecord {
    /// A job was taken; once it is on disk its command is told so.
    Submitted {
        /// Its number, never used again.
        job: u64,
        /// Its name in every file.
        uuid: JobUuid,
        /// Its command's key: the same again is the same job.
        key: [u8; 16],
        /// Its owner.
        uid: u32,
        /// What it asks of the cluster.
        wants: Box<Wants>,
        /// Its job record, as spool has it.
        record: Arc<[u8]>,
    },
    /// A decision within a job.
    Job {
        /// Its number.
        job: u64,
        /// The decision.
        record: Record,
    },
    /// Nothing more is known of a job that has ended.
    Forgotten {
        /// Its number.
        job: u64,
    },
    /// A node registered for the first time.
    NodeSeen {
        /// Its number, never used again.
        node: u32,
        /// Its name.
        name: String,
    },
    /// A node is there, and may be given work.
    NodeUp {
        /// Its number.
        node: u32,
    },
    /// A node's lease has ended: nothing of dc runs there.
    NodeLost {
        /// Its number.
        node: u32,
    },
    /// Nodes may hold leases as long as this from now on: a scheduler that starts again waits so long for them, whatever
    /// its configuration says by then.
    LeaseTold {
        /// The longest one, in ns.
        lease_ns: u64,
    },
    /// An operator wants nothing new on a node, or wants it used again.
    NodeDrain {
        /// Its number.
        node: u32,
        /// Nothing new.
        drain: bool,
        /// Why, for people.
        reason: String,
    },
}
