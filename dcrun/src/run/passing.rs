//! Signals that ranks get without being stopped: those that dcrun is sent, the warning before the time limit, and the
//! hold while dcrun's terminal has stopped it.

use super::Run;
use crate::events::Event;
use crate::front::is_stopping;
use crate::show::{amount, failure};
use crate::signals::stop_self;
use dc_model::wire::ToStarter;
use nix::libc::{SIGCONT, SIGSTOP};
use nix::poll::{PollFd, PollFlags, poll};
use std::os::fd::AsFd;

/// How long the starter may take to read that all are to be held, before dcrun stops all the same.
const HOLD_PATIENCE_MS: u16 = 1000;

impl Run {
    /// Ranks get what dcrun was sent.
    pub(super) fn pass_on(&mut self, signal: u8) {
        self.front.tell_detail(|| format!("signal {}: the ranks get it", failure::signal_name(signal)));
        self.send_to_ranks(signal, false, false);
    }

    /// The time limit comes near.
    pub(super) fn warn_ranks(&mut self) {
        self.warning_ns = None;
        let Some(warning) = self.front.view.warning.filter(|_| !is_stopping(&self.sight())) else { return };
        let left = amount::duration(warning.before_ms.saturating_mul(1_000_000));
        let name = failure::signal_name(warning.signal);
        self.front
            .say_if_not_quiet(format!("the time limit is reached in {left}: the ranks get signal {name}"));
        self.send_to_ranks(warning.signal, warning.leaders_only, true);
    }

    /// The terminal stops dcrun: first the ranks, then itself. They go on when it does.
    pub(super) fn hold(&mut self) {
        self.send_to_ranks(SIGSTOP as u8, false, false);
        while let Some(link) = self.link.as_ref().filter(|link| link.has_unsent()) {
            let mut fds = [PollFd::new(link.as_fd(), PollFlags::POLLOUT)];
            if !matches!(poll(&mut fds, HOLD_PATIENCE_MS), Ok(1)) {
                break;
            }
            self.link.iter_mut().for_each(super::starter::Link::flush);
        }
        stop_self();
        self.send_to_ranks(SIGCONT as u8, false, false);
    }

    fn send_to_ranks(&mut self, signal: u8, leaders_only: bool, wants_checkpoint: bool) {
        self.front.event(|| Event::Signal { signal });
        if let Some(link) = &mut self.link {
            link.send(&ToStarter::Signal { signal, leaders_only, wants_checkpoint });
            link.flush();
        }
    }
}
