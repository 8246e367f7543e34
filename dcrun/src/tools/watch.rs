//! The same again and again, until a signal ends it.

use super::times::Now;
use super::{Failed, ListArgs, Said};
use crate::sched::ClusterError;
use std::io::IsTerminal;
use std::time::Duration;

/// Clears a terminal, and begins at its top.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// The value of `-i`.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let wanted = || "wanted seconds, at least 0.1".to_owned();
    let seconds: f64 = text.parse().map_err(|_| wanted())?;
    if (0.1..=1e6).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(wanted()) }
}

/// Shows what `round` gives, once or as often as is asked for. A round that fails because the scheduler is not
/// reached ends it only when it is the one round.
pub(super) fn show(
    args: &ListArgs,
    said: &mut Said<'_>,
    mut round: impl FnMut(&mut Said<'_>) -> Result<(String, u8), Failed>,
) -> Result<u8, Failed> {
    let Some(pause) = args.iterate else {
        let (text, status) = round(said)?;
        said.text(&text)?;
        return Ok(status);
    };
    let is_terminal = std::io::stdout().is_terminal();
    loop {
        let head = match (args.json, is_terminal) {
            (true, _) => String::new(),
            (false, true) => format!("{CLEAR}{}\n", Now::here().long()),
            (false, false) => format!("{}\n", Now::here().long()),
        };
        match round(said) {
            Ok((text, _)) => said.text(&format!("{head}{text}"))?,
            Err(Failed::Cluster(error)) if may_pass(&error) => {
                said.text(&head)?;
                said.complain(&error.to_string())?;
            }
            Err(error) => return Err(error),
        }
        std::thread::sleep(pause);
    }
}

fn may_pass(error: &ClusterError) -> bool {
    error.may_pass()
}
