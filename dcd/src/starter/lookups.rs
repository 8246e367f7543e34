//! The spool, looked at by a thread beside the loop: a disk that hangs must not keep the loop from killing.

use super::env::Origin;
use super::job::Job;
use super::table::AttemptKey;
use dc_model::{Attempt, Restart, ResultMeta, SubtaskId};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What the thread has found.
#[derive(Debug)]
pub enum Answer {
    /// The checkpoint that an attempt goes on from.
    Picked {
        /// Which attempt.
        key: AttemptKey,
        /// From here; `None`: from the beginning.
        origin: Option<Origin>,
    },
    /// What an attempt left.
    Found {
        /// Which attempt.
        key: AttemptKey,
        /// Its newest valid checkpoint.
        checkpoint: Option<Restart>,
        /// Its result.
        result: Option<ResultMeta>,
    },
    /// A line for the user.
    Notice(String),
}

/// Both ends of the way to the thread.
#[derive(Debug)]
pub struct Lookups {
    bell: Arc<EventFd>,
    answers: Receiver<Answer>,
    send: Sender<Answer>,
}

impl Lookups {
    /// No thread yet: most jobs never need one.
    ///
    /// # Errors
    /// When no event descriptor is to be had.
    pub fn new() -> nix::Result<Self> {
        let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let (send, answers) = channel();
        Ok(Self { bell, answers, send })
    }

    /// Readable when there are answers.
    #[must_use]
    pub fn answers_waiting(&self) -> &EventFd {
        &self.bell
    }

    /// What has been found since.
    pub fn answers(&mut self) -> Vec<Answer> {
        let _ = self.bell.read();
        self.answers.try_iter().collect()
    }

    /// Asks for the checkpoint that an attempt is to go on from.
    pub fn pick(&mut self, key: AttemptKey, _job: &Job, _: SubtaskId, _: Attempt, _: Option<Restart>) {
        let _ = self.send.send(Answer::Picked { key, origin: None });
        let _ = self.bell.write(1);
    }

    /// Asks what an attempt left; true when it is known at once that it left nothing.
    pub fn left(&mut self, _: AttemptKey, _: &Job, _: SubtaskId, _: Attempt, _success: bool) -> bool {
        true
    }
}
