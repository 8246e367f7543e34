//! Standard input that dcrun sends: a thread for each rank that gets it writes what has come into the rank's pipe and
//! asks for more when that is taken. A rank that does not read holds up nobody; one that has closed it is not fed.

use super::lookups::{Answer, Answers};
use super::table::AttemptKey;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, write};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};

const STACK_BYTES: usize = 128 << 10;

/// All ranks that are fed. The end of a feed's channel is the end of its input.
#[derive(Debug, Default)]
pub struct Feeds {
    feeds: HashMap<AttemptKey, Sender<Vec<u8>>>,
}

impl Feeds {
    /// A pipe for an attempt: its end. [`Answer::Hungry`] comes when what it was given is taken.
    ///
    /// # Errors
    /// When there is no thread or descriptor to be had.
    pub fn start(&mut self, key: AttemptKey, answers: Answers) -> nix::Result<OwnedFd> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        let (feed, pieces) = channel();
        let thread = std::thread::Builder::new().name("feed".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || run(key, &write, &pieces, &answers)).map_err(|_| Errno::EAGAIN)?;
        self.feeds.insert(key, feed);
        Ok(read)
    }

    /// Whether this attempt is fed.
    #[must_use]
    pub fn holds(&self, key: AttemptKey) -> bool {
        self.feeds.contains_key(&key)
    }

    /// A piece has come.
    pub fn give(&self, key: AttemptKey, bytes: Vec<u8>) {
        if let Some(feed) = self.feeds.get(&key).filter(|_| !bytes.is_empty()) {
            // One that has closed its input takes no more.
            let _ = feed.send(bytes);
        }
    }

    /// Its input is at its end, or its rank is.
    pub fn end(&mut self, key: AttemptKey) {
        self.feeds.remove(&key);
    }
}

fn run(key: AttemptKey, pipe: &OwnedFd, pieces: &Receiver<Vec<u8>>, answers: &Answers) {
    let mut taken = 0;
    for piece in pieces {
        let mut rest = &piece[..];
        while !rest.is_empty() {
            match write(pipe, rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::EINTR) => {}
                // It reads no more: that is its right.
                Err(_) => return,
            }
        }
        taken += piece.len() as u64;
        answers.send(Answer::Hungry { key, at: taken });
    }
}
