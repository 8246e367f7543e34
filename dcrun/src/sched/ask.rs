//! Questions that are waited for: before there is a job to be shown.

use super::{ClusterError, Wire};
use dc_model::cluster::client::ToClient;
use dc_model::cluster::{FromClient, NodeRow};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How long an answer may take: a scheduler that has just started waits for its disk.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The number of a question; there is one at a time.
const REQUEST: u64 = 1;

/// What may end the waiting for an answer.
pub trait Interrupt {
    /// The signal that came, if any.
    fn interrupted(&self) -> Option<u8>;

    /// What is readable when one came.
    fn bell(&self) -> Option<BorrowedFd<'_>>;
}

/// Signals do what they do to any process.
impl Interrupt for () {
    fn interrupted(&self) -> Option<u8> {
        None
    }

    fn bell(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl Wire {
    /// Asks, and waits for the answer with this number. What comes beside it is kept.
    ///
    /// # Errors
    /// When there is none, it is a refusal, or a signal ends the waiting.
    pub fn ask(
        &mut self,
        question: &FromClient,
        request: u64,
        signals: &impl Interrupt,
    ) -> Result<ToClient, ClusterError> {
        self.send(question)?;
        self.answer(request, signals)
    }

    /// Waits for an answer with this number: the first, or a further one.
    ///
    /// # Errors
    /// As [`Wire::ask`].
    pub fn answer(&mut self, request: u64, signals: &impl Interrupt) -> Result<ToClient, ClusterError> {
        let began = Instant::now();
        let mut messages = Vec::new();
        loop {
            let turned = self.turn(&mut messages);
            if let Some(at) = messages.iter().position(|message| number(message) == Some(request)) {
                let answer = messages.remove(at);
                messages.into_iter().rev().for_each(|message| self.put_back(message));
                return match answer {
                    ToClient::Refused { status, text, .. } => Err(ClusterError::Refused { status, text }),
                    answer => Ok(answer),
                };
            }
            turned?;
            if let Some(signal) = signals.interrupted() {
                return Err(ClusterError::Signal(signal));
            }
            if began.elapsed() >= ANSWER_MAX {
                return Err(ClusterError::Silent { place: self.place().to_owned() });
            }
            let mut fds = vec![PollFd::new(self.as_fd(), self.flags())];
            fds.extend(signals.bell().map(|bell| PollFd::new(bell, PollFlags::POLLIN)));
            // Interrupted or not: what has come is looked for next.
            let _ = poll(&mut fds, PollTimeout::from(1000u16));
        }
    }

    /// All nodes.
    ///
    /// # Errors
    /// As [`Wire::ask`].
    pub fn nodes(&mut self, signals: &impl Interrupt) -> Result<Vec<NodeRow>, ClusterError> {
        match self.ask(&FromClient::ListNodes { request: REQUEST }, REQUEST, signals)? {
            ToClient::Nodes { nodes, .. } => Ok(nodes),
            _ => Err(ClusterError::Silent { place: self.place().to_owned() }),
        }
    }
}

/// The number of the question that it answers.
fn number(message: &ToClient) -> Option<u64> {
    match message {
        ToClient::Accepted { request, .. }
        | ToClient::Refused { request, .. }
        | ToClient::Attached { request, .. }
        | ToClient::Nodes { request, .. }
        | ToClient::Jobs { request, .. }
        | ToClient::Subtasks { request, .. }
        | ToClient::Text { request, .. } => Some(*request),
        ToClient::Records { .. }
        | ToClient::Report { .. }
        | ToClient::Merge { .. }
        | ToClient::Ended { .. } => None,
    }
}
