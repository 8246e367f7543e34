//! The merge of a job that runs elsewhere: its results are brought from the nodes into a directory of dcrun's own, and
//! merged there as on one machine. What is lost with a node is told, and computed again.

use super::follow::{Follower, Merging, Notice};
use super::reach::Reach;
use crate::front::Sight;
use crate::merge::{Failed, Merge, Merged, exec, parts};
use dc_gather::Part;
use dc_model::cluster::client::FromClient;
use dc_model::cluster::{NodeRow, NodeState};
use dc_model::{JobUuid, ResultMeta, SubtaskId, exit};
use dc_spool::files::Dir;
use dc_spool::job::JobRecord;
use dc_spool::result::Results;
use dc_spool::spool::{Spool, SpoolError};
use dcd::peer::client::NodeAt;
use dcd::peer::fetch::{Outcome, Patience, Wanted, fetch_results};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A node that does not answer is tried for so long, before it is looked at whether it is lost.
const ROUND: Duration = Duration::from_secs(1);
/// A result that no node gives, of nodes that are not lost, is asked for again for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nodes as the scheduler told them last: the loop writes, the thread that brings results reads.
pub type Nodes = Arc<Mutex<BTreeMap<u32, NodeRow>>>;

/// How the thread ended.
#[derive(Debug)]
pub enum Gathered {
    /// The merge has ended so.
    Merged(Result<Vec<Merged>, Failed>),
    /// These results are gone: nothing is merged, and what was brought stays.
    Lost(Vec<SubtaskId>, String),
}

/// All that the thread needs.
struct Gathering {
    reach: Arc<dyn Reach>,
    record: JobRecord,
    path: PathBuf,
    keep: bool,
    /// Each part with the node that its result was made on, where that is known.
    parts: Vec<(Part, Option<u32>)>,
    nodes: Nodes,
    /// Results were computed again already that nodes would not give: another time does not help.
    has_again: bool,
    domain: Option<dc_model::Domain>,
    around: exec::Surroundings,
    leash: exec::Leash,
}

/// Why nothing is merged.
enum Short {
    Failed(Failed),
    Lost(Vec<SubtaskId>, String),
}

fn own(error: &dyn std::fmt::Display) -> Short {
    Short::Failed(Failed { status: exit::DC_ERROR, text: error.to_string() })
}

/// A result that is still to be had.
struct Missing {
    subtask: SubtaskId,
    attempt: dc_model::Attempt,
    meta: ResultMeta,
    /// Where it may be: the node that made it, where that is known, else all; the front one is asked next.
    at: Vec<u32>,
    why: String,
}

impl Follower {
    /// All is computed: the results are brought and merged, once.
    pub(super) fn on_merge_due(&mut self) {
        match self.merging {
            Merging::No => {}
            Merging::Under => return,
            // It was told, and the telling was lost.
            Merging::Ended(status) => return self.tell(FromClient::Merged { job: self.job, status }),
        }
        self.merging = Merging::Under;
        let all = parts(&self.front.record, &self.replica.durable().entries);
        self.share_nodes();
        let gathering = Gathering {
            reach: Arc::clone(&self.reach),
            record: self.front.record.clone(),
            path: self.results_dir.clone(),
            keep: self.named_spool || self.front.view.keep,
            parts: all
                .into_iter()
                .map(|part| (self.replica.result_on(part.subtask), part))
                .map(|(n, p)| (p, n))
                .collect(),
            nodes: Arc::clone(&self.gathers_from),
            has_again: self.computes_again,
            domain: self.domain.clone(),
            around: self.around_command(),
            leash: self.leash.clone(),
        };
        let told = self.mailbox.clone();
        let thread = std::thread::Builder::new().name("merge".to_owned());
        if let Err(error) = thread.spawn(move || told.push(Notice::Gathered(gathering.run()))) {
            let failed = Failed::own("start a thread", &error);
            self.mailbox.push(Notice::Gathered(Gathered::Merged(Err(failed))));
        }
    }

