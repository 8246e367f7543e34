//! What a starter is told of one attempt, and of a gang's.

use crate::GangLauncher;
use dc_model::wire::{Gang, Launch};
use dc_model::{Attempt, Rank, Restart, SubtaskId};
use dc_spool::job::JobRecord;
use dcsched_core::job::Member;
use dcsched_core::place::Placement;

/// One attempt; nothing for a subtask that the job does not have.
#[must_use]
pub fn launch(
    record: &JobRecord,
    subtask: SubtaskId,
    attempt: Attempt,
    rank: Rank,
    placement: &Placement,
    before: Option<Restart>,
    after: Option<(SubtaskId, Attempt)>,
) -> Option<Launch> {
    let what = record.subtasks.get(subtask)?;
    Some(Launch {
        subtask,
        attempt,
        rank,
        cores: placement.threads,
        cpus: placement.cpus.clone(),
        numa: placement.numa,
        cells: what.cells,
        block: what.block,
        args: what.args.clone(),
        before,
        after,
    })
}

/// All ranks of a gang.
#[must_use]
pub fn gang(
    record: &JobRecord,
    launcher: &GangLauncher,
    attempt: Attempt,
    members: &[Member],
    before: Option<Restart>,
) -> Gang {
    let of_member = |member: &Member| {
        let of = |id: &SubtaskId| launch(record, *id, attempt, member.rank, &member.placement, before, None);
        member.subtasks.iter().filter_map(of).collect()
    };
    Gang {
        family: launcher.family,
        launcher: launcher.path.clone(),
        timeout_ms: launcher.timeout_ms,
        verbose: launcher.verbose,
        ranks: members.iter().map(of_member).collect(),
    }
}
