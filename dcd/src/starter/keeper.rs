//! Keeps the last valid checkpoints of each subtask and removes what is older: a thread woken by the directories
//! themselves. Until the first checkpoint is made there is no thread, only one watched directory.

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
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Pruning reads checkpoints whole: one that is written all the time must not take a core for that.
const ROUNDS_APART: Duration = Duration::from_millis(100);

/// The loop's side of it.
#[derive(Debug)]
pub enum Keeper {
    /// Nothing to keep yet: readable when the first directory is made.
    Asleep(Inotify),
    /// A thread does it; subtasks that have come to rest are told to it.
    Awake(Sender<SubtaskId>, Arc<EventFd>),
    /// The system lets us watch no directory: pruning happens before launches alone.
    Blind,
}

impl Keeper {
    /// Watches a job's directory of checkpoints.
    ///
    /// # Errors
    /// When it cannot be watched; then use [`Keeper::Blind`].
    pub fn watch(spool: &Path) -> nix::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        inotify.add_watch(&spool.join(layout::CKPT), made_or_moved() | AddWatchFlags::IN_ONLYDIR)?;
        Ok(Self::Asleep(inotify))
    }

    /// What to wait for while there is no thread.
    #[must_use]
    pub fn trigger(&self) -> Option<&Inotify> {
        match self {
            Self::Asleep(inotify) => Some(inotify),
            Self::Awake(..) | Self::Blind => None,
        }
    }

    /// Begins the thread, if there is none: checkpoints are there, or come now.
    pub fn wake(&mut self, spool: &Path, job: JobUuid, answers: Answers) {
        let Self::Asleep(_) = self else { return };
        let Ok(bell) = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK) else { return };
        let (bell, (send, receive)) = (Arc::new(bell), channel());
        let awake = Self::Awake(send, Arc::clone(&bell));
        let Self::Asleep(inotify) = std::mem::replace(self, awake) else { return };
        let round = Round {
            spool: spool.to_owned(),
            job,
            inotify,
            answers,
            watched: HashMap::new(),
            dirty: BTreeSet::new(),
            at_rest: BTreeSet::new(),
        };
        let thread = std::thread::Builder::new().name("keeper".to_owned());
        if thread.spawn(move || round.serve(&receive, &bell)).is_err() {
            *self = Self::Blind;
        }
    }

    /// No attempt of this subtask is alive, and none will be.
    pub fn on_at_rest(&self, subtask: SubtaskId) {
        if let Self::Awake(send, bell) = self {
            let _ = send.send(subtask);
            let _ = bell.write(1);
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
    inotify: Inotify,
    answers: Answers,
    /// Subtasks' directories; those of the job's own directory of them are the rest.
    watched: HashMap<WatchDescriptor, SubtaskId>,
    dirty: BTreeSet<SubtaskId>,
    at_rest: BTreeSet<SubtaskId>,
}

impl Round {
    fn serve(mut self, at_rest: &Receiver<SubtaskId>, bell: &EventFd) {
        let mut told = false;
        self.list_all();
        loop {
            if let Err(e) = self.prune()
                && !told
            {
                told = true;
                self.answers.send(Answer::Notice(format!("old checkpoints are not removed: {e}")));
            }
            let rounds_end = Instant::now() + ROUNDS_APART;
            self.wait(bell);
            // What comes at once is done at once, but the next only after a while.
            std::thread::sleep(rounds_end.saturating_duration_since(Instant::now()));
            self.on_events();
            let _ = bell.read();
            for subtask in at_rest.try_iter() {
                self.at_rest.insert(subtask);
                self.dirty.insert(subtask);
            }
        }
    }

    fn wait(&self, bell: &EventFd) {
        let mut fds = [
            PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN),
            PollFd::new(bell.as_fd(), PollFlags::POLLIN),
        ];
        let _ = poll(&mut fds, PollTimeout::NONE);
    }

    fn prune(&mut self) -> Result<(), FileError> {
        if self.dirty.is_empty() {
            return Ok(());
        }
        let checkpoints = Checkpoints::open(&Dir::open(&self.spool)?, self.job)?;
        let mut result = Ok(());
        for subtask in std::mem::take(&mut self.dirty) {
            let idle = self.at_rest.contains(&subtask);
            if let Err(e) = checkpoints.prune(subtask, CHECKPOINTS_KEPT, idle) {
                result = Err(e);
            }
        }
        result
    }

    fn on_events(&mut self) {
        loop {
            match self.inotify.read_events() {
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
        if let Ok(watch) = self.inotify.add_watch(&path, flags) {
            self.watched.insert(watch, subtask);
        }
        // Whatever came before the watch was there.
        self.dirty.insert(subtask);
    }
}
