//! The thread that gives this node's checkpoints to its partner: it is told by the kernel of each new one, gives the newest
//! of a subtask once, and never holds up anybody. Where the partner is away the next node takes its place.

use super::super::clock;
use super::super::dial::dial;
use super::super::line::{Line, LineError};
use super::super::reach::Reach;
use super::serve::pieces;
use super::{Store, ToWatch};
use crate::daemon::Mailbox;
use dc_model::cluster::data::{FromData, NodeAddress, ToData};
use dc_model::codec::DecodeError;
use dc_model::{Attempt, JobUuid, Restart, SubtaskId};
use dc_spool::checkpoint::Checkpoints;
use dc_spool::files::Dir;
use dc_spool::layout;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::path::PathBuf;
use tracing::{debug, warn};

const UP_NS: u64 = 5_000_000_000;
/// The partner writes it to its disk before it answers, in ns.
const ANSWER_NS: u64 = 60_000_000_000;
/// Between two tries, at first and at last, in ns.
const AGAIN_NS: [u64; 2] = [200_000_000, 10_000_000_000];
/// A job's directory may be about to be made: it is looked for this often, in ns.
const LOOK_NS: u64 = 200_000_000;
/// How often partners are told that a job lives, and old copies of others are looked for, in ns.
const REFRESH_NS: u64 = 3_600_000_000_000;

type Key = (JobUuid, SubtaskId);

pub(super) struct Watch {
    reach: Reach,
    store: Store,
    jobs: PathBuf,
    named: Option<String>,
    mailbox: Mailbox<ToWatch>,
    inotify: Option<Inotify>,
    watched: HashMap<WatchDescriptor, (JobUuid, Option<SubtaskId>)>,
    /// Jobs here; `false`: the directory is not there yet.
    open: BTreeMap<JobUuid, bool>,
    dirty: BTreeSet<Key>,
    sent: BTreeMap<Key, (String, Restart)>,
    again_at_ns: u64,
    again_ns: u64,
    refresh_at_ns: u64,
    told_away: bool,
}

impl Watch {
    pub fn new(
        reach: Reach,
        store: Store,
        jobs: PathBuf,
        named: Option<String>,
        mailbox: Mailbox<ToWatch>,
    ) -> Self {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
        if let Err(errno) = &inotify {
            warn!("checkpoints cannot be watched, and are looked for at times: {}", errno.desc());
        }
        Self {
            reach,
            store,
            jobs,
            named,
            mailbox,
            inotify: inotify.ok(),
            watched: HashMap::new(),
            open: BTreeMap::new(),
            dirty: BTreeSet::new(),
            sent: BTreeMap::new(),
            again_at_ns: 0,
            again_ns: AGAIN_NS[0],
            refresh_at_ns: 0,
            told_away: false,
        }
    }

    pub fn serve(mut self) {
        loop {
            for told in self.mailbox.take() {
                self.on_told(told);
            }
            let unmade: Vec<JobUuid> =
                self.open.iter().filter(|(_, is_there)| !**is_there).map(|(job, _)| *job).collect();
            unmade.into_iter().for_each(|job| self.look(job));
            if self.inotify.is_none() {
                self.look_at_all();
            }
            self.on_events();
            let now = clock::boottime_ns();
            if !self.dirty.is_empty() && now >= self.again_at_ns {
                self.push();
            }
            if now >= self.refresh_at_ns {
                self.refresh_at_ns = now.saturating_add(REFRESH_NS);
                self.store.sweep();
                self.refresh();
            }
            self.wait();
        }
    }

    fn wait(&self) {
        let now = clock::boottime_ns();
        let mut at = self.refresh_at_ns;
        if !self.dirty.is_empty() {
            at = at.min(self.again_at_ns);
        }
        if self.inotify.is_none() || self.open.values().any(|is_there| !is_there) {
            at = at.min(now.saturating_add(LOOK_NS));
        }
        let ms = at.saturating_sub(now).div_ceil(1_000_000).min(60_000);
        let mut fds = vec![PollFd::new(self.mailbox.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.inotify.as_ref().map(|inotify| PollFd::new(inotify.as_fd(), PollFlags::POLLIN)));
        let _ = poll(&mut fds, PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX));
    }

