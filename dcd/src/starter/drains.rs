//! Output that goes into a file that ranks share, or becomes a result: a thread a stream reads the rank's pipe and
//! writes, so that a disk that is slow or hangs holds up its own ranks and nothing else.

use super::files::{FileTrouble, SharedFile};
use super::lines::Lines;
use super::lookups::{Answer, Answers};
use super::table::AttemptKey;
use crate::process::calls::bytes_readable;
use dc_model::wire::{LINE_BYTES_MAX, Launch, Output};
use dc_model::{Attempt, LaunchStage, Rank, SubtaskId};
use dc_spool::result::{Results, Writer};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::read;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

const READ_BYTES: usize = LINE_BYTES_MAX;
/// There is little on it: the bytes read are elsewhere.
const STACK_BYTES: usize = 256 << 10;

/// Why what a rank wrote is not where it was to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// What failed.
    pub stage: LaunchStage,
    /// Why.
    pub errno: i32,
    /// The line for the user.
    pub text: String,
}

impl From<FileTrouble> for Failed {
    fn from(trouble: FileTrouble) -> Self {
        Self { stage: LaunchStage::Output, errno: trouble.errno as i32, text: trouble.text }
    }
}

/// Where a stream is drained to.
#[derive(Debug)]
pub enum Into {
    /// A file, with others; first of all this line.
    File(Arc<SharedFile>, Option<String>),
    /// The attempt's result.
    Result(Writer, Results),
}

struct Drain {
    pipe: OwnedFd,
    bell: Arc<EventFd>,
    commits: Receiver<bool>,
    subtask: SubtaskId,
    attempt: Attempt,
    rank: Rank,
    stderr: bool,
    lines: Option<Lines>,
    /// Set when those who hold the pipe have had their time: what is still read.
    owed_bytes: Option<usize>,
}

#[derive(Debug)]
struct Held {
    bell: Arc<EventFd>,
    commits: Sender<bool>,
    rung: bool,
}

/// All streams that are drained, by their attempts.
#[derive(Debug, Default)]
pub struct Drains {
    held: HashMap<AttemptKey, (usize, Vec<Held>)>,
}

impl Drains {
    /// Begins to drain a pipe of an attempt; [`Answer::Drained`] will come.
    ///
    /// # Errors
    /// When there is no thread or descriptor to be had.
    pub fn start(
        &mut self,
        key: AttemptKey,
        (launch, stderr): (&Launch, bool),
        pipe: OwnedFd,
        into: Into,
        unbuffered: bool,
        answers: Answers,
    ) -> nix::Result<()> {
        let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let (sender, commits) = channel();
        let drain = Drain {
            pipe,
            bell: Arc::clone(&bell),
            commits,
            subtask: launch.subtask,
            attempt: launch.attempt,
            rank: launch.rank,
            stderr,
            lines: (!unbuffered).then(Lines::default),
            owed_bytes: None,
        };
        let thread = std::thread::Builder::new().name("drain".to_owned()).stack_size(STACK_BYTES);
        let run = move || {
            let failed = drain.run(into).err();
            answers.send(Answer::Drained { key, failed });
        };
        thread.spawn(run).map_err(|_| Errno::EAGAIN)?;
        let (left, held) = self.held.entry(key).or_default();
        *left += 1;
        held.push(Held { bell, commits: sender, rung: false });
        Ok(())
    }

    /// Whether nothing is drained.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether something of this attempt's is still drained.
    #[must_use]
    pub fn holds(&self, key: AttemptKey) -> bool {
        self.held.contains_key(&key)
    }

    /// One of an attempt's streams is at its end; whether it was the last.
    pub fn on_drained(&mut self, key: AttemptKey) -> bool {
        let Some((left, _)) = self.held.get_mut(&key) else { return false };
        *left -= 1;
        let is_last = *left == 0;
        if is_last {
            self.held.remove(&key);
        }
        is_last
    }

    /// Its rank has ended: what it wrote counts, or does not.
    pub fn on_rank_ended(&self, key: AttemptKey, counts: bool) {
        for held in self.held.get(&key).iter().flat_map(|(_, held)| held) {
            // Whoever has ended needs no word.
            let _ = held.commits.send(counts);
        }
    }

