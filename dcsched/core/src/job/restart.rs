//! The restart policy: what becomes of a subtask whose attempt failed. A pure function, to be replaced in the source.

use dc_model::{LaunchStage, Outcome};

/// Whether a failed attempt is tried again. `failures` counts this one.
///
/// Signals and launches that failed before exec are the surroundings' doing and are tried again. A status other
/// than 0 is the kernel's own word; it is tried again only if the attempt got further than any before it. What
/// cannot be executed now will not be executable a moment later.
#[must_use]
pub fn retries(outcome: Outcome, advanced: bool, failures: u32, restarts_max: u32) -> bool {
    let worthwhile = match outcome {
        Outcome::Signalled(_) => true,
        Outcome::Exited(_) => advanced,
        Outcome::NotLaunched { stage, .. } => stage != LaunchStage::Exec,
    };
    worthwhile && failures <= restarts_max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy() {
        let exec = Outcome::NotLaunched { stage: LaunchStage::Exec, errno: 2 };
        let clone = Outcome::NotLaunched { stage: LaunchStage::Clone, errno: 11 };
        for (outcome, advanced, failures, restarts_max, expected) in [
            (Outcome::Signalled(9), false, 1, 3, true),
            (Outcome::Signalled(9), false, 3, 3, true),
            (Outcome::Signalled(9), true, 4, 3, false),
            (Outcome::Signalled(9), true, 1, 0, false),
            (Outcome::Exited(1), false, 1, 3, false),
            (Outcome::Exited(1), true, 1, 3, true),
            (exec, true, 1, 3, false),
            (clone, false, 1, 3, true),
        ] {
            let got = retries(outcome, advanced, failures, restarts_max);
            assert_eq!(
                got, expected,
                "{outcome:?} advanced {advanced} failures {failures} of {restarts_max}"
            );
        }
    }
}