    fn on_told(&mut self, told: ToWatch) {
        match told {
            ToWatch::Peers => {
                // Perhaps another partner: it is to have the newest of all.
                self.again_at_ns = 0;
                self.look_at_all();
            }
            ToWatch::Job(job) => drop(self.open.entry(job).or_insert(false)),
            ToWatch::Gone(job, remove) => {
                self.open.remove(&job);
                if let Some(inotify) = &self.inotify {
                    let gone = self.watched.iter().filter(|(_, (of, _))| *of == job).map(|(watch, _)| *watch);
                    for watch in gone {
                        // It goes with its directory, too.
                        let _ = inotify.rm_watch(watch);
                    }
                }
                self.watched.retain(|_, (of, _)| *of != job);
                self.dirty.retain(|(of, _)| *of != job);
                let names: BTreeSet<String> = self
                    .sent
                    .iter()
                    .filter(|((of, _), _)| *of == job)
                    .map(|(_, (name, _))| name.clone())
                    .collect();
                self.sent.retain(|(of, _), _| *of != job);
                if remove {
                    self.store.forget(job);
                    self.say_to(&names, &FromData::Forget { job });
                }
            }
        }
    }

    /// Begins to watch a job's directory, once it is there.
    fn look(&mut self, job: JobUuid) {
        let ckpt = self.jobs.join(job.to_string()).join(layout::CKPT);
        if !ckpt.is_dir() {
            return;
        }
        self.open.insert(job, true);
        if let Some(watch) = self.add_watch(&ckpt, AddWatchFlags::IN_CREATE) {
            self.watched.insert(watch, (job, None));
        }
        self.list(job);
    }

    fn look_at_all(&mut self) {
        let jobs: Vec<JobUuid> =
            self.open.iter().filter(|(_, is_there)| **is_there).map(|(job, _)| *job).collect();
        jobs.into_iter().for_each(|job| self.list(job));
    }

    fn list(&mut self, job: JobUuid) {
        let ckpt = self.jobs.join(job.to_string()).join(layout::CKPT);
        for entry in std::fs::read_dir(ckpt).into_iter().flatten().flatten() {
            if let Some(subtask) = layout::parse_subtask_dir(&entry.file_name()) {
                self.watch_subtask(job, subtask);
            }
        }
    }

    fn watch_subtask(&mut self, job: JobUuid, subtask: SubtaskId) {
        let dir = self.jobs.join(job.to_string()).join(layout::CKPT).join(layout::subtask_dir(subtask));
        if let Some(watch) = self.add_watch(&dir, AddWatchFlags::IN_MOVED_TO) {
            self.watched.insert(watch, (job, Some(subtask)));
        }
        // Whatever came before the watch was there.
        self.dirty.insert((job, subtask));
    }

    fn add_watch(&self, path: &std::path::Path, flags: AddWatchFlags) -> Option<WatchDescriptor> {
        let flags = flags | AddWatchFlags::IN_ONLYDIR | AddWatchFlags::IN_DONT_FOLLOW;
        self.inotify.as_ref()?.add_watch(path, flags).ok()
    }

    fn on_events(&mut self) {
        while let Some(Ok(events)) = self.inotify.as_ref().map(Inotify::read_events) {
            events.into_iter().for_each(|event| self.on_event(&event));
        }
    }

