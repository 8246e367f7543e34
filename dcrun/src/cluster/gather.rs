//! The merge of a job that runs elsewhere: its results are brought from the nodes into a directory of dcrun's own, and
//! merged there as on one machine.

use super::follow::{Follower, Merging, Notice};
use super::reach::{Reach, Unreached};
use crate::front::Sight;
use crate::merge::{Failed, Merge, Merged, exec, parts};
use dc_gather::Part;
use dc_model::cluster::NodeRow;
use dc_model::cluster::client::FromClient;
use dc_model::{JobUuid, exit};
use dc_spool::files::Dir;
use dc_spool::job::JobRecord;
use dc_spool::layout;
use dc_spool::spool::Spool;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Nodes that are asked at the same time.
const THREADS_MAX: usize = 8;
/// A result that no node gives is asked for again, for so long.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// All that the thread needs.
struct Gathering {
    reach: Arc<dyn Reach>,
    record: JobRecord,
    path: PathBuf,
    keep: bool,
    /// Each part with the node that its result was made on, where that is known.
    parts: Vec<(Part, Option<u32>)>,
    nodes: Vec<NodeRow>,
    domain: Option<dc_model::Domain>,
    around: exec::Surroundings,
    leash: exec::Leash,
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
            nodes: self.replica.nodes().cloned().collect(),
            domain: self.domain.take(),
            around: self.around_command(),
            leash: self.leash.clone(),
        };
        let told = self.mailbox.clone();
        let thread = std::thread::Builder::new().name("merge".to_owned());
        if let Err(error) = thread.spawn(move || told.push(Notice::Merged(gathering.run()))) {
            self.mailbox.push(Notice::Merged(Err(Failed::own("start a thread", &error))));
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
    fn run(self) -> Result<Vec<Merged>, Failed> {
        let own = |error: &dyn std::fmt::Display| Failed { status: exit::DC_ERROR, text: error.to_string() };
        Spool::make_parents(&self.path).map_err(|error| own(&error))?;
        let (spool, _writer) = Spool::create(&self.path, &self.record).map_err(|error| own(&error))?;
        let done = self.bring(spool.dir()).and_then(|()| self.merge(spool.dir()));
        if !self.keep {
            // What cannot be removed is nobody's loss: the results are on the nodes.
            let _ = spool.remove();
        }
        done
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

    /// Brings all results, several at a time.
    fn bring(&self, dir: &Dir) -> Result<(), Failed> {
        let results = dir
            .subdir(layout::RESULT)
            .map_err(|error| Failed { status: exit::DC_ERROR, text: error.to_string() })?;
        let next = AtomicUsize::new(0);
        let worker = || -> Result<(), Failed> {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((part, node)) = self.parts.get(at) else { return Ok(()) };
                // The merge itself says what is wrong with a part that left no result.
                if let Some((attempt, _)) = part.committed {
                    self.one(part, attempt, *node, &results)?;
                }
            }
        };
        std::thread::scope(|scope| {
            let count = THREADS_MAX.min(self.parts.len().max(1));
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(worker)).collect();
            let ends = threads.into_iter().map(|thread| {
                let lost = || Failed { status: exit::DC_ERROR, text: "a thread was lost".to_owned() };
                thread.join().unwrap_or_else(|_| Err(lost()))
            });
            // All of them end before the first error is told.
            ends.collect::<Vec<_>>().into_iter().collect()
        })
    }

    /// From the node where it was made, else from any that has it: a partner may have a copy.
    fn one(
        &self,
        part: &Part,
        attempt: dc_model::Attempt,
        node: Option<u32>,
        results: &Dir,
    ) -> Result<(), Failed> {
        let job: JobUuid = self.record.uuid;
        let began = Instant::now();
        loop {
            let mut last: Option<(String, Unreached)> = None;
            let first = self.nodes.iter().filter(|row| Some(row.number) == node);
            let others = self.nodes.iter().filter(|row| Some(row.number) != node);
            for row in first.chain(others) {
                match self.reach.result(row, job, part.subtask, attempt, results) {
                    Ok(()) => return Ok(()),
                    // The node where it was made says best why it is not there.
                    Err(why) => last = last.or(Some((row.name.clone(), why))),
                }
            }
            if began.elapsed() >= PATIENCE || self.leash.is_stopped() {
                let (node, why) = last.unwrap_or(("any node".to_owned(), Unreached::Gone));
                let text = format!("the result of subtask {} cannot be had from {node}: {why}", part.subtask);
                return Err(Failed { status: exit::DC_ERROR, text });
            }
            std::thread::park_timeout(PAUSE);
        }
    }
}
