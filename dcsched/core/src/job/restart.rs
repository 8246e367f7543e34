//! The restart policy: what becomes of a subtask whose attempt failed. A pure function, to be replaced in the source.

use dc_model::{Cause, Outcome, RestartOn};

/// Whether a failed attempt is of a kind that is tried again, as long as there are restarts left.
///
/// By default signals, a want of memory and launches that failed before exec are tried again: they are the
/// surroundings' doing. A status other than 0 is the kernel's own word; it is tried again only if the attempt got
/// further than any before it, or if the user says so. What cannot be executed now will not be executable a moment
/// later.
#[must_use]
pub fn is_worthwhile(outcome: Outcome, advanced: bool, restart_on: RestartOn) -> bool {
    let cause = match outcome {
        Outcome::Signalled(_) | Outcome::OutOfMemory => Cause::Signal,
        Outcome::Exited(_) => Cause::Exit,
        Outcome::NotLaunched { stage, .. } if !stage.may_pass() => return false,
        Outcome::NotLaunched { .. } => Cause::Node,
    };
    restart_on.has(cause) || (advanced && restart_on.has(Cause::Progress))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::LaunchStage;

    #[test]
    fn policy() {
        let exec = Outcome::NotLaunched { stage: LaunchStage::Exec, errno: 2 };
        let clone = Outcome::NotLaunched { stage: LaunchStage::Clone, errno: 11 };
        let full = Outcome::NotLaunched { stage: LaunchStage::Output, errno: 28 };
        let default = "signal,node,progress";
        for (outcome, advanced, restart_on, expected) in [
            (Outcome::Signalled(9), false, default, true),
            (Outcome::OutOfMemory, false, default, true),
            (Outcome::Exited(1), false, default, false),
            (Outcome::Exited(1), true, default, true),
            (exec, true, default, false),
            (clone, false, default, true),
            (Outcome::Signalled(9), true, "none", false),
            (Outcome::Exited(1), true, "none", false),
            (clone, true, "none", false),
            (Outcome::Exited(1), false, "exit", true),
            (Outcome::Signalled(9), false, "exit", false),
            (Outcome::OutOfMemory, false, "exit,node", false),
            (Outcome::Signalled(9), false, "progress", false),
            (Outcome::Signalled(9), true, "progress", true),
            (exec, true, "signal,node,progress,exit", false),
            (clone, false, "signal,exit", false),
            (full, true, "signal,node,progress,exit", false),
        ] {
            let got = is_worthwhile(outcome, advanced, RestartOn::parse(restart_on).unwrap());
            assert_eq!(got, expected, "{outcome:?} advanced {advanced} --restart-on {restart_on}");
        }
    }
}