    /// Those who still hold its pipes have had their time; whether that is news.
    pub fn on_time_over(&mut self, key: AttemptKey) -> bool {
        let Some((_, held)) = self.held.get_mut(&key) else { return false };
        let mut is_news = false;
        for held in held.iter_mut().filter(|held| !held.rung) {
            let _ = held.bell.write(1);
            (held.rung, is_news) = (true, true);
        }
        is_news
    }

    /// Nobody waits any longer for what a disk does not take.
    pub fn abandon(&mut self, key: AttemptKey) -> bool {
        self.held.remove(&key).is_some()
    }

    /// All ranks are dead: nothing more counts as a result.
    pub fn on_all_ended(&self) {
        self.held.keys().for_each(|key| self.on_rank_ended(*key, false));
    }
}

impl Drain {
    fn run(mut self, mut into: Into) -> Result<(), Failed> {
        if let Into::File(file, Some(mark)) = &into {
            file.mark(mark)?;
        }
        let mut scratch = vec![0; READ_BYTES];
        while let Some(count) = self.next(&mut scratch) {
            self.take(&mut into, &scratch[..count])?;
        }
        let rest = self.lines.as_mut().map(Lines::finish).unwrap_or_default();
        if !rest.is_empty() {
            self.pass_on(&mut into, &rest)?;
        }
        // No more bytes of a pipe that somebody may still hold.
        let Self { pipe, commits, subtask, attempt, .. } = self;
        drop(pipe);
        match into {
            Into::Result(writer, results) if commits.recv().unwrap_or(false) => {
                commit(writer, &results, subtask, attempt)
            }
            Into::File(..) | Into::Result(..) => Ok(()),
        }
    }

    /// Waits for bytes; none at the end.
    fn next(&mut self, scratch: &mut [u8]) -> Option<usize> {
        loop {
            if self.owed_bytes.is_none() {
                let mut fds = [
                    PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN),
                    PollFd::new(self.bell.as_fd(), PollFlags::POLLIN),
                ];
                if poll(&mut fds, PollTimeout::NONE).is_err() {
                    continue;
                }
                if fds[1].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)) {
                    // What is in the pipe now is still its rank's.
                    self.owed_bytes = Some(bytes_readable(&self.pipe).unwrap_or(0));
                }
            }
            let room = self.owed_bytes.unwrap_or(scratch.len()).min(scratch.len());
            if room == 0 {
                return None;
            }
            match read(&self.pipe, &mut scratch[..room]) {
                Ok(0) => return None,
                Ok(count) => {
                    self.owed_bytes = self.owed_bytes.map(|owed| owed - count);
                    return Some(count);
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(_) => return None,
            }
        }
    }

    fn take(&mut self, into: &mut Into, bytes: &[u8]) -> Result<(), Failed> {
        if let Into::Result(writer, _) = into {
            return writer.append(bytes).map_err(|error| result_failed(&error.to_string(), Errno::EIO));
        }
        let Some(mut lines) = self.lines.take() else { return self.pass_on(into, bytes) };
        let mut passed = Ok(());
        lines.push(bytes, |piece| {
            if passed.is_ok() {
                passed = self.pass_on(into, piece);
            }
        });
        self.lines = Some(lines);
        passed
    }

    fn pass_on(&self, into: &mut Into, bytes: &[u8]) -> Result<(), Failed> {
        let Into::File(file, _) = into else { return Ok(()) };
        let Self { subtask, attempt, rank, stderr, .. } = *self;
        file.piece(&Output { subtask, attempt, rank, stderr, last: false, bytes: bytes.to_vec() })?;
        Ok(())
    }
}

fn result_failed(text: &str, errno: Errno) -> Failed {
    Failed { stage: LaunchStage::Result, errno: errno as i32, text: text.to_owned() }
}

fn commit(writer: Writer, results: &Results, subtask: SubtaskId, attempt: Attempt) -> Result<(), Failed> {
    if !matches!(results.meta(subtask, attempt), Ok(None)) {
        let text = format!(
            "subtask {subtask} has handed over a result, and --result stdout makes its output the result: leave one of \
             them out"
        );
        return Err(result_failed(&text, Errno::EEXIST));
    }
    let finished = writer.finish();
    finished
        .map(drop)
        .map_err(|error| result_failed(&format!("the result of subtask {subtask}: {error}"), Errno::EIO))
}
