//! The spool, looked at by a thread beside the loop: a disk that hangs, or a large checkpoint to be verified, must
//! not keep the loop from its ranks. The thread begins with the first question.

use super::drains::Failed;
use super::env::Origin;
use super::table::AttemptKey;
use dc_model::{Attempt, JobUuid, Restart, SubtaskId};
use dc_spool::checkpoint::{Checkpoints, Choice};
use dc_spool::files::{Dir, FileError};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Valid checkpoints of a subtask that are kept, whatever attempts wrote them.
pub const CHECKPOINTS_KEPT: usize = 2;

/// What a thread beside the loop has found.
#[derive(Debug)]
pub enum Answer {
    /// The checkpoint that an attempt goes on from.
    Picked {
        /// Which attempt.
        key: AttemptKey,
        /// From here; `None`: from the beginning.
        origin: Option<Origin>,
    },
    /// The set of checkpoints that a gang goes on from: each subtask's part of it.
    PickedSet {
        /// By attempt; none: from the beginning.
        origins: Vec<(AttemptKey, Origin)>,
    },
    /// What an attempt left.
    Left {
        /// Which attempt.
        key: AttemptKey,
        /// Its newest valid checkpoint.
        checkpoint: Option<Restart>,
    },
    /// One of an attempt's streams is drained to its end.
    Drained {
        /// Which attempt.
        key: AttemptKey,
        /// Why not all of it is where it was to be.
        failed: Option<Failed>,
    },
    /// An attempt has taken all of the standard input that it was given.
    Hungry {
        /// Which attempt.
        key: AttemptKey,
        /// So many bytes.
        at: u64,
    },
    /// A line for the user.
    Notice(String),
}

/// The way back to the loop: a queue, and a bell that wakes it.
#[derive(Clone, Debug)]
pub struct Answers {
    queue: Sender<Answer>,
    bell: Arc<EventFd>,
}

impl Answers {
    /// Puts one into the queue. When the loop is gone, nobody needs it.
    pub fn send(&self, answer: Answer) {
        let _ = self.queue.send(answer);
        let _ = self.bell.write(1);
    }
}

#[derive(Debug)]
enum Question {
    Pick { key: AttemptKey, subtask: SubtaskId, attempt: Attempt, before: Option<Restart> },
    Left { key: AttemptKey, subtask: SubtaskId, attempt: Attempt },
    PickSet { of: Vec<(AttemptKey, SubtaskId)>, attempt: Attempt, before: Option<Restart> },
}

/// The loop's end of the way to the thread.
#[derive(Debug)]
pub struct Lookups {
    received: Receiver<Answer>,
    answers: Answers,
    questions: Option<Sender<Question>>,
}

impl Lookups {
    /// No thread yet: most jobs never need one.
    ///
    /// # Errors
    /// When no event descriptor is to be had.
    pub fn new() -> nix::Result<Self> {
        let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let (queue, received) = channel();
        Ok(Self { received, answers: Answers { queue, bell }, questions: None })
    }

    /// Readable when there are answers.
    #[must_use]
    pub fn bell(&self) -> &EventFd {
        &self.answers.bell
    }

    /// For another thread that has something to say.
    #[must_use]
    pub fn way_back(&self) -> Answers {
        self.answers.clone()
    }

    /// What has been found since.
    pub fn take(&mut self) -> Vec<Answer> {
        let _ = self.answers.bell.read();
        self.received.try_iter().collect()
    }

    /// Asks for the checkpoint that an attempt is to go on from; [`Answer::Picked`] will come.
    pub fn pick(
        &mut self,
        (spool, job): (&Path, JobUuid),
        key: AttemptKey,
        (subtask, attempt): (SubtaskId, Attempt),
        before: Option<Restart>,
    ) {
        self.ask((spool, job), Question::Pick { key, subtask, attempt, before });
    }

    /// Asks what an attempt left; [`Answer::Left`] will come.
    pub fn left(
        &mut self,
        (spool, job): (&Path, JobUuid),
        key: AttemptKey,
        (subtask, attempt): (SubtaskId, Attempt),
    ) {
        self.ask((spool, job), Question::Left { key, subtask, attempt });
    }

    /// Asks for the set of checkpoints that a gang is to go on from; [`Answer::PickedSet`] will come.
    pub fn pick_set(
        &mut self,
        (spool, job): (&Path, JobUuid),
        of: Vec<(AttemptKey, SubtaskId)>,
        attempt: Attempt,
        before: Option<Restart>,
    ) {
        self.ask((spool, job), Question::PickSet { of, attempt, before });
    }

