//! What the daemon says of itself: a line an event to standard error, which systemd gives to its journal.

use tracing_subscriber::EnvFilter;

/// The variable that says how much: a filter such as `debug`; without it `info`.
const VARIABLE: &str = "DC_LOG";

/// Begins to write.
pub fn start() {
    let filter = std::env::var_os(VARIABLE).map(|filter| filter.to_string_lossy().into_owned());
    let filter = EnvFilter::try_new(filter.as_deref().unwrap_or("info"));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("trace"));
    // A closed standard error must not end the daemon.
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    let subscriber = subscriber.with_target(false).log_internal_errors(false);
    // The journal has the time itself. Only a second one would be refused.
    let _ = match std::env::var_os("JOURNAL_STREAM").is_some() {
        true => subscriber.without_time().try_init(),
        false => subscriber.try_init(),
    };
}
