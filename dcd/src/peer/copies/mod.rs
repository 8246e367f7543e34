//! Copies of checkpoints on other nodes, so that what a lost node has computed is not lost. Each node gives the newest
//! checkpoint of each of its subtasks to the next node by name ([`watch`]); before an attempt that is not the first is
//! launched, all nodes are asked for newer ones than are here ([`bring`]).
//!
//! Only checkpoints of attempts before the one that is launched are taken: those are ended for the scheduler. A checkpoint
//! is right or it is not there: every copy is verified on arrival, and again when it is chosen.

pub(crate) mod bring;
pub(crate) mod serve;
mod store;
mod watch;

pub(crate) use store::Store;

use super::reach::Reach;
use crate::daemon::Mailbox;
use dc_model::JobUuid;
use dc_model::cluster::data::NodeAddress;
use std::path::{Path, PathBuf};

/// What the thread is told.
#[derive(Debug)]
pub(crate) enum ToWatch {
    /// The nodes are others.
    Peers,
    /// A job has a directory here, or will have one.
    Job(JobUuid),
    /// It has none any more; `true`: nobody needs its checkpoints.
    Gone(JobUuid, bool),
}

/// The daemon's end.
#[derive(Clone, Debug)]
pub(crate) struct Copies {
    reach: Reach,
    store: Store,
    jobs: PathBuf,
    watch: Option<Mailbox<ToWatch>>,
}

impl Copies {
    /// With a thread that gives away, where `partner` says to whom: `Some(None)` is the next node by name.
    pub fn begin(reach: Reach, state: &Path, jobs: &Path, partner: Option<Option<String>>) -> Self {
        let store = Store::new(state);
        let watch = partner.and_then(|named| {
            let mailbox = Mailbox::new().ok()?;
            let thread =
                watch::Watch::new(reach.clone(), store.clone(), jobs.to_owned(), named, mailbox.clone());
            std::thread::Builder::new().name("copies".to_owned()).spawn(move || thread.serve()).ok()?;
            Some(mailbox)
        });
        Self { reach, store, jobs: jobs.to_owned(), watch }
    }

    /// The other nodes.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    fn tell(&self, what: ToWatch) {
        if let Some(watch) = &self.watch {
            watch.send(what);
        }
    }

    /// The nodes of the cluster.
    pub fn set_peers(&self, nodes: Vec<NodeAddress>) {
        self.reach.set(nodes);
        self.tell(ToWatch::Peers);
    }

    /// A job is opened here.
    pub fn on_job(&self, job: JobUuid) {
        self.tell(ToWatch::Job(job));
    }

    /// It is closed; `remove`: for good.
    pub fn on_closed(&self, job: JobUuid, remove: bool) {
        self.tell(ToWatch::Gone(job, remove));
    }

    /// What brings checkpoints of others here before a launch; `None`: nobody keeps any.
    pub fn bring(&self) -> Option<bring::Bring> {
        let nodes = self.watch.as_ref().map(|_| self.reach.ring())?;
        let (reach, store, jobs) = (self.reach.clone(), self.store.clone(), self.jobs.clone());
        Some(bring::Bring { reach, nodes, store, jobs })
    }
}
