//! Debugging: what DC_LOG asks for, to standard error. Nothing is set up, and nothing costs, without it.

use tracing_subscriber::EnvFilter;

/// The variable: a filter such as `debug`.
pub const VARIABLE: &str = "DC_LOG";

/// Begins to write what the variable asks for; a filter that cannot be read asks for everything.
pub fn maybe_start() {
    let Some(filter) = std::env::var_os(VARIABLE) else { return };
    let filter = EnvFilter::try_new(filter.to_string_lossy()).unwrap_or_else(|_| EnvFilter::new("trace"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A closed standard error must not end the job.
    let subscriber = subscriber.log_internal_errors(false);
    // Only a second one would be refused.
    let _ = subscriber.try_init();
}