    fn ask(&mut self, (spool, job): (&Path, JobUuid), question: Question) {
        if self.questions.is_none() {
            let (send, receive) = channel();
            let (spool, answers) = (spool.to_owned(), self.answers.clone());
            let thread = std::thread::Builder::new().name("lookups".to_owned());
            if thread.spawn(move || answer_all(&spool, job, &receive, &answers)).is_ok() {
                self.questions = Some(send);
            }
        }
        let unsent = match &self.questions {
            Some(questions) => questions.send(question).err().map(|e| e.0),
            None => Some(question),
        };
        if let Some(question) = unsent {
            self.answers.send(Answer::Notice("no thread can look at checkpoints: none is used".to_owned()));
            self.answers.send(nothing(&question));
        }
    }
}

/// The answer when there is nothing to be found.
fn nothing(question: &Question) -> Answer {
    match question {
        Question::Pick { key, .. } => Answer::Picked { key: *key, origin: None },
        Question::PickSet { .. } => Answer::PickedSet { origins: Vec::new() },
        Question::Left { key, .. } => Answer::Left { key: *key, checkpoint: None },
    }
}

fn answer_all(spool: &Path, job: JobUuid, questions: &Receiver<Question>, answers: &Answers) {
    for question in questions {
        // Once more: a passing error must not send a rank back to its beginning.
        let found = try_answer(spool, job, &question, answers)
            .or_else(|_| try_answer(spool, job, &question, answers));
        let found = found.unwrap_or_else(|e| {
            answers.send(Answer::Notice(format!("checkpoints cannot be looked at: {e}")));
            nothing(&question)
        });
        answers.send(found);
    }
}

fn try_answer(
    spool: &Path,
    job: JobUuid,
    question: &Question,
    answers: &Answers,
) -> Result<Answer, FileError> {
    let checkpoints = Checkpoints::open(&Dir::open(spool)?, job)?;
    if let Question::PickSet { of, attempt, before } = question {
        return pick_set(spool, &checkpoints, of, *attempt, *before, answers);
    }
    match *question {
        Question::PickSet { .. } => Ok(nothing(question)),
        Question::Pick { key, subtask, attempt, before } => {
            // None of the subtask's attempts is alive: what they left half-written is nobody's. It goes first, so
            // that nothing is removed that was picked.
            if let Err(e) = checkpoints.prune(subtask, CHECKPOINTS_KEPT, true) {
                answers
                    .send(Answer::Notice(format!("checkpoints of subtask {subtask} were not pruned: {e}")));
            }
            let choice = checkpoints.newest_valid(subtask, before, attempt)?;
            for line in &choice.passed_over {
                answers.send(Answer::Notice(format!("subtask {subtask}: {line}")));
            }
            Ok(Answer::Picked { key, origin: origin(spool, choice) })
        }
        Question::Left { key, subtask, attempt } => {
            // Most attempts leave none, and reading names is cheap beside verifying another's.
            let wrote = checkpoints.list(subtask)?.iter().any(|restart| restart.attempt == attempt);
            let checkpoint = match wrote {
                true => {
                    let choice = checkpoints.newest_valid(subtask, None, attempt.next())?;
                    choice.from.map(|found| found.restart).filter(|restart| restart.attempt == attempt)
                }
                false => None,
            };
            Ok(Answer::Left { key, checkpoint })
        }
    }
}

/// All of a gang go on from one set, or all from the beginning.
fn pick_set(
    spool: &Path,
    checkpoints: &Checkpoints,
    of: &[(AttemptKey, SubtaskId)],
    attempt: Attempt,
    before: Option<Restart>,
    answers: &Answers,
) -> Result<Answer, FileError> {
    let subtasks: Vec<SubtaskId> = of.iter().map(|(_, subtask)| *subtask).collect();
    if let Err(e) = checkpoints.prune_sets(&subtasks, CHECKPOINTS_KEPT, true) {
        answers.send(Answer::Notice(format!("checkpoints were not pruned: {e}")));
    }
    let found = checkpoints.newest_sets(&subtasks, before, attempt)?;
    for line in found.passed_over {
        answers.send(Answer::Notice(line));
    }
    let Some((_, files)) = found.sets.into_iter().next() else {
        return Ok(Answer::PickedSet { origins: Vec::new() });
    };
    // No rank is told of the set before: one alone that took it would leave the others.
    let origins = of.iter().zip(files).filter_map(|((key, _), from)| {
        let choice = Choice { from: Some(from), older: None, passed_over: Vec::new() };
        Some((*key, origin(spool, choice)?))
    });
    Ok(Answer::PickedSet { origins: origins.collect() })
}

fn origin(spool: &Path, choice: Choice) -> Option<Origin> {
    let absolute = |path: PathBuf| if path.is_absolute() { path } else { spool.join(path) };
    let from = choice.from?;
    Some(Origin {
        from: from.restart,
        path: absolute(from.path),
        older: choice.older.map(|found| absolute(found.path)),
    })
}
