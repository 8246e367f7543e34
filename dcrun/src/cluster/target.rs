//! Which scheduler is meant: what the command line says, then `DC_SCHED`, then dc.toml. Without any of them, or inside of
//! a rank, the job is this machine's.

use super::{ClusterError, Target};
use crate::request::Sched;
use crate::setup::Surroundings;
use dc_client::sched::Named;
use dc_config::Surroundings as ConfigSurroundings;
use std::ffi::OsStr;

/// The scheduler to ask; none: the job is this machine's.
///
/// # Errors
/// When what names it cannot be used.
pub fn find(sched: &Sched, at: &Surroundings) -> Result<Option<Target>, ClusterError> {
    let var = |name: &str| at.var(name).map(OsStr::to_owned);
    let look = |named: Named<'_>| Target::find(named, &ConfigSurroundings::of(var), var, &at.cwd);
    match sched {
        Sched::Local => Ok(None),
        Sched::At(given) => look(Named::Option(given)),
        // A rank's own dcrun uses its rank's cores.
        Sched::AsFound if at.var("DC_JOB_UUID").is_some() => Ok(None),
        Sched::AsFound => look(Named::Elsewhere),
    }
}
