//! Keeps the last valid checkpoints of each subtask and removes what is older: a thread woken by the directories
//! themselves. It begins when a rank has run for a while or says that it has made checkpoints: a job of short ranks
//! goes without, because closing an inotify descriptor takes longer than such a job.

use super::lookups::{Answer, Answers, CHECKPOINTS_KEPT};
use dc_model::{JobUuid, SubtaskId};
use dc_spool::checkpoint::Checkpoints;
use dc_spool::files::{Dir, FileError};
use dc_spool::layout;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

/// Pruning reads checkpoints whole: one that is written all the time must not take a core for that.
const ROUNDS_APART: Duration = Duration::from_millis(100);

/// Where a disk has said no, or nothing can be watched, how long until the next look.
const LOOKS_APART_MS: u16 = 10_000;
/// How long the starter's end waits for the last round.
const LAST_ROUND_MAX: Duration = Duration::from_secs(2);

/// The loop's side of it.
#[derive(Debug)]
pub enum Keeper {
    /// Nothing to keep yet.
    Asleep,
    /// A thread does it.
    Awake {
        /// Subtasks that have come to rest.
        at_rest: Sender<SubtaskId>,
        /// Wakes the thread.
        bell: Arc<EventFd>,
        /// Ends with the thread.
        done: Receiver<()>,
    },
}

impl Keeper {
    /// Begins the thread, if there is none: checkpoints are there, or may come.
    pub fn wake(&mut self, spool: &Path, job: JobUuid, gang: &[SubtaskId], answers: Answers) {
        let Self::Asleep = self else { return };
        let Ok(bell) = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK) else { return };
        let bell = Arc::new(bell);
        let ((at_rest, receive), (ending, done)) = (channel(), channel());
        let round = Round {
            spool: spool.to_owned(),
            job,
            gang: gang.to_vec(),
            inotify: None,
            bell: Arc::clone(&bell),
            answers,
            watched: HashMap::new(),
            dirty: BTreeSet::new(),
            at_rest: BTreeSet::new(),
        };
        let thread = std::thread::Builder::new().name("keeper".to_owned());
        let begun = thread.spawn(move || {
            round.serve(&receive);
            drop::<Sender<()>>(ending);
        });
        if begun.is_ok() {
            *self = Self::Awake { at_rest, bell, done };
        }
    }

    /// No attempt of this subtask is alive, and none will be soon.
    pub fn on_at_rest(&self, subtask: SubtaskId) {
        if let Self::Awake { at_rest, bell, .. } = self {
            let _ = at_rest.send(subtask);
            let _ = bell.write(1);
        }
    }

    /// Nothing runs any more: lets the thread do its last round.
    pub fn finish(self) {
        if let Self::Awake { at_rest, bell, done } = self {
            drop(at_rest);
            let _ = bell.write(1);
            let _ = done.recv_timeout(LAST_ROUND_MAX);
        }
    }
}

fn made_or_moved() -> AddWatchFlags {
    AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO
}

/// The thread's own.
struct Round {
    spool: PathBuf,
    job: JobUuid,
    /// The subtasks of a gang, whose checkpoints are kept by sets.
    gang: Vec<SubtaskId>,
    inotify: Option<Inotify>,
    bell: Arc<EventFd>,
    answers: Answers,
    /// Subtasks' directories; those of the job's own directory of them are the rest.
    watched: HashMap<WatchDescriptor, SubtaskId>,
    dirty: BTreeSet<SubtaskId>,
    at_rest: BTreeSet<SubtaskId>,
}

impl Round {
    fn serve(mut self, at_rest: &Receiver<SubtaskId>) {
        match self.watch() {
            Ok(inotify) => self.inotify = Some(inotify),
            Err(e) => self
                .answers
                .send(Answer::Notice(format!("checkpoints cannot be watched: {e}; looking at times"))),
        }
        self.list_all();
        let (mut told, mut is_last) = (false, false);
        loop {
            if let Err(e) = self.prune()
                && !told
            {
                told = true;
                self.answers.send(Answer::Notice(format!("old checkpoints are not removed: {e}")));
            }
            if is_last {
                return;
            }
            let round_end = Instant::now() + ROUNDS_APART;
            self.wait();
            self.on_events();
            is_last = self.on_at_rest(at_rest);
            while !is_last && Instant::now() < round_end {
                // What comes at once is done at once, but the next only after a while; the end does not wait.
                let left = round_end.saturating_duration_since(Instant::now());
                match at_rest.recv_timeout(left) {
                    Ok(subtask) => self.rest(subtask),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => is_last = true,
                }
            }
            self.on_events();
        }
    }