    /// The thread that brings results sees nodes as this follower does.
    pub(super) fn share_nodes(&self) {
        let mut nodes = self.gathers_from.lock().unwrap_or_else(PoisonError::into_inner);
        *nodes = self.replica.nodes().map(|row| (row.number, row.clone())).collect();
    }

    /// The thread has ended.
    pub(super) fn on_gathered(&mut self, gathered: Gathered) {
        match gathered {
            Gathered::Merged(result) => {
                self.command_dies_ns = None;
                self.front.tell_merged(&result);
                let status = result.map_or_else(|failed| failed.status, |_| exit::OK);
                self.merging = Merging::Ended(status);
                self.tell(FromClient::Merged { job: self.job, status });
            }
            Gathered::Lost(subtasks, why) => {
                let these = match subtasks.len() {
                    1 => "1 result is".to_owned(),
                    n => format!("{n} results are"),
                };
                self.front.say_if_not_quiet(format!("{these} lost and computed again: {why}"));
                self.merging = Merging::No;
                self.computes_again = true;
                self.tell(FromClient::ResultsLost { job: self.job, subtasks });
            }
        }
    }

    /// What a command that merges is started with: the job's environment and the directory of the results.
    fn around_command(&self) -> exec::Surroundings {
        let mut env = self.hello.env.clone();
        env.push(format!("{}={}", dcd::process::tag::JOB, self.job).into_bytes());
        let spool = self.results_dir.as_os_str().as_bytes().to_vec();
        exec::Surroundings { cwd: self.hello.cwd.clone(), env, spool }
    }
}

impl Gathering {
    fn run(self) -> Gathered {
        let spool = match self.directory() {
            Ok(spool) => spool,
            Err(short) => return short.into(),
        };
        let done = self.bring(spool.dir()).and_then(|()| self.merge(spool.dir()).map_err(Short::Failed));
        // What was brought is not brought again, when the lost ones are there.
        if !self.keep && !matches!(done, Err(Short::Lost(..))) {
            // What cannot be removed is nobody's loss: the results are on the nodes.
            let _ = spool.remove();
        }
        match done {
            Ok(merged) => Gathered::Merged(Ok(merged)),
            Err(short) => short.into(),
        }
    }

    /// The directory of dcrun's own: a new one, or the one that this job's results were brought into before.
    fn directory(&self) -> Result<Spool, Short> {
        Spool::make_parents(&self.path).map_err(|error| own(&error))?;
        match Spool::create(&self.path, &self.record) {
            Ok((spool, _)) => Ok(spool),
            Err(taken @ SpoolError::Taken(_)) => {
                let before = Spool::resume(&self.path).ok();
                let before = before.filter(|before| before.job.uuid == self.record.uuid);
                before.map(|before| before.spool).ok_or_else(|| own(&taken))
            }
            Err(error) => Err(own(&error)),
        }
    }

    fn merge(&self, dir: &Dir) -> Result<Vec<Merged>, Failed> {
        let merge = Merge {
            dir: dir.clone(),
            job: self.record.uuid,
            parts: self.parts.iter().map(|(part, _)| part.clone()).collect(),
            targets: self.record.options.merges.clone(),
            domain: self.domain.clone(),
            around: self.around.clone(),
            leash: self.leash.clone(),
        };
        merge.run()
    }

