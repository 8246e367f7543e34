//! Launches of attempts that are not the first wait, for some seconds at most, until checkpoints that other nodes have were
//! asked for. What else is ordered of the job meanwhile waits behind them, in its order, and hurries them. A connection to
//! dcsched that is lost takes them with it, as all orders that no starter was told.

use super::uplink::Identities;
use super::{Answer, Daemon, Settings, StateDir};
use crate::peer::copies::{Copies, Store};
use crate::peer::reach::Reach;
use dc_config::{Keep, Partner};
use dc_model::wire::{Launch, ToStarter};
use dc_model::{Attempt, JobUuid, SubtaskId};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Orders that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by_job: BTreeMap<JobUuid, Queue>,
    numbers: u64,
}

#[derive(Debug)]
struct Queue {
    /// Which bringing it waits for.
    number: u64,
    /// So many of the first are launches that it is for.
    first: usize,
    orders: VecDeque<ToStarter>,
    hurry: Arc<AtomicBool>,
}

impl Waiting {
    /// What was ordered and not done is not to be done any more.
    pub fn clear(&mut self) {
        for (_, queue) in std::mem::take(&mut self.by_job) {
            queue.hurry.store(true, Ordering::Relaxed);
        }
    }

    /// The same for one job.
    pub fn drop_job(&mut self, job: JobUuid) {
        if let Some(queue) = self.by_job.remove(&job) {
            queue.hurry.store(true, Ordering::Relaxed);
        }
    }
}

/// The launches of an order that may go on from a checkpoint.
fn again(order: &ToStarter) -> Vec<(SubtaskId, Attempt)> {
    let of = |launch: &Launch| (launch.attempt > Attempt(1)).then_some((launch.subtask, launch.attempt));
    match order {
        ToStarter::Launch(launch) => of(launch).into_iter().collect(),
        ToStarter::Gang(gang) => gang.ranks.iter().flatten().filter_map(of).collect(),
        _ => Vec::new(),
    }
}

/// The thread that gives checkpoints away, and what asks for them.
pub(super) fn begin(settings: &Settings, state: &StateDir, own: Option<&Identities>) -> Copies {
    let partner = match (settings.keep, &settings.partner) {
        (Keep::Partner, Partner::Auto) => Some(None),
        (Keep::Partner, Partner::Named(name)) => Some(Some(name.as_str().to_owned())),
        _ => None,
    };
    let tls = own.map(|own| (own.endpoint.clone(), settings.peers.clone()));
    Copies::begin(Reach::new(&settings.name, tls), state.path(), state.jobs(), partner)
}

impl Daemon {
    /// Where checkpoints and results of jobs on all nodes are, if they are kept there.
    pub(super) fn shared_dir(&self) -> Option<PathBuf> {
        self.settings.shared_dir.clone().filter(|_| self.settings.keep == Keep::Shared)
    }

    /// Where copies for others are.
    pub(super) fn copy_store(&self) -> Store {
        Store::new(self.state.path())
    }

    /// Orders of dcsched's for a job: at once, or behind what is to be brought for them.
    pub(super) fn on_ordered(&mut self, job: JobUuid, orders: Vec<ToStarter>, now: u64) {
        if let Some(queue) = self.waiting.by_job.get_mut(&job) {
            // A launch can wait; what is to end something should not.
            if orders.iter().any(|order| !matches!(order, ToStarter::Launch(_) | ToStarter::Gang(_))) {
                queue.hurry.store(true, Ordering::Relaxed);
            }
            return queue.orders.extend(orders);
        }
        let launches: Vec<_> = orders.iter().flat_map(again).collect();
        let bring = if launches.is_empty() { None } else { self.copies.bring() };
        let Some(bring) = bring else { return self.on_orders(job, orders, now) };
        self.waiting.numbers += 1;
        let number = self.waiting.numbers;
        let hurry = Arc::new(AtomicBool::new(false));
        let all = orders.iter().any(|order| matches!(order, ToStarter::Gang(_)));
        let queue = Queue { number, first: orders.len(), orders: orders.into(), hurry: Arc::clone(&hurry) };
        self.waiting.by_job.insert(job, queue);
        self.works.start(move || {
            bring.bring(job, &launches, all, &hurry);
            Answer::Brought { job, number }
        });
    }

    /// What could be brought is here.
    pub(super) fn on_brought(&mut self, job: JobUuid, number: u64, now: u64) {
        if self.waiting.by_job.get(&job).is_none_or(|queue| queue.number != number) {
            return;
        }
        let Some(mut queue) = self.waiting.by_job.remove(&job) else { return };
        let later = queue.orders.split_off(queue.first.min(queue.orders.len()));
        self.on_orders(job, queue.orders.into(), now);
        if !later.is_empty() {
            self.on_ordered(job, later.into(), now);
        }
    }
}
