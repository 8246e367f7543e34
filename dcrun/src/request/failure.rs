//! What is asked for about failures: what is tried again, what stops the others, what comes before the time limit.

use super::RequestError;
use crate::cli::Cli;
use dc_model::RestartOn;
use dc_spool::job::Warning;
use std::ffi::OsStr;
use std::time::Duration;

/// How long before the time limit a warning is sent, unless it says so; as Slurm has it.
const WARNING_BEFORE: Duration = Duration::from_secs(60);
/// The longest time before the limit, in seconds; as Slurm has it.
pub const WARNING_S_MAX: u64 = 65_535;
/// The largest signal number.
pub const SIGNAL_MAX: u8 = 64;

/// The value of `--restart-on`.
pub fn restart_on(given: Option<&str>) -> Result<RestartOn, RequestError> {
    let Some(given) = given else { return Ok(RestartOn::default()) };
    RestartOn::parse(given)
        .map_err(|word| RequestError::RestartOn { given: given.to_owned(), word: word.clone() })
}

/// Whether the others go on after a final failure: `--keep-going`, or `-K0` as srun has it.
pub fn keep_going(cli: &Cli) -> Result<bool, RequestError> {
    let given = cli.kill_on_bad_exit.as_ref();
    // `-K 1 kernel` is the kernel 1: srun takes it so as well, and everybody falls for it once.
    let first = cli.kernel.first().and_then(|word| word.to_str());
    if let (Some(None), Some(word @ ("0" | "1"))) = (given, first) {
        return Err(RequestError::KillApart { word: word.to_owned() });
    }
    match given.map(|value| value.as_deref().unwrap_or("1")) {
        None => Ok(cli.keep_going),
        Some("0") => Ok(true),
        Some("1") if cli.keep_going => Err(RequestError::KillAndKeepGoing),
        Some("1") => Ok(false),
        Some(other) => Err(RequestError::Kill { given: other.to_owned() }),
    }
}

/// The value of `--signal`: `[B:]SIG[@SECONDS]`.
pub fn warning(given: &str) -> Result<Warning, RequestError> {
    let bad = || RequestError::Signal { given: given.to_owned() };
    let (leaders_only, rest) = match given.strip_prefix("B:") {
        Some(rest) => (true, rest),
        None => (false, given),
    };
    let (name, seconds) = rest.split_once('@').map_or((rest, None), |(name, s)| (name, Some(s)));
    let before = match seconds {
        None => WARNING_BEFORE,
        Some(text) => match super::digits(text) {
            Some(seconds) if seconds <= WARNING_S_MAX => Duration::from_secs(seconds),
            _ => return Err(bad()),
        },
    };
    let signal = dc_client::signal::parse(name).ok_or_else(bad)?;
    Ok(Warning { signal, leaders_only, before_ms: before.as_millis() as u64 })
}

/// A warning has to come before something, and after the start.
pub fn check_warning(warning: Option<Warning>, limit: Option<Duration>) -> Result<(), RequestError> {
    let Some(warning) = warning else { return Ok(()) };
    let before = Duration::from_millis(warning.before_ms);
    match limit {
        None => Err(RequestError::SignalWithoutLimit),
        Some(limit) if limit <= before => Err(RequestError::SignalBeforeStart { seconds: before.as_secs() }),
        Some(_) => Ok(()),
    }
}

/// The value of `DC_EXIT_ERROR`.
pub fn check_exit_error(given: Option<&OsStr>) -> Result<(), RequestError> {
    match given {
        Some(given) if crate::error::exit_error(given).is_none() => {
            Err(RequestError::ExitError { given: given.to_string_lossy().into_owned() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dc_model::Cause;

    #[test]
    fn signals_are_read_as_people_write_them() {
        for (text, signal, leaders_only, before_ms) in [
            ("USR1@60", 10, false, 60_000),
            ("SIGUSR1", 10, false, 60_000),
            ("usr2@0", 12, false, 0),
            ("10@5", 10, false, 5000),
            ("B:TERM@65535", 15, true, 65_535_000),
            ("34@1", 34, false, 1000),
        ] {
            let wanted = Warning { signal, leaders_only, before_ms };
            assert_eq!(warning(text), Ok(wanted), "{text}");
        }
        for text in ["", "@60", "USR3@60", "0@1", "65@1", "USR1@", "USR1@1m", "USR1@65536", "R:USR1", "B:"] {
            assert_eq!(warning(text), Err(RequestError::Signal { given: text.to_owned() }), "{text:?}");
        }
    }

    #[test]
    fn a_warning_comes_between_start_and_limit() {
        let warning = warning("USR1@60").unwrap();
        let limit = |s| Some(Duration::from_secs(s));
        assert_eq!(check_warning(Some(warning), limit(61)), Ok(()));
        assert!(check_warning(Some(warning), limit(60)).is_err());
        assert!(check_warning(Some(warning), None).is_err());
        assert_eq!(check_warning(None, None), Ok(()));
    }

    #[test]
    fn what_is_tried_again() {
        assert!(restart_on(None).unwrap().has(Cause::Signal));
        assert!(!restart_on(Some("exit")).unwrap().has(Cause::Signal));
        assert!(restart_on(Some("oom")).is_err());
    }
}
