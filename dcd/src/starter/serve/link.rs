//! The control connection of a starter that serves: one at a time, and its end is the end of nothing else. The table is in
//! docs/starter-states.md, and a test holds the two together.

use crate::starter::words::words;
use dc_model::wire::FrameBuffer;
use std::os::unix::net::UnixStream;

words! {
    /// Whether somebody is there.
    State {
        /// Nobody.
        Alone = "alone",
        /// Somebody.
        Joined = "joined",
    }
}

words! {
    /// What happens.
    Event {
        /// A new connection says that it is for control.
        Opened = "opened",
        /// Its other end is gone.
        Lost = "lost",
        /// What came by it is refused.
        Refused = "refused",
    }
}

words! {
    /// What follows.
    Act {
        /// Say why.
        TellWhy = "tell why",
        /// Close it; what came by it and was not taken yet is void.
        Drop = "drop",
        /// Take the new one, and say what is here.
        TellState = "tell state",
        /// Send all reports that are not acknowledged, in order, and ask again for input.
        Repeat = "repeat",
    }
}

/// What follows.
#[must_use]
pub fn next(state: State, event: Event) -> (State, &'static [Act]) {
    match (state, event) {
        (State::Alone, Event::Opened) => (State::Joined, &[Act::TellState, Act::Repeat]),
        (State::Joined, Event::Opened) => (State::Joined, &[Act::Drop, Act::TellState, Act::Repeat]),
        (State::Joined, Event::Lost) => (State::Alone, &[Act::Drop]),
        (State::Joined, Event::Refused) => (State::Alone, &[Act::TellWhy, Act::Drop]),
        (State::Alone, Event::Lost | Event::Refused) => (State::Alone, &[]),
    }
}

/// Where it stands, and what its acts need.
#[derive(Debug)]
pub struct Link {
    pub state: State,
    /// The connection that was opened, and what came behind its first message.
    pub came: Option<(UnixStream, FrameBuffer)>,
    /// Why what came is refused.
    pub why: String,
}

impl Default for Link {
    fn default() -> Self {
        Self { state: State::Alone, came: None, why: String::new() }
    }
}
