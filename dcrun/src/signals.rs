//! Signals to dcrun, as events: what each asks for, and the counting of Ctrl-C.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// What ends the job, each with 128 + its number; ranks get it.
const ENDING: [Signal; 4] = [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGXCPU];

/// What ranks get, and dcrun makes nothing of.
const PASSED: [Signal; 4] = [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGALRM, Signal::SIGCONT];

/// Presses of Ctrl-C this close together count as one wish.
const TOGETHER: Duration = Duration::from_secs(1);

/// Signals, read as from a file.
#[derive(Debug)]
pub struct Signals(SignalFd, SigSet);

impl Signals {
    /// Takes them over; before any thread is started, so that none gets them the old way. What was ignored stays so, as
    /// under nohup(1): a signal that is blocked would be read here although it is ignored.
    ///
    /// # Errors
    /// When there is no descriptor to be had.
    pub fn take_over() -> nix::Result<Self> {
        let ignored = ignored();
        let wanted = ENDING.into_iter().chain(PASSED).chain([Signal::SIGINT, Signal::SIGTSTP]);
        let set: SigSet = wanted.filter(|signal| ignored >> (*signal as i32 - 1) & 1 == 0).collect();
        set.thread_block()?;
        Ok(Self(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?, set))
    }

    /// Lets them do what they do without us; those that came meanwhile too.
    ///
    /// # Errors
    /// When the mask cannot be set.
    pub fn give_back(self) -> nix::Result<()> {
        self.1.thread_unblock()
    }

    /// The next one that came.
    #[must_use]
    pub fn next(&self) -> Option<u8> {
        self.0.read_signal().ok().flatten().and_then(|info| u8::try_from(info.ssi_signo).ok())
    }
}

/// Whether there is a terminal whose keys send signals.
#[must_use]
pub fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Stops this process as the terminal wants it stopped, and returns when it goes on. Where no shell could let it go on
/// the kernel does not stop it, and this returns at once.
pub fn stop_self() {
    let set = SigSet::from(Signal::SIGTSTP);
    let _ = nix::sys::signal::raise(Signal::SIGTSTP);
    let _ = set.thread_unblock();
    let _ = set.thread_block();
}

/// The signals that this process ignores, signal 1 in the lowest bit; none where /proc does not say.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl dc_client::sched::Interrupt for Signals {
    fn interrupted(&self) -> Option<u8> {
        self.next()
    }

    fn bell(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Print the state.
    Tell,
    /// Stop the job because of Ctrl-C.
    Interrupt,
    /// Stop the job because of this signal.
    End(u8),
    /// Kill everything at once.
    KillNow,
    /// Pass this signal on.
    Pass(u8),
    /// Stop the ranks and dcrun, until it is told to go on.
    Hold,
}

/// Counts presses of Ctrl-C.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Presses {
    last_ns: Option<u64>,
    interrupted: bool,
}

impl Presses {
    /// What this signal asks for now. Without a terminal nobody is there to press a key twice.
    pub fn on_signal(&mut self, signal: u8, now_ns: u64, has_terminal: bool) -> Wish {
        match Signal::try_from(i32::from(signal)) {
            Ok(Signal::SIGINT) => {}
            Ok(Signal::SIGTSTP) => return Wish::Hold,
            Ok(known) if PASSED.contains(&known) => return Wish::Pass(signal),
            _ => return Wish::End(signal),
        }
        if self.interrupted {
            return Wish::KillNow;
        }
        if !has_terminal {
            self.interrupted = true;
            return Wish::Interrupt;
        }
        let last_ns = self.last_ns.replace(now_ns);
        match last_ns {
            Some(last_ns) if now_ns.saturating_sub(last_ns) <= TOGETHER.as_nanos() as u64 => {
                self.interrupted = true;
                Wish::Interrupt
            }
            _ => Wish::Tell,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn one_tells_two_stop_three_kill() {
        let mut presses = Presses::default();
        let mut press = |ms: u64| presses.on_signal(2, ms * MS, true);
        assert_eq!(press(5000), Wish::Tell);
        assert_eq!(press(6500), Wish::Tell, "too late for a second");
        assert_eq!(press(7400), Wish::Interrupt);
        assert_eq!(press(99_000), Wish::KillNow);
    }

    #[test]
    fn without_a_terminal_one_stops() {
        let mut presses = Presses::default();
        assert_eq!(presses.on_signal(2, 0, false), Wish::Interrupt);
        assert_eq!(presses.on_signal(2, 99_000 * MS, false), Wish::KillNow);
    }

    #[test]
    fn others_end_the_job_or_are_passed_on() {
        let mut presses = Presses::default();
        let mut wish = |signal| presses.on_signal(signal, 0, true);
        assert_eq!(wish(15), Wish::End(15));
        assert_eq!(wish(1), Wish::End(1));
        assert_eq!(wish(10), Wish::Pass(10));
        assert_eq!(wish(18), Wish::Pass(18));
        assert_eq!(wish(20), Wish::Hold);
    }
}