    fn watch(&self) -> nix::Result<Inotify> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        inotify.add_watch(&self.spool.join(layout::CKPT), made_or_moved() | AddWatchFlags::IN_ONLYDIR)?;
        Ok(inotify)
    }

    fn wait(&mut self) {
        let bell = PollFd::new(self.bell.as_fd(), PollFlags::POLLIN);
        let later = PollTimeout::from(LOOKS_APART_MS);
        match &self.inotify {
            Some(inotify) => {
                let timeout = if self.dirty.is_empty() { PollTimeout::NONE } else { later };
                let _ = poll(&mut [bell, PollFd::new(inotify.as_fd(), PollFlags::POLLIN)], timeout);
            }
            None => {
                let _ = poll(&mut [bell], later);
                self.list_all();
            }
        }
        let _ = self.bell.read();
    }

    /// Takes what has come to rest; whether that was the last.
    fn on_at_rest(&mut self, at_rest: &Receiver<SubtaskId>) -> bool {
        loop {
            match at_rest.try_recv() {
                Ok(subtask) => self.rest(subtask),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    fn rest(&mut self, subtask: SubtaskId) {
        self.at_rest.insert(subtask);
        self.dirty.insert(subtask);
    }

    fn prune(&mut self) -> Result<(), FileError> {
        if self.dirty.is_empty() {
            return Ok(());
        }
        let checkpoints = Checkpoints::open(&Dir::open(&self.spool)?, self.job)?;
        if !self.gang.is_empty() {
            let dirty = std::mem::take(&mut self.dirty);
            return checkpoints.prune_sets(&self.gang, CHECKPOINTS_KEPT, false).map(drop).inspect_err(|_| {
                self.dirty.extend(dirty);
            });
        }
        let mut result = Ok(());
        for subtask in std::mem::take(&mut self.dirty) {
            let idle = self.at_rest.remove(&subtask);
            if let Err(e) = checkpoints.prune(subtask, CHECKPOINTS_KEPT, idle) {
                // It is tried again when the next one is written, or later.
                self.dirty.insert(subtask);
                result = Err(e);
            }
        }
        result
    }

    fn on_events(&mut self) {
        loop {
            match self.inotify.as_ref().map_or(Err(Errno::EAGAIN), Inotify::read_events) {
                Ok(events) => events.into_iter().for_each(|event| self.on_event(&event)),
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    fn on_event(&mut self, event: &InotifyEvent) {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return self.list_all();
        }
        let name = event.name.as_deref().unwrap_or(OsStr::new(""));
        match self.watched.get(&event.wd) {
            Some(subtask) => {
                if layout::parse_checkpoint(name).is_some() {
                    self.dirty.insert(*subtask);
                }
            }
            None => self.watch_subtask(name),
        }
    }

    /// All there is: at the beginning, and when events were lost.
    fn list_all(&mut self) {
        let entries = std::fs::read_dir(self.spool.join(layout::CKPT));
        for entry in entries.into_iter().flatten().flatten() {
            self.watch_subtask(&entry.file_name());
        }
    }

    fn watch_subtask(&mut self, name: &OsStr) {
        let Some(subtask) = layout::parse_subtask_dir(name) else { return };
        let path = self.spool.join(layout::CKPT).join(name);
        let flags = made_or_moved() | AddWatchFlags::IN_ONLYDIR | AddWatchFlags::IN_DONT_FOLLOW;
        if let Some(Ok(watch)) = self.inotify.as_ref().map(|inotify| inotify.add_watch(&path, flags)) {
            self.watched.insert(watch, subtask);
        }
        // Whatever came before the watch was there.
        self.dirty.insert(subtask);
    }
}
