//! One attempt's life as the starter sees it: states, events, and what follows. The table is in
//! docs/starter-states.md, and a test holds the two together. Nothing here acts; the starter does what is returned.

use super::words::words;

words! {
    /// Where an attempt stands.
    State {
        /// It waits for the end of the attempt whose lane and cores it takes over.
        Following = "following",
        /// As following, and its process is there already, held before its exec: it goes on by itself.
        Held = "held",
        /// The checkpoint to go on from is being picked, off the loop.
        Picking = "picking",
        /// Its process is being made, or goes on to its exec.
        Launching = "launching",
        /// Its exec has succeeded.
        Running = "running",
        /// It was signalled; its grace runs.
        Stopping = "stopping",
        /// SIGKILL was sent.
        Killing = "killing",
        /// Its process has ended; what it left is being looked up, off the loop.
        Looking = "looking",
        /// dcrun was told of its end.
        Over = "over",
    }
}

words! {
    /// What happens to an attempt.
    Event {
        /// Its process was made ahead, and is held.
        Made = "made",
        /// That process could not go on where it was bound to, and is gone.
        Unmade = "unmade",
        /// Whom it waited for has ended.
        Freed = "freed",
        /// The pick has come back.
        Picked = "picked",
        /// Its exec has succeeded.
        Started = "started",
        /// It could not be launched.
        Refused = "refused",
        /// dcrun wants it stopped by a signal.
        Stop = "stop",
        /// dcrun wants it killed.
        Kill = "kill",
        /// Half of the grace after its signal is over.
        HalfGraceOver = "half grace over",
        /// The grace after its signal is over.
        GraceOver = "grace over",
        /// Its process has ended, and is not reaped yet.
        Exited = "exited",
        /// What it left is known.
        Found = "found",
    }
}

words! {
    /// What the starter has to do.
    Act {
        /// Pick the checkpoint to go on from.
        Pick = "pick",
        /// Make its process.
        Launch = "launch",
        /// Look for the outcome of its exec.
        AwaitExec = "await exec",
        /// Tell dcrun that it runs.
        TellStarted = "tell started",
        /// Send the signal and SIGCONT to its group; ask it for a checkpoint.
        Signal = "signal",
        /// Send SIGTERM too, where the first signal was SIGINT.
        Insist = "insist",
        /// Let the grace run.
        StartGrace = "start grace",
        /// Send SIGKILL to its group.
        KillGroup = "kill group",
        /// Reap it; its group's number is free from then on. Kill the orphans it left.
        Bury = "bury",
        /// Look up what it left.
        LookUp = "look up",
        /// Kill the process that was held: it will not go on.
        Revoke = "revoke",
        /// Note that it never ran.
        NoteUnlaunched = "note unlaunched",
        /// Tell dcrun how it ended, and forget it.
        TellEnded = "tell ended",
    }
}

/// What follows. An event that a state does not expect (a timer that is late, a second word from dcrun) changes
/// nothing.
#[must_use]
pub fn next(state: State, event: Event) -> (State, &'static [Act]) {
    use Act as A;
    use Event as E;
    use State as S;
    match (state, event) {
        (S::Following, E::Freed) => (S::Picking, &[A::Pick]),
        (S::Following, E::Made) => (S::Held, &[]),
        (S::Held, E::Freed) => (S::Launching, &[A::AwaitExec]),
        // Whoever asks has made sure that it has not gone on.
        (S::Held, E::Stop | E::Kill) => (S::Over, &[A::Revoke, A::NoteUnlaunched, A::TellEnded]),
        (S::Held, E::Unmade) => (S::Following, &[]),
        (S::Launching, E::Unmade) => (S::Picking, &[A::Pick]),
        (S::Picking, E::Picked) => (S::Launching, &[A::Launch]),
        (S::Following | S::Picking, E::Stop | E::Kill) => (S::Over, &[A::NoteUnlaunched, A::TellEnded]),
        (S::Launching, E::Started) => (S::Running, &[A::TellStarted]),
        (S::Held | S::Launching | S::Stopping | S::Killing, E::Refused) => (S::Over, &[A::TellEnded]),
        (S::Launching | S::Running, E::Stop) => (S::Stopping, &[A::Signal, A::StartGrace]),
        // Another signal on top: the first one's grace goes on.
        (S::Stopping, E::Stop) => (S::Stopping, &[A::Signal]),
        (S::Launching | S::Running | S::Stopping, E::Kill) => (S::Killing, &[A::KillGroup]),
        (S::Stopping, E::HalfGraceOver) => (S::Stopping, &[A::Insist]),
        (S::Stopping, E::GraceOver) => (S::Killing, &[A::KillGroup]),
        // The group dies before its leader is reaped: until then its number cannot be another's.
        (S::Held | S::Launching | S::Running | S::Stopping | S::Killing, E::Exited) => {
            (S::Looking, &[A::KillGroup, A::Bury, A::LookUp])
        }
        (S::Looking, E::Found) => (S::Over, &[A::TellEnded]),
        (S::Following, E::Picked)
        | (S::Following | S::Picking, E::Started | E::Refused | E::GraceOver | E::Exited | E::Found)
        | (S::Held, E::Picked | E::Started | E::GraceOver | E::Found)
        | (S::Launching, E::Picked | E::GraceOver | E::Found)
        | (S::Running, E::Picked | E::Started | E::Refused | E::GraceOver | E::Found)
        | (S::Stopping, E::Picked | E::Started | E::Found)
        | (S::Killing, E::Picked | E::Started | E::Stop | E::Kill | E::GraceOver | E::Found)
        | (S::Looking, E::Picked | E::Started | E::Refused | E::Stop | E::Kill | E::GraceOver | E::Exited)
        | (S::Over, _)
        | (_, E::Freed | E::Made | E::Unmade | E::HalfGraceOver) => (state, &[]),
    }
}

impl State {
    /// Whether its lane and cores are not another's yet.
    #[must_use]
    pub fn holds_cores(self) -> bool {
        !matches!(self, Self::Looking | Self::Over)
    }

    /// Whether dc has signalled it.
    #[must_use]
    pub fn is_stopped_by_dc(self) -> bool {
        matches!(self, Self::Stopping | Self::Killing)
    }
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