    /// Brings all results.
    fn bring(&self, dir: &Dir) -> Result<(), Short> {
        let job: JobUuid = self.record.uuid;
        let results = Results::open(dir, job).map_err(|error| own(&error))?;
        let began = Instant::now();
        let mut missing = self.wanted();
        loop {
            let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut lost = BTreeMap::new();
            let wanted: Vec<Wanted> = missing.values().map(Missing::wanted).collect();
            let at = self.addresses(&nodes, &wanted, &mut missing);
            let patience = Patience(ROUND);
            let fetched =
                fetch_results(job, &wanted, &at, &results, patience, |one, outcome| match outcome {
                    Outcome::Fetched => drop(missing.remove(&one.subtask)),
                    Outcome::Lost(why) => drop(lost.insert(one.subtask, why)),
                });
            fetched.map_err(|error| own(&error))?;
            if missing.is_empty() {
                return Ok(());
            }
            for (subtask, why) in lost {
                if let Some(one) = missing.get_mut(&subtask) {
                    let from = one.at.first().and_then(|node| nodes.get(node));
                    one.why = format!("{}: {why}", from.map_or("a node", |row| &row.name));
                    one.at.rotate_left(1);
                }
            }
            self.look_whether_lost(&missing, began)?;
            std::thread::park_timeout(ROUND / 4);
        }
    }

    fn wanted(&self) -> BTreeMap<SubtaskId, Missing> {
        let all: Vec<u32> =
            self.nodes.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
        // The merge itself says what is wrong with a part that left no result.
        let committed = self.parts.iter().filter_map(|(part, node)| Some((part, node, part.committed?)));
        let missing = committed.map(|(part, node, (attempt, meta))| {
            let at = node.map_or_else(|| all.clone(), |node| vec![node]);
            let why = "nobody knows where it is".to_owned();
            (part.subtask, Missing { subtask: part.subtask, attempt, meta, at, why })
        });
        missing.collect()
    }

    /// Where these nodes are reached; why one cannot be is told of what is missing there.
    fn addresses(
        &self,
        nodes: &BTreeMap<u32, NodeRow>,
        wanted: &[Wanted],
        missing: &mut BTreeMap<SubtaskId, Missing>,
    ) -> BTreeMap<u32, NodeAt> {
        let mut found = BTreeMap::new();
        for one in wanted {
            let Some(row) = nodes.get(&one.node).filter(|_| !found.contains_key(&one.node)) else { continue };
            match self.reach.at(row) {
                Ok(at) => drop(found.insert(one.node, at)),
                Err(why) => {
                    if let Some(one) = missing.get_mut(&one.subtask) {
                        one.why = format!("{}: {why}", row.name);
                    }
                }
            }
        }
        found
    }

    /// Those of nodes that are lost are to be computed again at once; others after patience, once.
    fn look_whether_lost(&self, missing: &BTreeMap<SubtaskId, Missing>, began: Instant) -> Result<(), Short> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_lost = |node: &u32| nodes.get(node).is_none_or(|row| row.state == NodeState::Lost);
        let of_lost: Vec<&Missing> = missing.values().filter(|one| one.at.iter().all(is_lost)).collect();
        if let Some(first) = of_lost.first() {
            let name = first.at.first().and_then(|node| nodes.get(node)).map_or("a node", |row| &row.name);
            let why = format!("{name} is lost");
            return Err(Short::Lost(of_lost.iter().map(|one| one.subtask).collect(), why));
        }
        let Some(first) = missing.values().next().filter(|_| began.elapsed() >= PATIENCE) else {
            return if self.leash.is_stopped() { Err(self.refused(missing)) } else { Ok(()) };
        };
        if self.has_again {
            return Err(self.refused(missing));
        }
        Err(Short::Lost(missing.keys().copied().collect(), first.why.clone()))
    }

    fn refused(&self, missing: &BTreeMap<SubtaskId, Missing>) -> Short {
        let first = missing.values().next();
        let (subtask, why) = first.map_or((SubtaskId(0), ""), |one| (one.subtask, &one.why));
        own(&format!("the result of subtask {subtask} cannot be had: {why}"))
    }
}

impl Missing {
    fn wanted(&self) -> Wanted {
        let node = self.at.first().copied().unwrap_or(u32::MAX);
        Wanted { node, subtask: self.subtask, attempt: self.attempt, meta: self.meta }
    }
}

impl From<Short> for Gathered {
    fn from(short: Short) -> Self {
        match short {
            Short::Failed(failed) => Self::Merged(Err(failed)),
            Short::Lost(subtasks, why) => Self::Lost(subtasks, why),
        }
    }
}