    fn on_event(&mut self, event: &InotifyEvent) {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return self.look_at_all();
        }
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            self.watched.remove(&event.wd);
            return;
        }
        let name = event.name.as_deref().unwrap_or_default();
        match self.watched.get(&event.wd).copied() {
            Some((job, Some(subtask))) if layout::parse_checkpoint(name).is_some() => {
                self.dirty.insert((job, subtask));
            }
            Some((job, None)) => {
                if let Some(subtask) = layout::parse_subtask_dir(name) {
                    self.watch_subtask(job, subtask);
                }
            }
            _ => {}
        }
    }

    /// The partner, then those who take its place.
    fn partners(&self) -> Vec<NodeAddress> {
        let mut ring = self.reach.ring();
        if let Some(named) = &self.named
            && let Some(at) = ring.iter().position(|node| node.name == *named)
        {
            ring.rotate_left(at);
        }
        ring.truncate(4);
        ring
    }

    fn push(&mut self) {
        let mut why = "there is no other node".to_owned();
        for node in self.partners() {
            match self.push_to(&node) {
                Ok(()) => {
                    (self.again_at_ns, self.again_ns, self.told_away) = (0, AGAIN_NS[0], false);
                    return;
                }
                Err(error) => why = format!("{}: {error}", node.name),
            }
        }
        if !self.told_away {
            self.told_away = true;
            warn!("checkpoints are not copied at the moment: {}", why.escape_debug());
        }
        self.again_at_ns = clock::boottime_ns().saturating_add(self.again_ns);
        self.again_ns = (self.again_ns * 2).min(AGAIN_NS[1]);
    }

    /// Gives all that is new to one node.
    fn push_to(&mut self, node: &NodeAddress) -> Result<(), LineError> {
        let away = |text: String| LineError::Ended(text);
        let at = self.reach.at(node).ok_or_else(|| away("its address or key is not known".to_owned()))?;
        let mut conn = dial(&at).map_err(|error| away(error.to_string()))?;
        let mut line = Line::dialled(&mut conn, UP_NS)?;
        while let Some(key) = self.dirty.first().copied() {
            let (job, subtask) = key;
            // Written meanwhile: it is new again.
            self.dirty.remove(&key);
            if let Err(error) = self.give(&mut line, node, job, subtask) {
                self.dirty.insert(key);
                return Err(error);
            }
            line.maybe_say_alive(clock::boottime_ns())?;
        }
        line.close();
        Ok(())
    }

    fn give(
        &mut self,
        line: &mut Line<'_>,
        node: &NodeAddress,
        job: JobUuid,
        subtask: SubtaskId,
    ) -> Result<(), LineError> {
        let dir = Dir::open(&self.jobs.join(job.to_string()));
        let Ok(own) = dir.and_then(|dir| Checkpoints::open(&dir, job)) else { return Ok(()) };
        let newest = own.newest(subtask, Attempt(u32::MAX), 1).unwrap_or_default();
        let Some(restart) = newest.first().copied() else { return Ok(()) };
        if self.sent.get(&(job, subtask)).is_some_and(|sent| sent.0 == node.name && sent.1 == restart) {
            return Ok(());
        }
        // Removed since: a newer one is there, of which the kernel tells.
        let Ok(file) = own.raw(subtask, restart) else { return Ok(()) };
        line.say(&FromData::PutCopy { job, subtask, restart, bytes: file.len_bytes() })?;
        let is_wanted = match line.hear(ANSWER_NS)? {
            ToData::Length(length) => length.is_some(),
            ToData::No(why) => return Err(LineError::Refused(why)),
            _ => return Err(DecodeError::Impossible("answer").into()),
        };
        if is_wanted {
            pieces(&file, |piece| line.say(&FromData::Piece(piece)))?;
            match line.hear(ANSWER_NS)? {
                ToData::Done => {}
                ToData::No(why) => return Err(LineError::Refused(why)),
                _ => return Err(DecodeError::Impossible("answer").into()),
            }
        }
        debug!(%job, %subtask, %restart, node = %node.name, "a checkpoint is copied");
        self.sent.insert((job, subtask), (node.name.clone(), restart));
        Ok(())
    }

    /// Tells those who have copies that the jobs live.
    fn refresh(&self) {
        let jobs: BTreeSet<(JobUuid, String)> =
            self.sent.iter().map(|((job, _), (name, _))| (*job, name.clone())).collect();
        for (job, name) in jobs {
            self.say_to(&BTreeSet::from([name]), &FromData::ListCopies { job, below: Vec::new() });
        }
    }

    /// Says this to these nodes, as far as that goes.
    fn say_to(&self, names: &BTreeSet<String>, message: &FromData) {
        for node in self.reach.ring().iter().filter(|node| names.contains(&node.name)) {
            let said = || -> Option<()> {
                let mut conn = dial(&self.reach.at(node)?).ok()?;
                let mut line = Line::dialled(&mut conn, UP_NS).ok()?;
                line.say(message).ok()?;
                let _: ToData = line.hear(UP_NS).ok()?;
                line.close();
                Some(())
            };
            // What is not forgotten ages.
            let _ = said();
        }
    }
}
