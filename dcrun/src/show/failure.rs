//! The one line about a rank that failed: who, how, and how it goes on or why not.

use dc_model::{Attempt, LaunchStage, Outcome, Rank, RestartOn, SubtaskId};
use dcsched_core::job::NextStart;
use nix::errno::Errno;
use nix::sys::signal::Signal;

/// All there is to say of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Its lane.
    pub rank: Rank,
    /// Its subtask.
    pub subtask: SubtaskId,
    /// The subtask's name, where it has one.
    pub name: Option<String>,
    /// Its attempt.
    pub attempt: Attempt,
    /// Its host.
    pub host: String,
    /// The kernel's file.
    pub program: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the kernel killed something for want of memory meanwhile.
    pub memory_short: bool,
    /// What follows.
    pub then: Then,
    /// Whether the other ranks are stopped because of it.
    pub stops_others: bool,
}

/// What follows a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// Another attempt.
    Restart(NextStart),
    /// All restarts are used up: so many.
    NoRestartsLeft(u32),
    /// A status without a new checkpoint or progress: another attempt would end the same way.
    NoAdvance,
    /// The user wants other failures tried again.
    NotAsked(RestartOn),
    /// It could not be executed, and will not be a moment later.
    CannotExecute,
    /// The job is being stopped.
    Stopping,
}

/// The line.
#[must_use]
pub fn line(f: &Failure) -> String {
    let name = f.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    let mut line = format!(
        "rank {} (subtask {}{name}, attempt {}) on {}: {}; {}",
        f.rank,
        f.subtask,
        f.attempt,
        f.host,
        how(f),
        then(f.then)
    );
    if f.stops_others {
        line.push_str("; the other ranks are stopped");
    }
    line
}

/// How it ended, with the file where that could not be executed.
fn how(f: &Failure) -> String {
    let Outcome::NotLaunched { stage: LaunchStage::Exec, errno } = f.outcome else {
        let how = outcome(f.outcome);
        return match (f.outcome, f.memory_short) {
            (Outcome::Signalled(_), true) => {
                format!("{how} (the kernel killed something on this node for want of memory meanwhile)")
            }
            _ => how,
        };
    };
    let error = std::io::Error::from_raw_os_error(errno);
    match Errno::from_raw(errno) {
        // It was there before the job began, so what is missing is mostly what its first line names.
        Errno::ENOENT => {
            format!("cannot execute {}: {error}: it, or its interpreter, is not there", f.program)
        }
        _ => format!("cannot execute {}: {error}", f.program),
    }
}

/// How an attempt ended, with the signal's name.
#[must_use]
pub fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Signalled(signal) => format!("killed by signal {}", signal_name(signal)),
        other => other.to_string(),
    }
}

/// A signal's number, with its name where it has one.
#[must_use]
pub fn signal_name(signal: u8) -> String {
    match Signal::try_from(i32::from(signal)) {
        Ok(name) => format!("{signal} ({})", name.as_str()),
        Err(_) => signal.to_string(),
    }
}

fn then(then: Then) -> String {
    match then {
        Then::Restart(NextStart::From(from)) => format!("goes on from {from}"),
        Then::Restart(NextStart::OlderThan(before)) => {
            format!("goes on from a checkpoint before {before}, from which it failed twice")
        }
        Then::Restart(NextStart::Beginning) => "starts again from the beginning".to_owned(),
        Then::NoRestartsLeft(0) => "not started again (--restarts 0)".to_owned(),
        Then::NoRestartsLeft(1) => "not started again: its 1 restart is used up".to_owned(),
        Then::NoRestartsLeft(restarts) => format!("not started again: its {restarts} restarts are used up"),
        Then::NoAdvance => "not started again: it left no new checkpoint and no progress".to_owned(),
        Then::NotAsked(restart_on) => format!("not started again (--restart-on {restart_on})"),
        Then::CannotExecute => "not started again".to_owned(),
        Then::Stopping => "not started again: the job is being stopped".to_owned(),
    }
}

/// Why a status that dcrun uses itself is the kernel's this time.
#[must_use]
pub fn whose_status(status: u8, rank: Rank) -> Option<String> {
    (124..=127)
        .contains(&status)
        .then(|| format!("status {status} is the kernel's own, of rank {rank}; not dcrun's"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::Restart;

    fn failure(outcome: Outcome, then: Then) -> Failure {
        Failure {
            rank: Rank(3),
            subtask: SubtaskId(7),
            name: None,
            attempt: Attempt(2),
            host: "n1".to_owned(),
            program: "/bin/k".to_owned(),
            outcome,
            memory_short: false,
            then,
            stops_others: false,
        }
    }

    #[test]
    fn lines() {
        let from = Restart { attempt: Attempt(1), step: 40 };
        let cases = [
            (
                failure(Outcome::Signalled(9), Then::Restart(NextStart::From(from))),
                "rank 3 (subtask 7, attempt 2) on n1: killed by signal 9 (SIGKILL); goes on from step 40 of attempt 1",
            ),
            (
                Failure {
                    name: Some("tile".to_owned()),
                    ..failure(Outcome::Signalled(40), Then::Restart(NextStart::Beginning))
                },
                "rank 3 (subtask 7 tile, attempt 2) on n1: killed by signal 40; starts again from the beginning",
            ),
            (
                Failure { stops_others: true, ..failure(Outcome::Exited(3), Then::NoAdvance) },
                "rank 3 (subtask 7, attempt 2) on n1: exit status 3; not started again: it left no new checkpoint and \
                 no progress; the other ranks are stopped",
            ),
            (
                failure(Outcome::Signalled(11), Then::Restart(NextStart::OlderThan(from))),
                "rank 3 (subtask 7, attempt 2) on n1: killed by signal 11 (SIGSEGV); goes on from a checkpoint before step \
                 40 of attempt 1, from which it failed twice",
            ),
            (
                Failure {
                    memory_short: true,
                    ..failure(Outcome::Signalled(9), Then::Restart(NextStart::Beginning))
                },
                "rank 3 (subtask 7, attempt 2) on n1: killed by signal 9 (SIGKILL) (the kernel killed something on this \
                 node for want of memory meanwhile); starts again from the beginning",
            ),
            (
                failure(Outcome::OutOfMemory, Then::NotAsked(RestartOn::NONE)),
                "rank 3 (subtask 7, attempt 2) on n1: out of memory; not started again (--restart-on none)",
            ),
            (
                failure(Outcome::Signalled(11), Then::NoRestartsLeft(3)),
                "rank 3 (subtask 7, attempt 2) on n1: killed by signal 11 (SIGSEGV); not started again: its 3 restarts are \
                 used up",
            ),
            (
                failure(Outcome::NotLaunched { stage: LaunchStage::Exec, errno: 2 }, Then::CannotExecute),
                "rank 3 (subtask 7, attempt 2) on n1: cannot execute /bin/k: No such file or directory (os error 2): it, or \
                 its interpreter, is not there; not started again",
            ),
        ];
        for (failure, wanted) in cases {
            assert_eq!(line(&failure), wanted);
        }
        assert_eq!(whose_status(123, Rank(1)), None);
        assert!(whose_status(126, Rank(1)).is_some());
    }
}
